"""The clips of a calibration: decoded once, kept on disk as small pictures, read one at a time."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import IO

import numpy as np

from calibration.clip_choice import (
    OVERLAP,
    Chosen,
    Wanted,
    divide_time,
    divide_videos,
    share_out,
    spread,
    window_count,
)
from calibration.clip_list import ClipEntry
from calibration.report import ClipUsed
from models.card import ModelCard, sha256_of
from models.errors import SourceError, UsageError
from models.spec import ClipSpec
from runtime.preprocess import clip_tensor, prepare
from runtime.sampling import ClipSampler, WindowSpec
from runtime.session import Tensor
from runtime.sources import open_source

logger = logging.getLogger(__name__)

RANDOM = "random"
"""Name of clips of noise, which must be asked for."""

OnStep = Callable[[str, int, int], None]
"""Told the title of a step, how much of it is done and how much there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredClip:
    """A clip of the set.

    Attributes:
        used: Its entry in the report.
        label: Its class; None when unknown.
        place: Number of its pictures in the store.
    """

    used: ClipUsed
    label: int | None
    place: int


class ClipStore:
    """Pictures of clips in a temporary file, so that memory does not depend on their number.

    The file has no name where the system allows that, so nothing is left behind by a crash.

    Args:
        clip: What the network wants.
        folder: Where the file goes; None for the system's temporary folder.
    """

    def __init__(self, clip: ClipSpec, *, folder: Path | None = None) -> None:
        self._clip = clip
        self._file: IO[bytes] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        self._shape = (clip.frames, clip.crop, clip.crop, 3)
        self._bytes = int(np.prod(self._shape))
        self._count = 0

    def add(self, pictures: Sequence[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]) -> int:
        """Keep the T prepared pictures of a clip; returns its place."""
        self._file.seek(self._count * self._bytes)
        self._file.write(np.ascontiguousarray(np.stack(pictures), dtype=np.uint8).tobytes())
        self._count += 1
        return self._count - 1

    def tensor(self, place: int) -> Tensor:
        """Input of the network, float32 [1, T, 3, crop, crop]."""
        self._file.seek(place * self._bytes)
        pictures = np.frombuffer(self._file.read(self._bytes), dtype=np.uint8)
        return clip_tensor(list(pictures.reshape(self._shape)), self._clip)

    def __enter__(self) -> ClipStore:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipSet:
    """Clips to calibrate on and clips that are held out.

    Attributes:
        store: Holds the pictures; the caller closes it.
        calibration: To read ranges off.
        held_out: To compare fp32 and INT8 on.
        notes: What is worth knowing, a sentence each.
    """

    store: ClipStore
    calibration: tuple[StoredClip, ...]
    held_out: tuple[StoredClip, ...]
    notes: tuple[str, ...]

    def tensors(self, clips: Sequence[StoredClip]) -> Iterator[Tensor]:
        """Inputs of clips one by one, each float32 [1, T, 3, crop, crop]."""
        for clip in clips:
            yield self.store.tensor(clip.place)


def clips_from_videos(
    entries: Sequence[ClipEntry],
    card: ModelCard,
    *,
    wanted: Wanted,
    store: ClipStore,
    on_step: OnStep,
) -> ClipSet:
    """Choose windows of videos and decode them, with the sampler and preprocessing of `run`.

    A video that cannot be read is left out, with a note.

    Args:
        entries: Videos with their classes.
        card: Of the model.
        wanted: Numbers of clips, and the seed.
        store: Where the pictures go.
        on_step: Told of the progress.

    Raises:
        SourceError: Fewer than two clips could be cut out.
    """
    notes: list[str] = []
    chosen = _choose(entries, card.clip.clip_length_s, wanted, notes)
    clips: list[StoredClip] = []
    for done, choice in enumerate(chosen):
        on_step("decoding clips", done, len(chosen))
        entry = entries[choice.video]
        try:
            clips += _decoded(entry, choice, card, store)
        except SourceError as error:
            logger.info("left out: %s", error.message)
            notes.append(f"{entry.name} was left out: {error.message}")
    on_step("decoding clips", len(chosen), len(chosen))
    parts = {
        part: tuple(clip for clip in clips if clip.used.part == part)
        for part in ("calibration", "held_out")
    }
    if not all(parts.values()):
        detail = f" ({notes[0]})" if notes else ""
        raise SourceError(
            f"{len(clips)} clip{'s' * (len(clips) != 1)} of {card.clip.clip_length_s:g} s could be"
            f" cut out of {len(entries)} video{'s' * (len(entries) != 1)}; at least one to"
            f" calibrate on and another to check are needed{detail}.",
            hint="Give more videos, or longer ones: --clips FOLDER",
        )
    have, asked = len(clips), wanted.calibration + wanted.held_out
    if have < asked:
        notes.append(
            f"{asked} clips were asked for, and {have} could be cut out:"
            f" {len(parts['calibration'])} to calibrate on, {len(parts['held_out'])} held out."
        )
    return ClipSet(
        store=store,
        calibration=parts["calibration"],
        held_out=parts["held_out"],
        notes=tuple(notes),
    )


