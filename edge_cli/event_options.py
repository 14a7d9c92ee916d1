"""Options of `edgecls run` about events and outputs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge_cli.event_request import Fsync, Smooth

_EVENTS = "Events"
_OUTPUTS = "Outputs"

SmoothOption = Annotated[
    Smooth | None,
    typer.Option(
        show_default="not at all",
        help="Smooth results over time: moving average, mean, or share of the results that each"
        " class won.",
        rich_help_panel=_EVENTS,
    ),
]

SmoothSpanOption = Annotated[
    float | None,
    typer.Option(
        "--smooth-span",
        metavar="S",
        show_default="four strides",
        help="Seconds of results that are smoothed together.",
        rich_help_panel=_EVENTS,
    ),
]

OnOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="P",
        show_default="0.5",
        help="Probability at which an event begins; CLASS=P for one class, again for more. With"
        " CLASS=P alone, only the classes named make events.",
        rich_help_panel=_EVENTS,
    ),
]

OffOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="P",
        show_default="0.8 of --on",
        help="Probability below which an event ends; CLASS=P for one class.",
        rich_help_panel=_EVENTS,
    ),
]

MinDurationOption = Annotated[
    list[str] | None,
    typer.Option(
        "--min-duration",
        metavar="S",
        show_default="0",
        help="A class that holds for less makes no event; CLASS=S for one class.",
        rich_help_panel=_EVENTS,
    ),
]

CooldownOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="S",
        show_default="0",
        help="After an event, its class makes no other for so long; CLASS=S for one class.",
        rich_help_panel=_EVENTS,
    ),
]

UntilOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="CLASS",
        show_default=False,
        help="End the run, with exit code 0, when an event of this class begins; 14 when there"
        " is none. Again for more classes.",
        rich_help_panel=_EVENTS,
    ),
]

OutputOption = Annotated[
    list[str] | None,
    typer.Option(
        "--output",
        metavar="KIND:FILE",
        show_default=False,
        help="Also append to a file: text, jsonl, csv, events-jsonl or events-csv. Again for"
        " more files.",
        rich_help_panel=_OUTPUTS,
    ),
]

FsyncOption = Annotated[
    Fsync | None,
    typer.Option(
        show_default="events",
        help="When lines of --output are forced onto the disk.",
        rich_help_panel=_OUTPUTS,
    ),
]

RecordEventsOption = Annotated[
    Path | None,
    typer.Option(
        "--record-events",
        metavar="DIR",
        show_default=False,
        help="Record a film of every event, seconds before it included.",
        rich_help_panel=_OUTPUTS,
    ),
]

PreRollOption = Annotated[
    float | None,
    typer.Option(
        "--pre-roll",
        metavar="S",
        show_default="the length of a window",
        help="Seconds of film before an event.",
        rich_help_panel=_OUTPUTS,
    ),
]

PostRollOption = Annotated[
    float | None,
    typer.Option(
        "--post-roll",
        metavar="S",
        show_default="3",
        help="Seconds of film after an event.",
        rich_help_panel=_OUTPUTS,
    ),
]

RecordLimitOption = Annotated[
    str | None,
    typer.Option(
        "--record-limit",
        metavar="SIZE",
        show_default="none",
        help="Keep the films of --record-events below this, e.g. 10GB: the oldest go.",
        rich_help_panel=_OUTPUTS,
    ),
]

ShowOption = Annotated[
    bool,
    typer.Option(
        "--show",
        help="Show the picture with its label in a window; q or Esc ends the run.",
        rich_help_panel=_OUTPUTS,
    ),
]

WebhookOption = Annotated[
    list[str] | None,
    typer.Option(
        "--webhook",
        metavar="URL",
        show_default=False,
        envvar="EDGECLS_WEBHOOK",
        show_envvar=False,
        help="POST every event as JSON, from a queue on disk; also from EDGECLS_WEBHOOK.",
        rich_help_panel=_OUTPUTS,
    ),
]

MqttOption = Annotated[
    list[str] | None,
    typer.Option(
        "--mqtt",
        metavar="URL",
        show_default=False,
        envvar="EDGECLS_MQTT",
        show_envvar=False,
        help="Publish every event: mqtt://USER@HOST:PORT/TOPIC, or mqtts; also from EDGECLS_MQTT.",
        rich_help_panel=_OUTPUTS,
    ),
]

QueueDirOption = Annotated[
    Path | None,
    typer.Option(
        "--queue-dir",
        metavar="DIR",
        show_default="in the user's folder for state",
        help="Where events wait until they are delivered.",
        rich_help_panel=_OUTPUTS,
    ),
]
