"""Exported Paddle classifiers that are no known family: accepted by the shape of their input."""

from __future__ import annotations

from pathlib import Path

import pytest

for _module in ("paddle", "paddle2onnx"):
    pytest.importorskip(_module, reason="needs the `convert` extra")

import paddle
from paddle import nn
from paddle.nn import functional

from convert.parity import TOLERANCE
from convert.pipeline import convert
from convert.request import ConvertRequest
from models.errors import CheckpointError, UsageError

pytestmark = pytest.mark.paddle
FRAMES, SIZE, CLASSES = 4, 32, 5


class Clips(nn.Layer):  # type: ignore[misc]
    """[N, 3, T, H, W] to scores."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv3D(3, 8, 3, 2, 1), nn.BatchNorm3D(8)
        self.fc = nn.Linear(8, CLASSES)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        x = functional.leaky_relu(self.norm(self.conv(x)), 0.2)
        return self.fc(functional.adaptive_avg_pool3d(x, 1).flatten(1)) * 5


class Pictures(nn.Layer):  # type: ignore[misc]
    """[N, 3, H, W] to scores."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2D(3, 8, 3, 2, 1), nn.Linear(8, CLASSES)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.fc(functional.relu(self.conv(x)).mean([2, 3])) * 5


class Feature(nn.Layer):  # type: ignore[misc]
    """[N, 3, T, H, W] to maps: no classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv3D(3, 8, 3, 2, 1)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.conv(x)


def export(network: nn.Layer, shape: list[int | None], folder: Path) -> Path:
    network.eval()
    spec = [paddle.static.InputSpec(shape, "float32")]
    static = paddle.jit.to_static(network, input_spec=spec, full_graph=True)
    paddle.jit.save(static, str(folder / "inference"))
    return folder


@pytest.mark.parametrize(
    ("network", "shape", "layout"),
    [
        (Clips, [None, 3, FRAMES, SIZE, SIZE], "NCTHW"),
        (Clips, [2, 3, FRAMES, SIZE, SIZE], "NCTHW"),
        (Pictures, [None, 3, SIZE, SIZE], "NCHW"),
    ],
)
def test_accepted_by_shape_and_compared_with_paddle(
    tmp_path: Path, network: type[nn.Layer], shape: list[int | None], layout: str
) -> None:
    source = export(network(), shape, tmp_path / "net")
    done = convert(ConvertRequest(source=source, output=tmp_path / "out", frames=FRAMES))
    assert (done.card.family, done.card.classes) == ("exported", CLASSES)
    assert done.card.name == f"net, {FRAMES} frames"
    assert (done.card.clip.frames, done.card.clip.crop) == (FRAMES, SIZE)
    certificate = done.card.certificate
    assert certificate.proves == "training"
    assert certificate.reference.startswith("paddlepaddle")
    assert certificate.max_rel_diff <= TOLERANCE
    assert done.card.variants[0].batch is None
    assert any(note.startswith(f"layout: {layout},") for note in done.notes)
    assert any(note.startswith("preprocessing: fixed_4_3") for note in done.notes)


def test_free_sides_are_asked_for(tmp_path: Path) -> None:
    source = export(Clips(), [None, 3, FRAMES, None, None], tmp_path / "net")
    asked = ConvertRequest(source=source, output=tmp_path / "out", size=48, layout="NCTHW")
    assert convert(asked).card.clip.crop == 48


def test_what_is_no_classifier_is_refused(tmp_path: Path) -> None:
    source = export(Feature(), [None, 3, FRAMES, SIZE, SIZE], tmp_path / "net")
    with pytest.raises(CheckpointError, match=r"gives \[1, 8, 2, 16, 16\] for one clip"):
        convert(ConvertRequest(source=source, output=tmp_path / "out"))
    with pytest.raises(UsageError, match="4 channels"):
        convert(ConvertRequest(source=source, output=tmp_path / "out", layout="NTCHW"))
    assert not (tmp_path / "out").exists()