def random_clips(card: ModelCard, *, wanted: Wanted, store: ClipStore) -> ClipSet:
    """Clips of coloured noise: they show whether INT8 works at all, not how accurate it is."""
    generator = np.random.default_rng(wanted.seed)
    side, clips = card.clip.crop, []
    for number in range(wanted.calibration + wanted.held_out):
        small = generator.integers(0, 256, (card.clip.frames, 8, 8, 3), dtype=np.uint8)
        factor = -(-side // 8)
        large = small.repeat(factor, axis=1).repeat(factor, axis=2)[:, :side, :side]
        grain = generator.integers(-24, 25, large.shape)
        pictures = np.clip(large.astype(np.int64) + grain, 0, 255).astype(np.uint8)
        used = ClipUsed(
            name=f"{RANDOM} {number}",
            sha256=None,
            start_s=0.0,
            end_s=card.clip.clip_length_s,
            label=None,
            part="calibration" if number < wanted.calibration else "held_out",
        )
        clips.append(StoredClip(used=used, label=None, place=store.add(list(pictures))))
    return ClipSet(
        store=store,
        calibration=tuple(clips[: wanted.calibration]),
        held_out=tuple(clips[wanted.calibration :]),
        notes=("The clips are noise: accuracy on real video is unknown.",),
    )


def _choose(
    entries: Sequence[ClipEntry], length_s: float, wanted: Wanted, notes: list[str]
) -> tuple[Chosen, ...]:
    """Windows of every video that is needed."""
    divided = divide_videos([entry.label for entry in entries], wanted)
    chosen: list[Chosen] = []
    for part, count in (("calibration", wanted.calibration), ("held_out", wanted.held_out)):
        videos = [video for video, its_part in divided if its_part == part][:count]
        grids = [_grid(entries[video], length_s, notes) for video in videos]
        offsets = [0] * len(videos)
        if len(entries) == 1 and grids[0] > 1:
            both = divide_time(grids[0], wanted)
            mine = both[0 if part == "calibration" else 1]
            grids, offsets = [len(mine)], [mine.start]
        elif len(entries) == 1 and part == "held_out":
            grids = [0]  # a single clip cannot be both
        shares = share_out(count, grids)
        for video, share, grid, offset in zip(videos, shares, grids, offsets, strict=True):
            if share:
                numbers = spread(share, grid, seed=wanted.seed * 1_000_003 + video)
                chosen.append(
                    Chosen(
                        video=video,
                        windows=tuple(offset + number for number in numbers),
                        part="calibration" if part == "calibration" else "held_out",
                    )
                )
    return tuple(chosen)


def _grid(entry: ClipEntry, length_s: float, notes: list[str]) -> int:
    """Number of windows that a video has room for; 0 for one that does not open."""
    try:
        with open_source(entry.source) as source:
            if source.live:
                raise UsageError(
                    f"{entry.name} is live; clips are cut out of files.",
                    hint="Record it first: --capture 60s --source camera0",
                )
            return window_count(source.duration_s, length_s)
    except SourceError as error:
        notes.append(f"{entry.name} was left out: {error.message}")
        return 0


def _decoded(
    entry: ClipEntry, choice: Chosen, card: ModelCard, store: ClipStore
) -> Iterator[StoredClip]:
    """Cut the windows of one video out; those that its true length has no room for are missing."""
    length_s = card.clip.clip_length_s
    window = WindowSpec(length_s, length_s / OVERLAP)
    sampler = ClipSampler(window, card.clip.frames, rule=card.clip.segment_frame)
    wanted = set(choice.windows)
    path = Path(entry.source)
    digest = sha256_of(path) if path.is_file() else None
    first_s: float | None = None
    with open_source(entry.source) as source:
        frames = iter(source)
        while wanted:
            frame = next(frames, None)
            if frame is None:
                clips = sampler.finish()
            else:
                first_s = frame.time_s if first_s is None else first_s
                clips = sampler.push(replace(frame, picture=prepare(frame.picture, card.clip)))
            for clip in clips:
                if clip.index in wanted:
                    wanted.discard(clip.index)
                    yield StoredClip(
                        used=ClipUsed(
                            name=entry.name,
                            sha256=digest,
                            start_s=clip.start_s - (first_s or 0.0),
                            end_s=clip.end_s - (first_s or 0.0),
                            label=None if entry.label is None else card.labels[entry.label],
                            part=choice.part,
                        ),
                        label=entry.label,
                        place=store.add([one.picture for one in clip.frames]),
                    )
            if frame is None:
                return
