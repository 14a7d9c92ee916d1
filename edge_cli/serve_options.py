"""`--serve` and `--serve-token` of `edgecls run`."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_cli.run_output import say
from models.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_cli.render import RunHeader
    from edge_cli.run_outputs import RunStream
    from runtime.serve.address import Address
    from runtime.serve.output import PageOutput
    from runtime.sources import FrameSource

ServeOption = Annotated[
    str | None,
    typer.Option(
        "--serve",
        metavar="[HOST]:PORT",
        show_default=False,
        rich_help_panel="Outputs",
        help="Serve a page to watch the run, with /metrics and /healthz; this machine only,"
        " unless HOST says otherwise.",
    ),
]

ServeTokenOption = Annotated[
    Path | None,
    typer.Option(
        "--serve-token",
        metavar="FILE",
        show_default=False,
        rich_help_panel="Outputs",
        help="Ask viewers for the token in FILE, which is made if absent;"
        " or set EDGECLS_SERVE_TOKEN.",
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeRequest:
    """Where the page is served, and to whom.

    Attributes:
        address: Resolved.
        token: None where only this machine can connect, without being asked.
    """

    address: Address
    token: str | None = field(repr=False)


def serve_asked(serve: str | None, token_file: Path | None) -> ServeRequest | None:
    """What the two options ask for; None for no page.

    Raises:
        UsageError: No address, a network address without a token, or a token that is too short.
        OutputError: The token file can be neither read nor made.
    """
    if serve is None:
        if token_file is not None:
            raise UsageError(
                "--serve-token is for the page of --serve, which was not asked for.",
                hint=f"--serve :8088 --serve-token {token_file}",
            )
        return None
    from runtime.serve.access import TOKEN_VARIABLE, readable_by_others, token_from
    from runtime.serve.address import address_from_text

    address = address_from_text(serve)
    token = token_from(token_file, os.environ)
    if token is None and not address.loopback:
        raise UsageError(
            f"--serve {serve} opens the page to the network, which needs a token.",
            hint=f"--serve-token FILE makes one; or set {TOKEN_VARIABLE}",
        )
    if token_file is not None and readable_by_others(token_file):
        say(f"warning: other users of this machine can read {token_file}: chmod 600 {token_file}")
    return ServeRequest(address=address, token=token)


def open_page(
    asked: ServeRequest,
    header: RunHeader,
    sources: Sequence[FrameSource],
    streams: Sequence[RunStream],
) -> PageOutput:
    """Start to serve, and say where.

    Args:
        asked: Where.
        header: Of the results.
        sources: Open.
        streams: What outputs must know of them.

    Raises:
        MissingExtra: The extra `serve` is not installed.
        OutputError: The port is taken.
    """
    from models.version import edgecls_version
    from runtime.serve.board import LiveBoard, RunFacts, StreamFacts
    from runtime.serve.output import PageOutput
    from runtime.serve.server import WatchServer

    board = LiveBoard(
        RunFacts(
            model=str(header.facts["model"]),
            engine=f"{header.facts['engine']}, {header.facts['precision']}",
            version=edgecls_version(),
            window_s=max(stream.window.length_s if stream.window else 0.0 for stream in streams),
            labels=header.labels,
        ),
        [StreamFacts(name=stream.name, live=stream.live) for stream in streams],
        counts=lambda stream: sources[stream].counts,
    )
    server = WatchServer(board, asked.address, asked.token)
    say(f"page: {server.url}{'' if asked.token is None else '   (asks for the token)'}")
    return PageOutput(board, server)
