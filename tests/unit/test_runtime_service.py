from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from runtime.outputs import FrameOutput
from runtime.pipeline import FrameWatch
from runtime.records import Frame, SourceEvent
from runtime.sampling import WindowSpec
from runtime.service.manager import ServiceManager, service_manager, watchdog_period_s
from runtime.service.output import ServiceOutput, service_output
from runtime.service.vitality import Vitality
from runtime.session import Tensor
from runtime.sources import Wanted
from tests import streams
from tests.boards import Clock, frame, prediction
from tests.fakes import FakeSession, FakeSource, frame_at, picture_of
from tests.notify_socket import NotifySocket
from tests.tiny_models import write_tiny_bundle

PERIOD_S = 0.4


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[NotifySocket]:
    with NotifySocket(tmp_path / "notify") as opened:
        yield opened


def _environ(systemd: NotifySocket, period_s: float | None = None) -> dict[str, str]:
    watched = {} if period_s is None else {"WATCHDOG_USEC": str(int(period_s * 1e6))}
    return {"NOTIFY_SOCKET": systemd.address, **watched}


def _lost(kind: str = "lost", *, delivers: bool = False) -> SourceEvent:
    return SourceEvent(
        kind=kind,  # type: ignore[arg-type]
        text=f"it is {kind}",
        time_s=1.0,
        at_s=1.7e9,
        delivers=delivers,
        breaks=True,
    )


@pytest.mark.parametrize("abstract", [False, True])
def test_a_message_of_several_values(tmp_path: Path, abstract: bool) -> None:
    address = f"@edgecls-{uuid.uuid4().hex}" if abstract else tmp_path / "notify"
    with NotifySocket(address) as systemd, ServiceManager(systemd.address) as manager:
        assert manager.tell(READY="1", STATUS="two\nMAINPID=1 lines, ünd")
        assert systemd.messages == [{"READY": "1", "STATUS": "two MAINPID=1 lines, ünd"}]


@pytest.mark.parametrize("address", ["", "notify", "vsock:2:1", "./notify"])
def test_no_manager(address: str) -> None:
    assert service_manager({"NOTIFY_SOCKET": address}) is None
    assert service_output({}, ["demo"]) is None


