"""The parity certificate: what ONNX computes is what the reference computes, or no bundle."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from convert.parity_clips import natural_clips, random_clips
from models.card import Certificate, ParityCase
from models.errors import ConversionError, ParityError
from models.extras import import_onnxruntime
from models.messages import telling_line
from models.spec import ClipSpec
from runtime.batches import in_fixed_batches
from runtime.session import Tensor

Reference = Callable[[Tensor], Tensor]
"""Clips float32 [N, T, 3, H, W] to logits float32 [N, classes]."""

TOLERANCE = 1e-4
"""Largest difference that passes, relative to the range of the reference logits."""

UNITS_OF_NOISE, WORST_TOLERANCE = 10.0, 1e-3
"""Where the reference itself moves by more when its input is rounded differently, so many times
that movement passes, up to the second number."""

BATCHES = (1, 2, 3)
Order = Literal["in_order", "reversed", "shuffled"]
ORDERS: tuple[Order, ...] = ("in_order", "reversed", "shuffled")
_MAKERS: tuple[tuple[Literal["random", "natural"], Callable[[ClipSpec, int, int], Tensor]], ...] = (
    ("random", random_clips),
    ("natural", natural_clips),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Reference and ONNX logits of one case, float32 [N, classes] each."""

    clip: Literal["random", "natural"]
    order: Order
    batch: int
    reference: Tensor
    onnx: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Every case of a comparison."""

    cases: tuple[Compared, ...]

    @property
    def output(self) -> Literal["logits", "probabilities"]:
        """What the reference puts out.

        Rows that are nowhere negative and sum up to 1, for every clip, are probabilities.
        """
        scores = np.concatenate([case.reference for case in self.cases])
        shares = bool((scores >= 0).all()) and np.allclose(scores.sum(axis=1), 1.0, atol=1e-3)
        return "probabilities" if shares else "logits"


def frame_order(order: Order, frames: int) -> NDArray[np.intp]:
    """Indices that put the frames of a clip into an order; the shuffle is always the same."""
    indices: NDArray[np.intp] = np.arange(frames)
    if order == "reversed":
        indices = indices[::-1].copy()
    elif order == "shuffled":
        np.random.Generator(np.random.PCG64(frames)).shuffle(indices)
    return indices


def parity_scenes(clip: ClipSpec) -> Iterator[tuple[Literal["random", "natural"], Tensor]]:
    """The clips of the comparison: per kind one scene, its frames in the orders of `ORDERS`.

    Yields:
        The kind, and float32 [3, T, 3, H, W]: three different clips; always the same ones.
    """
    for seed, (kind, make) in enumerate(_MAKERS):
        scene = make(clip, 1, seed)
        yield (
            kind,
            np.concatenate([scene[:, frame_order(order, clip.frames)] for order in ORDERS]),
        )


def compare(
    reference: Reference,
    onnx: Reference,
    clip: ClipSpec,
    *,
    batches: tuple[int, ...] = BATCHES,
    on_case: Callable[[int, int], None] = lambda done, total: None,
) -> Comparison:
    """Run both sides on every kind of clip, frame order and batch size.

    A batch of N starts with the order under test and goes on with the others, so that no two
    clips of a batch are alike. The reference sees one clip at a time, ONNX whole batches: a graph
    that mixes up the clips of a batch, or that froze the frame order it was traced with, cannot
    pass.

    Args:
        reference: Logits by the reference.
        onnx: Logits by the graph under test.
        clip: What the network takes.
        batches: Batch sizes that the graph is made for.
        on_case: Told the number of cases done and the total.

    Raises:
        ParityError: The graph gives logits of another shape.
    """
    compared: list[Compared] = []
    total = len(_MAKERS) * len(ORDERS) * len(batches)
    for kind, clips in parity_scenes(clip):
        truth = np.concatenate([reference(one[None].copy()) for one in clips])
        for first, order in enumerate(ORDERS):
            turn = np.roll(np.arange(len(ORDERS)), -first)
            for batch in batches:
                made, wanted = onnx(clips[turn[:batch]]), truth[turn[:batch]]
                if made.shape != wanted.shape:
                    raise ParityError(
                        f"ONNX gives {list(made.shape)} for {batch} clip(s), not"
                        f" {list(wanted.shape)}. No bundle was written.",
                        hint="Converting changed the network; report the model.",
                    )
                compared.append(
                    Compared(clip=kind, order=order, batch=batch, reference=wanted, onnx=made)
                )
                on_case(len(compared), total)
    return Comparison(cases=tuple(compared))


def rounding_noise(reference: Reference, clip: ClipSpec) -> float:
    """How far the reference's logits move when the last bit of its input does, over their range.

    A network whose gates saturate can amplify one unit in the last place a thousandfold. Two
    correct engines, which round differently at every layer, then differ by more than `TOLERANCE`.
    """
    moved, range_ = 0.0, 0.0
    rng = np.random.Generator(np.random.PCG64(0))
    for _, clips in parity_scenes(clip):
        signs = rng.choice(np.array([-1, 1], np.float32), clips.shape)
        rounded = np.nextafter(clips, clips + signs, dtype=np.float32)
        still = np.concatenate([reference(one[None].copy()) for one in clips])
        shaken = np.concatenate([reference(one[None].copy()) for one in rounded])
        moved = max(moved, float(np.abs(shaken - still).max()))
        range_ = max(range_, float(np.ptp(still)))
    return moved / range_ if range_ else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """What the reference is, in words.

    Attributes:
        name: For the certificate, e.g. "paddlepaddle 3.3.1".
        short: For messages, e.g. "Paddle".
        proves: See `Certificate`.
    """

    name: str
    short: str
    proves: Literal["training", "graph"]


def certify(
    compared: Comparison,
    witness: Witness,
    *,
    repairs: tuple[str, ...],
    versions: Mapping[str, str],
    noise: Callable[[], float] = lambda: 0.0,
) -> Certificate:
    """Judge the comparison.

    Args:
        compared: Every case.
        witness: What the reference is.
        repairs: Defects mended on the way.
        versions: Of the libraries involved.
        noise: Measures `rounding_noise`; asked only when `TOLERANCE` is missed.

    Raises:
        ParityError: A logit is off by more than is allowed, or is not finite.
    """
    everything = np.concatenate([case.reference for case in compared.cases])
    if not np.isfinite(everything).all():
        raise ParityError(
            f"{witness.short} itself computes NaN or infinite logits.",
            hint="The training diverged; use an earlier checkpoint.",
        )
    logit_range = float(np.ptp(everything))
    if logit_range == 0:
        raise ParityError(
            "All reference logits are equal, so nothing can be compared.",
            hint="Is this a trained checkpoint? Its classifier ignores the input.",
        )
    cases = [_judge(case, logit_range) for case in compared.cases]
    worst = max(cases, key=lambda case: case.max_abs_diff)
    tolerance = TOLERANCE
    if not worst.max_rel_diff <= TOLERANCE:
        tolerance = max(TOLERANCE, min(UNITS_OF_NOISE * noise(), WORST_TOLERANCE))
    if not worst.max_rel_diff <= tolerance:
        raise ParityError(
            f"ONNX differs from {witness.short} by {worst.max_abs_diff:.3g},"
            f" {worst.max_rel_diff:.2e} of the logit range {logit_range:.4g}; at most"
            f" {tolerance:.2g} is allowed. Worst case: {worst.clip} clip,"
            f" frames {worst.order.replace('_', ' ')}, batch {worst.batch}."
            " No bundle was written.",
            hint="Converting changed the network. Try another --opset, and report the model.",
        )
    in_order, backwards = (
        next(
            case.reference
            for case in compared.cases
            if case.clip == "natural" and case.order == order and case.batch == 1
        )
        for order in ("in_order", "reversed")
    )
    clips = sum(case.batch for case in cases)
    return Certificate(
        reference=witness.name,
        proves=witness.proves,
        engine=f"onnxruntime {versions['onnxruntime']} (CPUExecutionProvider)",
        tolerance=tolerance,
        logit_range=logit_range,
        max_abs_diff=worst.max_abs_diff,
        max_rel_diff=worst.max_rel_diff,
        top1_agreement=sum(case.top1_agreement * case.batch for case in cases) / clips,
        order_sensitivity=float(np.abs(in_order - backwards).max()) / logit_range,
        cases=tuple(cases),
        repairs=repairs,
        versions=dict(versions),
    )


def _judge(case: Compared, logit_range: float) -> ParityCase:
    difference = np.abs(case.onnx.astype(np.float64) - case.reference)
    worst = float(difference.max()) if np.isfinite(difference).all() else float("inf")
    agree = case.onnx.argmax(axis=1) == case.reference.argmax(axis=1)
    return ParityCase(
        clip=case.clip,
        order=case.order,
        batch=case.batch,
        max_abs_diff=worst,
        max_rel_diff=worst / logit_range,
        top1_agreement=float(agree.mean()),
    )


def onnx_logits(path: Path, *, batch: int | None = None) -> Reference:
    """A function that runs a graph on ONNX Runtime's CPU provider.

    Args:
        path: The graph.
        batch: Its batch size, where it is fixed.

    Returns:
        It raises `ConversionError` where ONNX Runtime fails.

    Raises:
        ConversionError: ONNX Runtime cannot load the graph.
    """
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.enable_cpu_mem_arena = False  # it would keep what a batch of 3 needed to the end
    with _failing(f"ONNX Runtime cannot load {path.name}"):
        session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
    name = session.get_inputs()[0].name

    def run(clips: Tensor) -> Tensor:
        with _failing(f"ONNX Runtime cannot run {path.name} on {len(clips)} clip(s)"):
            logits: Tensor = session.run(None, {name: clips})[0]
        return logits

    return run if batch is None else lambda clips: in_fixed_batches(clips, batch, run)


@contextmanager
def _failing(what: str) -> Iterator[None]:
    """Say in one sentence what an engine could not do."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        raise ConversionError(f"{what}: {telling_line(error)}.") from error


def library_versions(libraries: Iterable[str]) -> dict[str, str]:
    """Versions of the libraries that took part in a conversion, and of Python."""
    return {name: version(name) for name in libraries} | {"python": platform.python_version()}
