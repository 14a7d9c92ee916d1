"""fp32 and INT8 compared on the same clips."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from calibration.report import Agreement, Answer
from runtime.decode import probabilities

Logits = NDArray[np.float32]

_TOP = 5


def compared(
    fp32: Logits,
    int8: Logits,
    *,
    labels: Sequence[int | None],
    output: Literal["logits", "probabilities"],
) -> Agreement:
    """Compare what two graphs say.

    Args:
        fp32: float32 [N, classes].
        int8: float32 [N, classes]; values that are not finite count as a wrong answer.
        labels: Class of every clip; None when unknown.
        output: What the values are.
    """
    broken = np.asarray(~np.isfinite(int8).all(axis=1))
    mine = np.where(broken[:, None], 0.0, int8).astype(np.float64)
    reference = fp32.astype(np.float64)
    noise = float(((mine - reference) ** 2).sum())
    signal = float((reference**2).sum())
    shares = probabilities(reference, output) - probabilities(mine, output)
    worst = np.where(broken, 1.0, np.abs(shares).max(axis=1))
    norms = np.linalg.norm(mine, axis=1) * np.linalg.norm(reference, axis=1)
    cosines = (mine * reference).sum(axis=1) / np.maximum(norms, 1e-30)
    same = (mine.argmax(axis=1) == reference.argmax(axis=1)) & ~broken
    return Agreement(
        clips=len(fp32),
        top1_agreement=float(same.mean()),
        mean_probability_diff=float(worst.mean()),
        max_probability_diff=float(worst.max()),
        logit_snr_db=None if noise == 0 else 10 * float(np.log10(max(signal, 1e-30) / noise)),
        logit_cosine=float(cosines.mean()),
    ).model_copy(update=_accuracy(reference, np.where(broken[:, None], -np.inf, mine), labels))


def _accuracy(
    fp32: NDArray[np.float64], int8: NDArray[np.float64], labels: Sequence[int | None]
) -> dict[str, float | int | None]:
    """The fields of `Agreement` that need labels."""
    known = [place for place, label in enumerate(labels) if label is not None]
    if not known:
        return {}
    truth = np.array([labels[place] for place in known])
    figures: dict[str, float | int | None] = {"labelled": len(known)}
    for name, logits in (("fp32", fp32[known]), ("int8", int8[known])):
        order = np.argsort(-logits, axis=1, kind="stable")
        figures[f"{name}_top1"] = float((order[:, 0] == truth).mean())
        if logits.shape[1] > _TOP:
            figures[f"{name}_top5"] = float((order[:, :_TOP] == truth[:, None]).any(axis=1).mean())
    return figures


def answers(
    fp32: Logits,
    int8: Logits,
    *,
    clips: Sequence[int],
    names: Sequence[str],
    output: Literal["logits", "probabilities"],
) -> tuple[Answer, ...]:
    """Best class and its probability by both graphs, clip by clip.

    Args:
        fp32: float32 [N, classes].
        int8: float32 [N, classes].
        clips: Number of each clip in the report.
        names: Of the classes.
        output: What the values are.
    """
    shares = [probabilities(np.nan_to_num(values), output) for values in (fp32, int8)]
    return tuple(
        Answer(
            clip=clip,
            fp32=names[int(one.argmax())],
            fp32_probability=float(one.max()),
            int8=names[int(two.argmax())],
            int8_probability=float(two.max()),
        )
        for clip, one, two in zip(clips, *shares, strict=True)
    )
