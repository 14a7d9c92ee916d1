"""Events to other machines: webhooks and MQTT, both from queues on disk."""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.degrade.news import DegradeNews
    from runtime.outputs import EventNews
    from runtime.outputs.courier import Courier, Transport
    from runtime.outputs.run_end import RunEnd
    from runtime.records import Prediction, SourceEvent

TOKEN = "EDGECLS_WEBHOOK_TOKEN"
SIGNING_KEY = "EDGECLS_WEBHOOK_SECRET"
MQTT_PASSWORD = "EDGECLS_MQTT_PASSWORD"


_USUAL = ("file", "loop")
"""What befalls a source in the usual course is not sent."""


class DeliveredEvents:
    """Sends every event, and what befalls the sources; no results.

    Args:
        courier: Closed by `close`.
        model: Name of the model.
        run: Id of this run, so that event ids of two runs can be told apart.
        sources: Their names, without secrets.
    """

    def __init__(self, courier: Courier, *, model: str, run: str, sources: tuple[str, ...]) -> None:
        self._courier = courier
        self._sources = sources
        self._facts = {"run": run, "host": socket.gethostname(), "model": model}

    def prediction(self, prediction: Prediction) -> None:
        """Results are not sent."""

    def event(self, news: EventNews) -> None:
        """Queue the beginning or the end of an event."""
        from runtime.outputs.event_record import event_record

        self._queue("event", event_record(news))

    def source_event(self, event: SourceEvent, stream: int) -> None:
        """Queue what befell a source."""
        from runtime.outputs.event_record import source_record

        if event.kind not in _USUAL:
            self._queue("source", source_record(event, stream, self._sources[stream]))

    def degraded(self, news: DegradeNews) -> None:
        """Steps of the ladder are not sent."""

    def ended(self, end: RunEnd) -> None:
        """The end of a run is not sent."""

    def close(self, *, grace_s: float) -> None:
        """Send what can be sent in that time; the rest stays in the queue."""
        self._courier.close(grace_s=grace_s)

    def notes(self) -> tuple[str, ...]:
        """What waits or was given up."""
        return self._courier.notes()

    def _queue(self, kind: str, record: Mapping[str, Any]) -> None:
        id = uuid.uuid4().hex  # noqa: A001 (it is one)
        whole = {"type": kind, "delivery": id, **self._facts, **record}
        self._courier.post(json.dumps(whole, ensure_ascii=False).encode(), id=id)


def delivered_events(
    webhooks: Sequence[str],
    mqtt: Sequence[str],
    *,
    queue_dir: Path | None,
    model: str,
    run: str,
    sources: tuple[str, ...],
) -> list[DeliveredEvents]:
    """One for each address; all addresses are looked at before the first connection.

    Args:
        webhooks: Addresses, each other than the others.
        mqtt: The same.
        queue_dir: Where deliveries wait; None for the user's folder for state.
        model: Name of the model.
        run: Id of this run.
        sources: Their names, without secrets.

    Returns:
        In the order of the addresses, webhooks first.

    Raises:
        UsageError: An address is none.
        OutputError: A queue cannot be opened.
        MissingExtra: MQTT is asked for and not installed.
    """
    from runtime.outputs.courier import Courier
    from runtime.outputs.delivery_queue import DeliveryQueue
    from runtime.outputs.mqtt import Mqtt
    from runtime.outputs.webhook import Webhook, WebhookSecrets

    secrets = WebhookSecrets(
        token=os.environ.get(TOKEN) or None, signing_key=os.environ.get(SIGNING_KEY) or None
    )
    transports: list[tuple[Path, Transport]] = [
        (_queue_path(queue_dir, url), Webhook(url, secrets=secrets)) for url in webhooks
    ]
    password = os.environ.get(MQTT_PASSWORD) or None
    transports += [(_queue_path(queue_dir, url), Mqtt(url, password=password)) for url in mqtt]
    made: list[DeliveredEvents] = []
    try:
        for path, transport in transports:
            courier = Courier(DeliveryQueue(path), transport)
            made.append(DeliveredEvents(courier, model=model, run=run, sources=sources))
    except BaseException:
        for one in made:
            one.close(grace_s=0.0)
        raise
    return made


def _queue_path(queue_dir: Path | None, url: str) -> Path:
    """The queue of an address: the same for every run, without its secrets in the name."""
    from platformdirs import user_state_path

    folder = queue_dir or user_state_path("edgecls") / "queues"
    scheme, _, rest = url.partition("://")
    user, _, place = rest.rpartition("@")
    host = re.sub(r"[^A-Za-z0-9.-]+", "-", re.split(r"[/?#]", place)[0])[:60]
    same = f"{scheme}://{user.partition(':')[0]}@{place}"
    digest = hashlib.sha256(same.encode("utf-8", "surrogateescape")).hexdigest()[:12]
    return folder / f"{scheme}-{host}-{digest}.sqlite"
