"""The process in which one way of serving streams is measured, see `runtime.stream_bench`."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Any

import numpy as np

from models.bundle import Bundle, open_bundle
from models.card import Variant
from models.spec import ClipSpec
from runtime.backends import backend_named
from runtime.incremental import StreamClip, open_incremental
from runtime.records import Frame
from runtime.session import SessionOptions
from runtime.turn_worker import Measured, serve

PICTURES = 16
"""Different pictures that follow one another in the made-up streams."""


class FrameRings:
    """Made-up streams: of each the newest frames, as a grid keeps them.

    Args:
        clip: What the network wants.
        streams: How many.
        hop: Frames by which a window moves.
        around: Frames before and after a window that its clip names. A window then ends as many
            frames before the newest.
    """

    def __init__(self, clip: ClipSpec, *, streams: int, hop: int, around: int = 0) -> None:
        noise = np.random.default_rng(0)
        size = (PICTURES, clip.crop, clip.crop, 3)
        self._pictures = noise.integers(0, 256, size, dtype=np.uint8)
        self._hop = hop
        self._around = around
        self._rings: list[deque[Frame]] = [
            deque(maxlen=clip.frames + 2 * around) for _ in range(streams)
        ]
        self._next = 0
        for _ in range(clip.frames + 2 * around):
            self._push()

    def move(self) -> None:
        """On to the next windows."""
        for _ in range(self._hop):
            self._push()

    def clips(self) -> list[StreamClip]:
        """The windows of all streams."""
        around = self._around
        clips = []
        for stream, ring in enumerate(self._rings):
            frames = tuple(ring)
            clips.append(
                StreamClip(
                    frames=frames[around : len(frames) - around],
                    stream=stream,
                    before=frames[:around],
                    after=frames[len(frames) - around :] if around else (),
                )
            )
        return clips

    def _push(self) -> None:
        for stream, ring in enumerate(self._rings):
            picture = self._pictures[(self._next + stream) % PICTURES]
            time_s = float(self._next)
            ring.append(
                Frame(
                    picture=picture,
                    index=self._next,
                    time_s=time_s,
                    arrived_s=time_s,
                    decode_ms=0.0,
                )
            )
        self._next += 1


def prepared(order: dict[str, Any]) -> Measured:
    """Load what is to be measured.

    Args:
        order: See `runtime.stream_bench.own_entries`; with `threads`.

    Raises:
        BundleError: The graph is missing or altered.
        BackendError: The backend failed.
    """
    bundle = open_bundle(Path(order["bundle"]))
    (variant,) = [one for one in bundle.card.variants if one.file == order["file"]]
    options = SessionOptions(threads=order["threads"])
    if order["way"] == "whole":
        return _whole(bundle, variant, order, options)
    return _incremental(bundle, variant, order, options)


def _whole(
    bundle: Bundle, variant: Variant, order: dict[str, Any], options: SessionOptions
) -> Measured:
    """Whole windows; their tensor is there already."""
    shape = bundle.card.clip.input_shape(order["streams"])
    clips = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    path = bundle.graph_path(variant)
    session = backend_named(order["backend"]).open(path, bundle.card, options)
    return Measured(call=lambda: session.run(clips), facts={"engine": session.engine})


def _incremental(
    bundle: Bundle, variant: Variant, order: dict[str, Any], options: SessionOptions
) -> Measured:
    """Windows that move on; normalising the new frames is part of the time."""
    streams = order["streams"]
    session = open_incremental(
        bundle,
        variant,
        backend_named(order["backend"]),
        options,
        reuse=order["way"],
        streams=streams,
    )
    session.warm_up()
    reach = sum(max(map(abs, stage.offsets), default=0) for stage in variant.stages)
    around = reach if order["way"] == "approx" else 0
    rings = FrameRings(bundle.card.clip, streams=streams, hop=order["hop"], around=around)
    for _ in range(bundle.card.clip.frames + 1):
        session.run(rings.clips())
        rings.move()
    return Measured(
        before=rings.move,
        call=lambda: session.run(rings.clips()),
        facts={"engine": session.engine, "stream_bytes": session.memory_bytes_per_stream},
    )


if __name__ == "__main__":
    serve(prepared)
