"""Stage graphs in bundles: made where they pay, checked, and left out otherwise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="needs the `convert` extra")
pytest.importorskip("onnxruntime", reason="needs an engine")

from convert import stages as module
from convert.pipeline import convert
from convert.request import ConvertRequest
from models.bundle import open_bundle
from models.card import ModelCard
from runtime.temporal.cut import Cut, cut_into_stages
from tests.temporal_models import CHANNELS, FRAMES, SIZE, Network, padded_and_sliced


@pytest.fixture
def source(tmp_path: Path) -> Path:
    net = Network()
    maps = net.add("Relu", [net.conv(padded_and_sliced(net, net.stem()), CHANNELS, CHANNELS)])
    path = tmp_path / "net.onnx"
    path.write_bytes(net.head(maps).SerializeToString())
    return path


def converted(source: Path, output: Path, **options: Any) -> tuple[ModelCard, tuple[str, ...]]:
    options = {"frames": FRAMES, "size": SIZE, "short_side": SIZE, "layout": "NTCHW", **options}
    done = convert(ConvertRequest(source=source, output=output, **options))
    return done.card, done.notes


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


STAGES = ["stream.frame.onnx", "stream.shift1.onnx", "stream.window.onnx"]


def test_stages_are_in_the_bundle(source: Path, tmp_path: Path) -> None:
    card, _ = converted(source, tmp_path / "out")
    (variant,) = card.variants
    assert [stage.file for stage in variant.stages] == STAGES
    assert files(tmp_path / "out") == ["card.json", "model.onnx", "probe.npz", *STAGES]
    assert card.temporal is not None
    assert card.temporal.macs_per_step < card.temporal.macs_per_clip
    assert card.graph is not None
    assert card.temporal.macs_per_clip == card.graph.macs
    assert [one.node for one in card.temporal.mixing] == ["Concat_0", "ReduceMean_0"]
    bundle = open_bundle(tmp_path / "out")
    assert len(bundle.stage_paths(bundle.card.variants[0])) == 3


def test_the_same_source_gives_the_same_bytes(source: Path, tmp_path: Path) -> None:
    digests = [
        [stage.sha256 for stage in converted(source, tmp_path / name)[0].variants[0].stages]
        for name in ("a", "b")
    ]
    assert digests[0] == digests[1]


def test_no_stages(source: Path, tmp_path: Path) -> None:
    card, _ = converted(source, tmp_path / "out", stages=False)
    assert card.variants[0].stages == ()
    assert card.temporal is not None
    assert card.temporal.macs_per_step == card.temporal.macs_per_clip
    assert card.temporal.reason.startswith("the stage graphs were left out with --no-stages; with")
    assert files(tmp_path / "out") == ["card.json", "model.onnx", "probe.npz"]


def test_only_the_first_graph_has_stages(source: Path, tmp_path: Path) -> None:
    card, _ = converted(source, tmp_path / "out", static_batch=1)
    assert [len(variant.stages) for variant in card.variants] == [3, 0]


def test_stages_that_compute_something_else_are_left_out(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoiled(graph: Any) -> Cut:
        cut = cut_into_stages(graph)
        frame, shifted, window = cut.stages
        for tensor in shifted.model.graph.initializer:
            if tensor.data_type == 1 and len(tensor.dims) == 4:
                values = onnx.numpy_helper.to_array(tensor)
                tensor.CopyFrom(
                    onnx.numpy_helper.from_array(values * np.float32(1.01), tensor.name)
                )
        return replace(cut, stages=(frame, shifted, window))

    monkeypatch.setattr(module, "cut_into_stages", spoiled)
    card, notes = converted(source, tmp_path / "out")
    assert card.variants[0].stages == ()
    (note,) = [one for one in notes if one.startswith("no stage graphs: ")]
    assert "on cpu they differ from the whole graph by" in note
    assert card.temporal is not None
    assert card.temporal.reason.startswith("the stage graphs did not pass their check; with them")
    assert files(tmp_path / "out") == ["card.json", "model.onnx", "probe.npz"]


def test_stages_that_no_engine_loads_are_left_out(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(graph: Any) -> Cut:
        cut = cut_into_stages(graph)
        cut.stages[0].model.graph.node[0].op_type = "NoSuchOperator"
        return cut

    monkeypatch.setattr(module, "cut_into_stages", unknown)
    card, notes = converted(source, tmp_path / "out")
    assert card.variants[0].stages == ()
    assert any("cpu does not run them" in one for one in notes)


def test_a_network_without_anything_to_share_says_why(tmp_path: Path) -> None:
    net = Network()
    size = FRAMES * 3 * SIZE * SIZE
    flat = net.reshape("clips", -1, size)
    scores = net.add("MatMul", [flat, net.weights(size, 3)])
    (tmp_path / "net.onnx").write_bytes(net.model(scores).SerializeToString())
    card, _ = converted(tmp_path / "net.onnx", tmp_path / "out")
    assert card.variants[0].stages == ()
    assert card.temporal is not None
    assert card.temporal.reason == (
        "MatMul_0 mixes all frames before anything worth keeping was computed"
    )
