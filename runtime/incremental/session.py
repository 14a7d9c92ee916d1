"""Run clips that overlap: what they share is computed once and kept by the session."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.errors import BackendError, UsageError
from models.spec import ClipSpec
from models.stages import Stage
from runtime.closing import ClosesOnExit
from runtime.incremental.caches import RowCache
from runtime.incremental.clips import Reuse, Sharing, StagedModel, StreamClip
from runtime.incremental.plan import FreshRows, Planner, Window, levels_of
from runtime.preprocess import normalise_into
from runtime.records import Frame
from runtime.session import Tensor
from runtime.stage_session import Array, StageSession

_FRAMES_AT_ONCE = 8
"""Frames that are normalised and given to the engine at once, at least; bounds the memory that
the first clip of a stream takes."""


class IncrementalSession(ClosesOnExit):
    """A model in stages, with the rows that it keeps.

    Args:
        sessions: Its stages, in order; closed with this session.
        model: What they are.
        backend: Name of the backend.
        sharing: What is shared between clips.
    """

    def __init__(
        self,
        sessions: Sequence[StageSession],
        model: StagedModel,
        *,
        backend: str,
        sharing: Sharing,
    ) -> None:
        self._sessions = tuple(sessions)
        self._model = model
        self._backend = backend
        self._closed = False
        self._caches: tuple[RowCache, ...] = ()
        self._levels = levels_of([stage.offsets for stage in model.stages[1:-1]])
        self._rows_computed = (0,) * len(self._sessions)
        self._set_up(sharing)

    @property
    def backend(self) -> str:
        """Name of the backend."""
        return self._backend

    @property
    def engine(self) -> str:
        """Engine, version and device that really run."""
        return self._sessions[0].engine

    @property
    def reuse(self) -> Reuse:
        """Whether results are those of the whole graph."""
        return self._sharing.reuse

    @property
    def memory_bytes(self) -> int:
        """Memory for the rows that are kept, of all streams; the engine's own is not counted."""
        return sum(cache.memory_bytes for cache in self._caches)

    @property
    def memory_bytes_per_stream(self) -> int:
        """The part of one stream."""
        return self.memory_bytes // self._sharing.streams

    @property
    def rows_computed(self) -> tuple[int, ...]:
        """Rows that each stage computed in the last run; of the last stage the clips."""
        return self._rows_computed

    @property
    def clip(self) -> ClipSpec:
        """What the network wants."""
        return self._model.clip

    @property
    def stages(self) -> tuple[Stage, ...]:
        """What the stages are, in order."""
        return self._model.stages

    def run(self, clips: Sequence[StreamClip]) -> Tensor:
        """Compute logits; only rows that are not kept are computed.

        Args:
            clips: Of any streams, in any order. Clips of different streams are computed as one
                batch, as many as there are streams.

        Returns:
            float32 [len(clips), classes], owned by the caller.

        Raises:
            UsageError: A clip has not T frames, or one that was not prepared.
            BackendError: The engine failed, or the session is closed.
        """
        self._check_open()
        logits = np.empty((len(clips), self._model.classes), np.float32)
        counts = [0] * len(self._sessions)
        sequences = [self._sequence(clip) for clip in clips]
        done = 0
        try:
            for batch in self._planner.batches([window for window, _ in sequences]):
                end = done + len(batch)
                frames = [of_clip for _, of_clip in sequences[done:end]]
                self._compute(batch, frames, logits[done:end], counts)
                done = end
        except BaseException:  # an interruption too: what was planned may not have been computed
            self._planner.forget_all()
            raise
        self._rows_computed = tuple(counts)
        return logits

    def warm_up(self, streams: int | None = None) -> None:
        """Run every stage with the numbers of rows that recur, so that later runs are quick.

        Args:
            streams: Make room for that many first, which drops everything that is kept; None for
                as many as there is room for.

        Raises:
            BackendError: The engine failed, or the session is closed.
        """
        self._check_open()
        if streams is not None and streams != self._sharing.streams:
            sharing = self._sharing
            self._set_up(Sharing(reuse=sharing.reuse, streams=streams, phases=sharing.phases))
        for number, counts in enumerate(self._counts()):
            for count in {*counts, min(_FRAMES_AT_ONCE, self._model.clip.frames)}:
                inputs, outputs = self._blank(number, count)
                self._sessions[number].compute(inputs, outputs)

    def forget(self, stream: int) -> None:
        """Drop what is kept of a stream, as after its end; nothing happens if it is unknown."""
        self._planner.forget(stream)

    def close(self) -> None:
        """Free the engine and the caches; twice is fine."""
        self._closed = True
        for session in self._sessions:
            session.close()
        self._caches = ()

    def _set_up(self, sharing: Sharing) -> None:
        """Make room, with nothing kept."""
        frames = self._model.clip.frames
        self._sharing = sharing
        self._planner = Planner(
            self._levels,
            frames=frames,
            streams=sharing.streams,
            phases=sharing.phases,
            neighbours=sharing.reuse == "approx",
        )
        self._caches = tuple(
            RowCache(stage.outputs, slots=self._planner.quota(level) * sharing.streams)
            for stage, level in zip(self._model.stages, self._levels, strict=False)
        )
        crop = self._model.clip.crop
        at_once = max(_FRAMES_AT_ONCE, sharing.streams)
        self._pixels = np.zeros((at_once, 3, crop, crop), np.float32)
        self._planes = list(np.zeros((3, crop, crop), np.uint8))
        for number, counts in enumerate(self._counts()):
            self._sessions[number].prepare(counts, slots=self._slots_read(number))

    def _counts(self) -> list[set[int]]:
        """Numbers of rows that recur, by stage: of one stream, and of all in one batch."""
        frames = self._model.clip.frames
        steady: list[set[int]] = []
        for level in self._levels:
            per_step = {level.changed(frames)}
            if self._sharing.reuse == "approx":
                per_step = {1, min(frames, 1 + level.high)}  # with and without a frame after it
            steady.append(per_step)
        steady.append({1})
        return [{*each, *(count * self._sharing.streams for count in each)} for each in steady]

    def _slots_read(self, number: int) -> int:
        return len(self._caches[number - 1].tensors[0]) if number else 0

    def _blank(self, number: int, count: int) -> tuple[list[Array], list[Array]]:
        """Inputs and outputs of a stage for a run that is not about the result."""
        stage = self._model.stages[number]
        if stage.kind == "frame":
            inputs: list[Array] = [np.zeros((count, *self._pixels.shape[1:]), np.float32)]
        else:
            columns = len(stage.offsets) or self._model.clip.frames
            rows = np.zeros((count, columns), np.int64)
            inputs = [*self._caches[number - 1].tensors, rows]
        if stage.kind == "window":
            return inputs, [np.zeros((count, self._model.classes), np.float32)]
        return inputs, [np.zeros((count, *each.shape), each.dtype) for each in stage.outputs]

    def _sequence(self, clip: StreamClip) -> tuple[Window, tuple[Frame, ...]]:
        """A clip as the planner sees it, and the frames that its positions stand for."""
        count = self._model.clip.frames
        if len(clip.frames) != count:
            raise UsageError(f"The model takes {count} frames, got {len(clip.frames)}.")
        frames, first = clip.frames, 0
        if self._sharing.reuse == "approx":
            top = self._levels[-1]
            before = clip.before[top.low :] if top.low else ()
            frames = (*before, *frames, *clip.after[: top.high])
            first = len(before)
        ids = tuple([(frame.index, frame.arrived_s) for frame in frames])
        return Window(stream=clip.stream, ids=ids, first=first), frames

    def _compute(
        self,
        batch: Sequence[Window],
        frames: Sequence[tuple[Frame, ...]],
        logits: Tensor,
        counts: list[int],
    ) -> None:
        """Compute a batch: first the rows that are not kept, stage by stage, then its logits."""
        plan = self._planner.plan(batch)
        for number, fresh in enumerate(plan.fresh):
            counts[number] += len(fresh.slots)
            if not fresh.slots:
                continue
            if fresh.rows is None:
                self._compute_frames(fresh, frames)
                continue
            cache = self._caches[number]
            outputs = cache.destination(fresh.slots)
            self._sessions[number].compute([*self._caches[number - 1].tensors, fresh.rows], outputs)
            cache.settle(fresh.slots, outputs)
        self._sessions[-1].compute([*self._caches[-1].tensors, plan.rows], [logits])
        counts[-1] += len(batch)

    def _compute_frames(self, fresh: FreshRows, frames: Sequence[tuple[Frame, ...]]) -> None:
        """Normalise new frames and run the frame stage on them, some at a time."""
        cache, at_once = self._caches[0], len(self._pixels)
        for start in range(0, len(fresh.slots), at_once):
            slots = fresh.slots[start : start + at_once]
            pixels = self._pixels[: len(slots)]
            for out, (w, position) in zip(pixels, fresh.frames[start:], strict=False):
                picture = frames[w][position].picture
                normalise_into(picture, self._model.clip, out, planes=self._planes)
            outputs = cache.destination(slots)
            self._sessions[0].compute([pixels], outputs)
            cache.settle(slots, outputs)

    def _check_open(self) -> None:
        if self._closed:
            raise BackendError(
                f"The {self._backend} session is closed; open the model again to run it."
            )
