"""The judgement: what passes, what does not, and when rounding is to blame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from convert.ends import Ends
from convert.layout import Layout
from convert.parity import (
    TOLERANCE,
    UNITS_OF_NOISE,
    WORST_TOLERANCE,
    Compared,
    Comparison,
    Witness,
    certify,
    compare,
    onnx_logits,
    rounding_noise,
)
from models.card import Certificate
from models.errors import CheckpointError, ConversionError, ParityError
from models.spec import ClipSpec, Resize
from runtime.session import Tensor
from tests.tiny_models import write_tiny_bundle

CLIP = ClipSpec(frames=3, crop=16, resize=Resize(policy="stretch", short_side=16))
PADDLE = Witness(name="paddlepaddle 3", short="Paddle", proves="training")
VERSIONS = {"onnxruntime": "1"}


def network(clips: Tensor) -> Tensor:
    """Three scores per clip that depend on the order of its frames."""
    means = clips.mean(axis=(2, 3, 4))
    return np.stack([means @ (0.5, 1.0, 2.0), -means.sum(axis=1), means[:, 0]], 1).astype("f4")


def off_by(share: float) -> Comparison:
    """The network against itself, one logit shifted by a share of the range of all logits."""
    honest = compare(network, network, CLIP)
    spread = float(np.ptp(np.concatenate([case.reference for case in honest.cases])))
    first = honest.cases[0]
    shifted = first.onnx.copy()
    shifted[0, 1] += share * spread
    changed = Compared(
        clip=first.clip,
        order=first.order,
        batch=first.batch,
        reference=first.reference,
        onnx=shifted,
    )
    return Comparison(cases=(changed, *honest.cases[1:]))


def judged(comparison: Comparison, noise: float = 0.0) -> Certificate:
    return certify(comparison, PADDLE, repairs=(), versions=VERSIONS, noise=lambda: noise)


def test_an_equal_graph_passes() -> None:
    certificate = judged(compare(network, network, CLIP))
    assert certificate.max_rel_diff <= 1e-6
    assert (certificate.tolerance, certificate.proves) == (TOLERANCE, "training")
    assert certificate.order_sensitivity > 0.01
    assert len(certificate.cases) == 18


def test_a_small_difference_passes_and_is_told() -> None:
    certificate = judged(off_by(0.5 * TOLERANCE))
    assert certificate.max_rel_diff == pytest.approx(0.5 * TOLERANCE, rel=0.05)
    assert certificate.tolerance == TOLERANCE


@pytest.mark.parametrize("share", [2 * TOLERANCE, 0.1, float("nan"), float("inf")])
def test_a_large_difference_does_not(share: float) -> None:
    with pytest.raises(ParityError, match="ONNX differs from Paddle by"):
        judged(off_by(share))


def test_what_rounding_explains_passes() -> None:
    noise = 3 * TOLERANCE / UNITS_OF_NOISE
    certificate = judged(off_by(2 * TOLERANCE), noise)
    assert certificate.tolerance == pytest.approx(3 * TOLERANCE)
    with pytest.raises(ParityError, match=r"at most 0\.0003 is allowed"):
        judged(off_by(4 * TOLERANCE), noise)


def test_rounding_does_not_explain_everything() -> None:
    assert judged(off_by(0.9 * WORST_TOLERANCE), noise=1.0).tolerance == WORST_TOLERANCE
    with pytest.raises(ParityError):
        judged(off_by(1.1 * WORST_TOLERANCE), noise=1.0)


def test_noise_is_not_measured_without_need() -> None:
    def expensive() -> float:
        raise AssertionError

    certify(compare(network, network, CLIP), PADDLE, repairs=(), versions=VERSIONS, noise=expensive)


def test_rounding_noise_tells_networks_apart() -> None:
    def cancelling(clips: Tensor) -> Tensor:
        """A gate over what two pixels, equal in the clips of noise, differ by."""
        scores, pixels = network(clips), clips[:, 0, 0, 0]
        scores[:, 2] += np.clip(np.float32(1e4) * (pixels[:, 0] - pixels[:, 1]), -1, 1)
        return scores

    assert rounding_noise(network, CLIP) < 1e-6
    assert rounding_noise(cancelling, CLIP) > 1e-4
    assert rounding_noise(lambda clips: np.zeros((len(clips), 3), np.float32), CLIP) == 0


@pytest.mark.parametrize(
    ("scores", "output"),
    [
        ([[0.2, 0.8], [0.5, 0.5]], "probabilities"),
        ([[0.2, 0.7], [0.5, 0.5]], "logits"),
        ([[-0.2, 1.2], [0.5, 0.5]], "logits"),
        ([[np.nan, 1.0], [0.5, 0.5]], "logits"),
    ],
)
def test_probabilities_are_recognised(scores: list[list[float]], output: str) -> None:
    rows = np.array(scores, np.float32)
    case = Compared(clip="random", order="in_order", batch=2, reference=rows, onnx=rows)
    assert Comparison(cases=(case,)).output == output


def test_logits_of_another_shape_never_pass() -> None:
    with pytest.raises(ParityError, match=r"ONNX gives \[1, 6\] for 1 clip\(s\), not \[1, 3\]"):
        compare(network, lambda clips: np.tile(network(clips), (1, 2)), CLIP)


def test_a_graph_that_is_none(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="needs an engine")
    (tmp_path / "model.onnx").write_bytes(b"\x08\x08garbage")
    with pytest.raises(ConversionError, match=r"ONNX Runtime cannot load model\.onnx: "):
        onnx_logits(tmp_path / "model.onnx")


def test_a_graph_that_cannot_run(tmp_path: Path) -> None:
    for module in ("onnx", "onnxruntime"):
        pytest.importorskip(module, reason="needs the `convert` extra")
    bundle = write_tiny_bundle(tmp_path)
    run = onnx_logits(bundle.model_path())
    with pytest.raises(ConversionError, match=r"cannot run model\.onnx on 2 clip\(s\): "):
        run(np.zeros((2, 1, 3, 8, 8), np.float32))


@pytest.mark.parametrize("answer", ["error", "shape"])
def test_a_reference_that_fails(answer: str) -> None:
    def run(raw: Tensor) -> Tensor:
        if answer == "error":
            raise RuntimeError("(InvalidArgument) no such axis.")
        return np.zeros((len(raw), 7), np.float32)

    ends = Ends(layout=Layout("NTCHW"), clip=CLIP, classes=3)
    with pytest.raises(CheckpointError, match=r"cannot be run on 2 clip\(s\): "):
        ends.reference(run)(np.zeros(CLIP.input_shape(2), np.float32))
