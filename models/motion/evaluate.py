"""Accuracy on held-out clips: in order, reversed and shuffled.

Run as ``python -m models.motion.evaluate --bundle DIR`` (needs onnxruntime, no PyTorch) or
``--checkpoint FILE`` (needs PyTorch).
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.extras import import_onnxruntime
from models.motion.clips import POOLS, ClipStyle, Frames, render_clip, seed_generator
from models.motion.labels import MOTION_LABELS, REVERSED_INDICES

Logits = NDArray[np.float32]
Labels = NDArray[np.int64]
Predict = Callable[[Frames], Logits]
"""RGB clips, uint8 ``[N, 8, S, S, 3]``, to logits ``[N, classes]``."""

CLIP_FRAMES: Final = 8
CLIP_SIDE: Final = 64
"""Side of the network's input in pixels."""
HELD_OUT_SEED: Final = 900_000_000
HELD_OUT_TEXTURES: Final = 120
HELD_OUT_POOLS: Final = ("seen-kinds", "new-kinds")
_MEAN: Final = np.array([0.485, 0.456, 0.406], np.float32)
_STD: Final = np.array([0.229, 0.224, 0.225], np.float32)


@dataclass(frozen=True)
class Score:
    """Accuracy on one held-out set.

    Attributes:
        accuracy: share of right answers, frames in order.
        reversed_accuracy: share of right answers, frames backwards and labels swapped to match.
        shuffled_accuracy: share of answers that name the original class, frames shuffled.
        shuffled_still: share of shuffled clips called ``still``.
        confusion: counts ``[true][answer]``, frames in order.
    """

    accuracy: float
    reversed_accuracy: float
    shuffled_accuracy: float
    shuffled_still: float
    confusion: list[list[int]]


def normalize_clips(clips: Frames) -> NDArray[np.float32]:
    """RGB clips, uint8 ``[N, T, H, W, 3]``, to network input, float32 ``[N, T, 3, H, W]``."""
    scaled = (clips.astype(np.float32) / np.float32(255) - _MEAN) / _STD
    return np.ascontiguousarray(scaled.transpose(0, 1, 4, 2, 3), dtype=np.float32)


def render_held_out(pool: str, count: int, side: int) -> tuple[Frames, Labels]:
    """Renders the first ``count`` clips of a held-out pool, the classes in turn.

    Args:
        pool: ``seen-kinds`` (new textures of the kinds trained on) or ``new-kinds``.
        count: number of clips.
        side: height and width in pixels.

    Returns:
        RGB clips, uint8 ``[count, 8, side, side, 3]``, and class indices ``[count]``.
    """
    style = ClipStyle(side=side, frames=CLIP_FRAMES, pool=pool, textures=HELD_OUT_TEXTURES)
    labels = np.arange(count, dtype=np.int64) % len(MOTION_LABELS)
    seed = (HELD_OUT_SEED, POOLS[pool][0])
    clips = [
        render_clip(MOTION_LABELS[label], (*seed, place), style)
        for place, label in enumerate(labels)
    ]
    return np.stack(clips), labels


def _answer(predict: Predict, clips: Frames, batch: int = 32) -> Labels:
    chunks = [predict(clips[start : start + batch]) for start in range(0, len(clips), batch)]
    return np.asarray(np.concatenate(chunks).argmax(-1), np.int64)


def score_clips(predict: Predict, clips: Frames, labels: Labels) -> Score:
    """Scores a classifier on clips in order, reversed and shuffled."""
    classes = len(MOTION_LABELS)
    answers = _answer(predict, clips)
    backwards = _answer(predict, clips[:, ::-1])
    rng = seed_generator(HELD_OUT_SEED)
    mixed = np.stack([clip[rng.permutation(CLIP_FRAMES)] for clip in clips])
    shuffled = _answer(predict, mixed)
    confusion = np.zeros((classes, classes), int)
    np.add.at(confusion, (labels, answers), 1)
    return Score(
        accuracy=float((answers == labels).mean()),
        reversed_accuracy=float((backwards == np.array(REVERSED_INDICES)[labels]).mean()),
        shuffled_accuracy=float((shuffled == labels).mean()),
        shuffled_still=float((shuffled == 0).mean()),
        confusion=confusion.tolist(),
    )


def open_bundle(path: Path) -> Predict:
    """Opens ``model.onnx`` of a bundle with onnxruntime."""
    onnxruntime = import_onnxruntime()
    session: Any = onnxruntime.InferenceSession(
        str(path / "model.onnx"), providers=["CPUExecutionProvider"]
    )
    name = session.get_inputs()[0].name

    def predict(clips: Frames) -> Logits:
        return np.asarray(session.run(None, {name: normalize_clips(clips)})[0], np.float32)

    return predict


def open_checkpoint(path: Path) -> Predict:
    """Opens a ``.pdparams`` checkpoint with PyTorch."""
    import torch

    from models.motion.checkpoint import load_network, read_checkpoint

    network = load_network(read_checkpoint(path)).to(memory_format=torch.channels_last)

    def predict(clips: Frames) -> Logits:
        with torch.inference_mode():
            return np.asarray(network(torch.from_numpy(normalize_clips(clips))).numpy())

    return predict


def format_score(name: str, score: Score) -> str:
    """A score as lines of text: the three accuracies and the confusion matrix."""
    lines = [
        f"{name}: in order {score.accuracy:.1%}, reversed {score.reversed_accuracy:.1%}, "
        f"shuffled {score.shuffled_accuracy:.1%} ({score.shuffled_still:.0%} called still)"
    ]
    for label, row in zip(MOTION_LABELS, score.confusion, strict=True):
        right = row[MOTION_LABELS.index(label)] / max(sum(row), 1)
        lines.append(f"  {label:<25}{right:>7.1%} " + "".join(f"{count:>5}" for count in row))
    return "\n".join(lines)


def main() -> None:
    """Command line entry point."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--bundle", type=Path, help="bundle folder with model.onnx")
    source.add_argument("--checkpoint", type=Path, help=".pdparams file")
    parser.add_argument("--clips", type=int, default=900, help="clips per held-out set")
    parser.add_argument("--side", type=int, default=CLIP_SIDE, help="side of the input in pixels")
    args = parser.parse_args()
    predict = open_bundle(args.bundle) if args.bundle else open_checkpoint(args.checkpoint)
    for pool in HELD_OUT_POOLS:
        score = score_clips(predict, *render_held_out(pool, args.clips, args.side))
        sys.stdout.write(format_score(pool, score) + "\n")


if __name__ == "__main__":
    main()
