"""Compare a model in stages with the whole graph, clip by clip on a random walk.

The walk is about everything that clips of a stream do: they go on by one frame or by several,
leave frames out, hold one, come again, start anew, pick frames here and there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from models.spec import ClipSpec
from runtime.incremental.clips import StreamClip
from runtime.incremental.session import IncrementalSession
from runtime.preprocess import clip_tensor
from runtime.records import Frame, Picture
from runtime.session import Session, Tensor

EXACT = 1e-4
"""Largest difference of a logit, as a share of the range of the logits, between a graph in stages
and whole. Engines sum in another order in graphs of other shapes, and nothing else may differ."""

_TWICE = 4
"""Clips that the whole graph computes a second time, as parts of a batch."""

EVERY_KIND = 10
"""Steps of a walk in which every kind of step occurs once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WalkReport:
    """How far a model in stages is from the whole graph, over all clips of a walk.

    Attributes:
        clips: Number of clips compared.
        max_abs_diff: Largest difference of a logit.
        max_rel_diff: The same over the range of all logits of the whole graph.
        twice_rel_diff: Largest difference, over the same range, between two runs of the whole
            graph: of a clip by itself and in a batch.
        top1_agreement: Share of clips whose best class is the same.
        reused: Share of the frames that did not have to be computed.
    """

    clips: int
    max_abs_diff: float
    max_rel_diff: float
    twice_rel_diff: float
    top1_agreement: float
    reused: float

    @property
    def tolerance(self) -> float:
        """Largest `max_rel_diff` that passes.

        It is `EXACT`, or what two runs of the whole graph differ by, where that is more: of INT8
        graphs a difference of rounding can move a value by a whole step.
        """
        return max(EXACT, self.twice_rel_diff)

    @property
    def passed(self) -> bool:
        """The stages compute what the whole graph computes."""
        return self.max_rel_diff <= self.tolerance  # False for NaN


def walk(
    staged: IncrementalSession,
    whole: Session,
    *,
    steps: int,
    streams: int = 1,
    seed: int = 0,
    on_step: Callable[[int], None] | None = None,
) -> WalkReport:
    """Run the same clips through both, one or several streams at a time.

    Args:
        staged: Exact, with room for `streams`; what it keeps is dropped first and last.
        whole: The same graph as one.
        steps: Runs of `staged`; with one stream every kind of step occurs in `EVERY_KIND` of them.
        streams: Streams that walk; each takes part in every other run or so.
        seed: Of the walk and its pictures.
        on_step: Called with the number of each step that was made, from 1.

    Raises:
        BackendError: An engine failed.
    """
    rng = np.random.default_rng(seed)
    spec = staged.clip
    walkers = [_walk(rng, spec, stream, staged) for stream in range(streams)]
    ours: list[Tensor] = []
    theirs: list[Tensor] = []
    tensors: list[Tensor] = []
    computed = 0
    for stream in range(streams):
        staged.forget(stream)
    for step in range(1, steps + 1):
        taking_part = [next(one) for one in walkers if rng.random() < 0.6] or [next(walkers[0])]
        ours.append(staged.run(taking_part))
        computed += staged.rows_computed[0]
        for clip in taking_part:
            tensor = clip_tensor([frame.picture for frame in clip.frames], spec)
            theirs.append(whole.run(tensor))
            if len(tensors) < _TWICE:
                tensors.append(tensor)
        if on_step is not None:
            on_step(step)
    for stream in range(streams):
        staged.forget(stream)
    twice = whole.run(np.concatenate(tensors))
    return _report(
        np.concatenate(ours),
        np.concatenate(theirs),
        twice,
        reused=1 - computed / (sum(map(len, ours)) * spec.frames),
    )


def _report(ours: Tensor, whole: Tensor, twice: Tensor, *, reused: float) -> WalkReport:
    spread = float(np.ptp(whole)) or 1.0
    differences = np.abs(ours - whole)
    return WalkReport(
        clips=len(ours),
        max_abs_diff=float(differences.max()),
        max_rel_diff=float(differences.max()) / spread,
        twice_rel_diff=float(np.abs(whole[: len(twice)] - twice).max()) / spread,
        top1_agreement=float((ours.argmax(axis=1) == whole.argmax(axis=1)).mean()),
        reused=reused,
    )


def _walk(
    rng: np.random.Generator, spec: ClipSpec, stream: int, staged: IncrementalSession
) -> Iterator[StreamClip]:
    """Clips of one stream for ever: every kind of step once, one frame further in between."""
    trail = _Trail(rng, spec)
    kinds = [trail.further, trail.skip, trail.hop, trail.hold, trail.again, trail.pick]
    rare = [trail.restart, trail.replay]
    first = [*kinds, *rare, trail.hold]
    trail.restart()
    yield trail.clip(stream)
    for kind in first:
        kind()
        yield trail.clip(stream)
    while True:
        chance = rng.random()
        if chance < 0.02:
            staged.forget(stream)
        pool = rare if chance < 0.06 else kinds
        (trail.further if chance > 0.5 else pool[rng.integers(len(pool))])()
        yield trail.clip(stream)


class _Trail:
    """The frames that a stream has shown, and those of its present clip."""

    def __init__(self, rng: np.random.Generator, spec: ClipSpec) -> None:
        self._rng = rng
        self._spec = spec
        self._index = -1
        self._made = 0
        self._seen: list[Frame] = []
        self._frames: list[Frame] = []

    def clip(self, stream: int) -> StreamClip:
        return StreamClip(frames=tuple(self._frames), stream=stream)

    def further(self) -> None:
        """One frame on."""
        self._show(1)

    def hop(self) -> None:
        """Several frames on, perhaps past the whole clip."""
        self._show(int(self._rng.integers(2, self._spec.frames + 3)))

    def skip(self) -> None:
        """One frame on, some in between were left out."""
        self._index += int(self._rng.integers(1, 5))
        self._show(1)

    def hold(self) -> None:
        """The last frame once more."""
        self._frames = [*self._frames[1:], self._frames[-1]]

    def again(self) -> None:
        """The same clip."""

    def pick(self) -> None:
        """Some of the latest frames, in order, perhaps more than once each."""
        count = self._spec.frames
        places = self._rng.integers(0, len(self._seen), count)
        self._frames = [self._seen[place] for place in sorted(places)]

    def restart(self) -> None:
        """A clip of new frames alone."""
        self._seen.clear()
        self._show(self._spec.frames)

    def replay(self) -> None:
        """The source starts anew, and its frames have the numbers that others had."""
        self._index = -1
        self.restart()

    def _show(self, count: int) -> None:
        frames = self._spec.frames
        for _ in range(count):
            self._index += 1
            self._made += 1
            frame = Frame(
                picture=_picture(self._rng, self._spec.crop),
                index=self._index,
                time_s=float(self._made),
                arrived_s=float(self._made),
                decode_ms=0.0,
            )
            self._seen = [*self._seen, frame][-2 * frames :]
            self._frames = [*self._frames, frame][-frames:]


def _picture(rng: np.random.Generator, crop: int) -> Picture:
    """Patches of random colours, of a random size and contrast."""
    size = int(rng.choice([1, 4, 16, 64]))
    count = -(-crop // size)
    patches = rng.integers(0, 256, (count, count, 3)) * rng.uniform(0.2, 1.0)
    picture = patches.astype(np.uint8).repeat(size, axis=0).repeat(size, axis=1)
    return np.ascontiguousarray(picture[:crop, :crop])
