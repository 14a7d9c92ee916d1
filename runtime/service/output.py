"""The service manager as an output of a run: ready, alive, stopping."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

from runtime.closing import ClosesOnExit
from runtime.degrade.news import DegradeNews
from runtime.outputs import EventNews
from runtime.outputs.run_end import RunEnd
from runtime.records import Frame, Prediction, SourceEvent
from runtime.service.manager import ServiceManager, service_manager, watchdog_period_s
from runtime.service.vitality import Vitality

STATUS_EVERY_S = 5.0
_LOOKS_A_PERIOD = 4
_SILENT_LOOKS = 2
"""Without a sign for so many looks, people are told."""
_JOIN_S = 1.0


class ServiceOutput(ClosesOnExit):
    """Tells the manager that the run is ready, that it lives, how it is, and that it ends.

    It is ready with the first frame, or when it is known that a source is lost and tried again.
    From then on a thread of its own tells that it lives, but only if something came through the
    loop since that was last told, or no source can give anything: an engine or a disk that hangs
    leaves it untold, and the manager restarts the service. Where the model wants frames more
    rarely than that, further ones are asked for.

    Args:
        manager: Closed with this.
        names: Of the sources, without secrets.
        period_s: After so long without a sign of life the manager acts; None: it waits for none.
    """

    def __init__(
        self, manager: ServiceManager, names: Sequence[str], *, period_s: float | None
    ) -> None:
        self._manager = manager
        self._period_s = period_s
        self._vitality = Vitality(names)
        self._look_s = STATUS_EVERY_S
        if period_s is not None:
            self._look_s = min(STATUS_EVERY_S, period_s / _LOOKS_A_PERIOD)
        self._ready = self._stopping = False
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look, name="service manager", daemon=True)
        self._thread.start()

    def prediction(self, prediction: Prediction) -> None:
        """A result is a sign of life."""
        best = prediction.top[0] if prediction.top else None
        text = "of no class" if best is None else f"{best.label} {best.probability:.0%}"
        self._vitality.result(prediction.stream, text)
        self._tell_ready()

    def frame(self, frame: Frame, stream: int) -> None:
        """A frame is a sign of life: no window before it is still computed."""
        self._vitality.frame(stream)
        self._tell_ready()

    def wants_frame(self, stream: int) -> bool:
        """Where none came for a while, and the first of each source."""
        return self._vitality.due(stream, None if self._period_s is None else self._look_s)

    def source_event(self, event: SourceEvent, stream: int) -> None:
        """Remember that a source is lost, or is back."""
        self._vitality.source_state(stream, delivers=event.delivers, text=event.text)
        self._tell_ready()

    def source_ended(self, stream: int) -> None:
        """Nothing is expected of it any more."""
        self._vitality.ended(stream)

    def event(self, news: EventNews) -> None:
        """Results tell enough."""

    def degraded(self, news: DegradeNews) -> None:
        """Results tell enough."""

    def ended(self, end: RunEnd) -> None:
        """Tell that nothing comes any more, and that what is left is put away now."""
        if not self._stopping:
            self._stopping = True
            self._end.set()
            self._manager.tell(STOPPING="1", STATUS=f"ending: {self._vitality.status()}")

    def close(self, *, grace_s: float = 0.0) -> None:
        """Tell nothing any more."""
        self._end.set()
        self._thread.join(_JOIN_S)
        self._manager.close()

    def notes(self) -> tuple[str, ...]:
        """Nothing is owed to the manager."""
        return ()

    def _tell_ready(self) -> None:
        if not self._ready:
            self._manager.tell(READY="1", STATUS=self._vitality.status())
            self._ready = True  # only now may the thread tell that it lives

    def _look(self) -> None:
        """Tell every so often that the run lives, if it does, and how it is."""
        signs, status = 0, ""
        while not self._end.wait(self._look_s):
            if not self._ready:
                continue
            values = {}
            before, signs = signs, self._vitality.signs
            if self._period_s is not None and (signs > before or self._vitality.excused()):
                values["WATCHDOG"] = "1"
            told, status = status, self._status()
            if status != told:
                values["STATUS"] = status
            if values:
                self._manager.tell(**values)

    def _status(self) -> str:
        status, silent_s = self._vitality.status(), self._vitality.silent_s
        if silent_s <= _SILENT_LOOKS * self._look_s or self._vitality.excused():
            return status
        return f"nothing came through for {silent_s:.0f} s; {status}"


def service_output(environ: Mapping[str, str], names: Sequence[str]) -> ServiceOutput | None:
    """What tells the service manager; None where none wants to be told.

    Args:
        environ: Variables of this process.
        names: Of the sources, without secrets.
    """
    manager = service_manager(environ)
    if manager is None:
        return None
    return ServiceOutput(manager, names, period_s=watchdog_period_s(environ))