def test_a_manager_that_is_gone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with ServiceManager(str(tmp_path / "notify")) as manager:
        assert not manager.tell(READY="1")
        assert not manager.tell(WATCHDOG="1")
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("given", "expected_s"),
    [
        ({"WATCHDOG_USEC": "60000000"}, 60.0),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": "7"}, 0.5),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_watchdog_period(given: dict[str, str], expected_s: float | None) -> None:
    assert watchdog_period_s(given, process=7) == expected_s


def test_only_a_run_without_any_source_is_excused() -> None:
    vitality = Vitality(["front", "yard", "film"], clock=Clock())
    assert not vitality.excused()
    vitality.source_state(0, delivers=False, text="front: no picture for 5 s")
    vitality.source_state(1, delivers=False, text="refused")
    assert not vitality.excused()
    vitality.ended(2)
    assert vitality.excused()
    assert vitality.status() == "0 results; front: no picture for 5 s; yard: refused"
    vitality.source_state(1, delivers=True, text="back after 5 s")
    assert not vitality.excused()
    vitality.ended(0)
    vitality.ended(1)
    assert not vitality.excused()


def test_frames_are_asked_for_where_none_come() -> None:
    clock = Clock(100.0)
    vitality = Vitality(["a", "b"], clock=clock)
    assert vitality.due(0, None)
    vitality.frame(0)
    assert not vitality.due(0, None)
    assert not vitality.due(0, 5.0)
    clock.now_s += 5.5
    assert vitality.due(0, 5.0)
    assert vitality.due(1, 5.0)
    assert vitality.silent_s == 5.5


def test_many_lost_sources_are_counted() -> None:
    vitality = Vitality([f"camera{number}" for number in range(5)])
    for number in range(5):
        vitality.source_state(number, delivers=False, text="lost")
    vitality.result(0, "wave 93%")
    assert vitality.status() == (
        "1 result, the newest wave 93%; camera0: lost; camera1: lost; camera2: lost;"
        " 2 more sources lost"
    )


def test_ready_alive_stopping(systemd: NotifySocket) -> None:
    output = service_output(_environ(systemd, PERIOD_S), ["demo"])
    assert output is not None
    with output:
        watched: FrameOutput = output
        time.sleep(PERIOD_S)
        assert systemd.messages == []  # nothing has come yet
        assert watched.wants_frame(0)
        output.frame(frame(1), 0)
        assert not output.wants_frame(0)
        assert systemd.messages[0] == {"READY": "1", "STATUS": "0 results"}
        output.prediction(prediction())
        assert systemd.wait(lambda it: it.pings() > 0)
        assert output.wants_frame(0) or systemd.wait(lambda it: output.wants_frame(0))
        pings = systemd.pings()  # 1, or 2 with one between the frame and the result
        time.sleep(PERIOD_S)
        assert systemd.pings() == pings  # nothing came through since
        assert systemd.messages[-1]["STATUS"].startswith("nothing came through for")
        output.frame(frame(2), 0)
        assert systemd.wait(lambda it: it.pings() == pings + 1)
        output.ended(None)  # type: ignore[arg-type]
        output.frame(frame(3), 0)
        time.sleep(PERIOD_S)
        assert systemd.messages[-1]["STOPPING"] == "1"
    assert [one for one in systemd.messages if "READY" in one] == systemd.messages[:1]


def test_sources_that_are_lost_are_no_fault_of_the_service(systemd: NotifySocket) -> None:
    with ServiceOutput(ServiceManager(systemd.address), ["a", "b"], period_s=PERIOD_S) as output:
        output.source_event(_lost(), 0)
        output.source_event(_lost("silent"), 1)
        assert systemd.messages[0]["READY"] == "1"
        assert systemd.wait(lambda it: it.pings() >= 5)
        output.source_event(_lost("back", delivers=True), 1)
        time.sleep(PERIOD_S / 2)
        before = systemd.pings()
        time.sleep(PERIOD_S)
        assert systemd.pings() == before


def test_without_a_watchdog_there_is_only_a_status(systemd: NotifySocket) -> None:
    output = service_output(_environ(systemd), ["demo"])
    assert output is not None
    with output:
        output.frame(frame(1), 0)
        assert not output.wants_frame(0)
        time.sleep(PERIOD_S)
    assert systemd.messages == [{"READY": "1", "STATUS": "0 results"}]


class _Camera(FakeSource):
    """Gives the same frames again and again, until it is interrupted."""

    def frames(self, wanted: Wanted | None = None) -> Iterator[Frame | SourceEvent]:
        index = 0
        while not self.interrupted:
            time.sleep(0.005)
            time_s = index / 25
            if wanted is None or wanted(time_s):
                yield frame_at(time_s, index, picture=picture_of(index))
            index += 1


@pytest.mark.parametrize("count", [1, 2])
def test_an_engine_that_hangs_is_not_called_alive(tmp_path: Path, count: int) -> None:
    hangs, let_go = threading.Event(), threading.Event()

    def engine(clips: Tensor) -> Tensor:
        if hangs.is_set():
            let_go.wait(20)
        return np.zeros((len(clips), len(card.labels)), np.float32)

    card = write_tiny_bundle(tmp_path / "bundle").card
    sources = [_Camera([], live=True) for _ in range(count)]
    with (
        NotifySocket(tmp_path / "notify") as systemd,
        ServiceOutput(
            ServiceManager(systemd.address),
            [f"camera{n}" for n in range(count)],
            period_s=PERIOD_S,
        ) as output,
    ):
        predictions = streams.classified(
            [streams.windowed(source, card, WindowSpec(1.0, 0.2)) for source in sources],
            FakeSession(engine),
            card,
            watch=FrameWatch(
                on_frame=output.frame, wants=output.wants_frame, on_end=output.source_ended
            ),
        )

        def run() -> None:
            for one in predictions:
                output.prediction(one)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            assert systemd.wait(lambda it: it.pings() >= 3)
            hangs.set()
            time.sleep(PERIOD_S / 2)
            before = systemd.pings()
            time.sleep(2 * PERIOD_S)
            assert systemd.pings() == before
            hangs.clear()
            let_go.set()
            assert systemd.wait(lambda it: it.pings() > before)
        finally:
            let_go.set()
            for source in sources:
                source.interrupt()
            thread.join(10)
        assert not thread.is_alive()
