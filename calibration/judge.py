"""Runs graphs on the clips of a calibration and compares what they say with fp32."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from calibration.agreement import Logits, compared
from calibration.clip_set import ClipSet, OnStep, StoredClip
from calibration.report import Agreement
from models.bundle import Bundle
from models.card import ModelCard
from runtime.backends import backend_named
from runtime.session import SessionOptions

SEARCH_CLIPS = 24
"""Calibration clips on which candidates are compared."""

SENSITIVITY_CLIPS = 6
"""Calibration clips on which single layers are."""


def evenly(clips: Sequence[StoredClip], count: int) -> tuple[StoredClip, ...]:
    """At most that many clips, spread over the whole sequence."""
    count = min(count, len(clips))
    return tuple(clips[place * len(clips) // count] for place in range(count))


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """Compares graphs with fp32, on the same engine and clips.

    Attributes:
        bundle: Holds the fp32 graph.
        clips: What to run on.
        on_step: Told of the progress.
        known: Logits of fp32 by backend and clips, so that it runs once.
    """

    bundle: Bundle
    clips: ClipSet
    on_step: OnStep
    known: dict[tuple[str, tuple[int, ...]], Logits] = field(default_factory=dict)

    @property
    def card(self) -> ModelCard:
        """Of the model."""
        return self.bundle.card

    def fp32(self, backend: str, clips: Sequence[StoredClip]) -> Logits:
        """Logits of the fp32 graph, float32 [N, classes].

        Raises:
            BackendError: The engine failed.
        """
        key = backend, tuple(clip.place for clip in clips)
        if key not in self.known:
            path = self.bundle.model_path("fp32")
            self.known[key] = self.logits(path, backend, clips, title=f"fp32 on {backend}")
        return self.known[key]

    def logits(
        self, path: Path, backend: str, clips: Sequence[StoredClip], *, title: str = ""
    ) -> Logits:
        """Logits of a graph, one clip at a time, float32 [N, classes].

        Raises:
            BackendError: The engine cannot load or run it.
        """
        results = []
        with backend_named(backend).open(path, self.card, SessionOptions()) as session:
            for done, tensor in enumerate(self.clips.tensors(clips)):
                if title:
                    self.on_step(title, done, len(clips))
                results.append(session.run(tensor))
        if title:
            self.on_step(title, len(clips), len(clips))
        return np.concatenate(results)

    def agreement(self, logits: Logits, backend: str, clips: Sequence[StoredClip]) -> Agreement:
        """Compare what a graph says of clips with what fp32 says.

        Raises:
            BackendError: The engine cannot run fp32.
        """
        return compared(
            self.fp32(backend, clips),
            logits,
            labels=[clip.label for clip in clips],
            output=self.card.output,
        )

    def search_clips(self) -> tuple[StoredClip, ...]:
        """Clips for comparing candidates."""
        return evenly(self.clips.calibration, SEARCH_CLIPS)

    def sensitivity_clips(self) -> tuple[StoredClip, ...]:
        """Clips for comparing layers."""
        return evenly(self.clips.calibration, SENSITIVITY_CLIPS)
