"""Checkpoint to bundle in this process, for a narrow member of every family."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from models.bundle import open_bundle
from models.errors import ParityError, WeightMismatch
from tests.checkpoints import NARROW, narrow_pptsmv2, weights_by_rule, write_checkpoint

for _module in ("paddle", "paddle2onnx"):
    pytest.importorskip(_module, reason="needs the `convert` extra")

import onnx

from convert import load, pipeline
from convert.families import family_named
from convert.parity import TOLERANCE, onnx_logits
from convert.pipeline import STEPS, convert
from convert.request import ConvertRequest

pytestmark = pytest.mark.paddle
FRAMES, SIZE = 4, 64
OWN_OPERATORS = ("pp-tsmv2", "pp-tsm", "pp-tsm-mv2", "pp-tsm-mv3")
"""Families with an operator that no other has; the rest would test nothing new about programs."""
PACKED = '["walk", "run", "jump", "sit", "fall"]'


def request(source: Path, output: Path, **changes: object) -> ConvertRequest:
    values = {"source": source, "output": output, "frames": FRAMES, "size": SIZE, **changes}
    return ConvertRequest(**values)  # type: ignore[arg-type]


@pytest.fixture(scope="module", params=list(NARROW))
def converted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    source = write_checkpoint(folder / "x.pdparams", weights_by_rule(NARROW[request.param]()))
    output = folder / "bundle"
    convert(
        ConvertRequest(source=source, output=output, family=request.param, frames=FRAMES, size=SIZE)
    )
    return output


def test_certificate(converted: Path) -> None:
    certificate = open_bundle(converted).card.certificate
    assert certificate.max_rel_diff <= TOLERANCE
    assert certificate.top1_agreement == 1
    cases = {(case.clip, case.order, case.batch) for case in certificate.cases}
    assert len(cases) == 2 * 3 * 3
    assert (certificate.reference.split()[0], certificate.proves) == ("paddlepaddle", "training")
    blind = family_named(open_bundle(converted).card.family).any_frames
    assert (certificate.order_sensitivity < 1e-5) == blind
    assert {"paddlepaddle", "paddle2onnx", "onnx", "onnxruntime"} <= set(certificate.versions)


def test_graph_is_folded_and_dynamic(converted: Path) -> None:
    bundle = open_bundle(converted)
    graph = onnx.load(str(bundle.model_path()))
    kinds = Counter(node.op_type for node in graph.graph.node)
    assert not kinds.keys() & {"BatchNormalization", "Constant", "Identity", "Dropout", "Softmax"}
    (given,), (made,) = graph.graph.input, graph.graph.output
    assert (given.name, made.name) == ("clips", "logits")
    shape = [side.dim_param or side.dim_value for side in given.type.tensor_type.shape.dim]
    assert shape == ["N", FRAMES, 3, SIZE, SIZE]
    assert [(entry.domain, entry.version) for entry in graph.opset_import] == [("", 17)]
    metadata = {entry.key: json.loads(entry.value) for entry in graph.metadata_props}
    assert metadata == {
        "edgecls.clip": bundle.card.clip.model_dump(mode="json"),
        "edgecls.labels": list(bundle.card.labels),
    }


def test_probe_holds_what_paddle_said(converted: Path) -> None:
    bundle = open_bundle(converted)
    clips, logits = bundle.probe()
    again = onnx_logits(bundle.model_path())(clips)
    assert np.abs(again - logits).max() <= TOLERANCE * np.ptp(logits)


@pytest.mark.parametrize("converted", OWN_OPERATORS, indirect=True)
def test_same_input_same_bytes(converted: Path, tmp_path: Path) -> None:
    source = converted.parent / "x.pdparams"
    family = open_bundle(converted).card.family
    convert(request(source, tmp_path / "again", family=family))
    for path in converted.iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes(), path.name


def test_frames_mix_at_the_shifts_and_the_mean(converted: Path) -> None:
    bundle = open_bundle(converted)
    temporal, stages = bundle.card.temporal, bundle.card.variants[0].stages
    assert temporal is not None
    blocks = {"pp-tsmv2": 1, "pp-tsm": 4, "pp-tsm-mv2": 3, "pp-tsm-mv3": 7, "tsm": 5}
    shifts = blocks.get(bundle.card.family, 0)
    assert [(one.kind, one.reach) for one in temporal.mixing] == [("shift", 1)] * shifts + [
        ("mean", 0)
    ]
    kinds = ["frame", "shifted", "window"] if shifts else ["frame", "window"]
    assert [stage.kind for stage in stages] == kinds
    assert temporal.macs_per_clip > 2 * temporal.macs_per_step


def test_attention_leaves_the_frame_stage(tmp_path: Path) -> None:
    weights = weights_by_rule(narrow_pptsmv2(frames=FRAMES))
    source = write_checkpoint(tmp_path / "x.pdparams", weights)
    card = convert(request(source, tmp_path / "out")).card
    assert card.temporal is not None
    assert [one.kind for one in card.temporal.mixing] == ["other", "shift", "mean"]
    assert [stage.kind for stage in card.variants[0].stages] == ["frame", "window"]
    assert "mixes all frames" in card.temporal.reason


def test_lost_slopes_are_repaired_and_recorded(tmp_path: Path) -> None:
    source = write_checkpoint(tmp_path / "x.pdparams", weights_by_rule(NARROW["pp-tsm"]()))
    done = convert(request(source, tmp_path / "out", family="pp-tsm"))
    graph = onnx.load(str(open_bundle(tmp_path / "out").model_path()))
    slopes = [
        round(attribute.f, 6)
        for node in graph.graph.node
        if node.op_type == "LeakyRelu"
        for attribute in node.attribute
    ]
    assert slopes == [0.01] * (3 + 4 * 3)
    if done.card.certificate.versions["paddle2onnx"] == "2.1.0":
        (repair,) = done.card.certificate.repairs
        assert repair.startswith("leaky_relu: the exporter lost the slope of 15 of 15 nodes")


def test_a_wrong_graph_gets_no_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its repair PP-TSM is plain wrong, and silently so: parity has to catch it."""

    def sabotage(graph: onnx.ModelProto, slopes: tuple[float, ...]) -> None:
        for node in graph.graph.node:
            if node.op_type == "LeakyRelu":
                node.attribute[0].f = 0.0

    monkeypatch.setattr(load, "repair_leaky_relu", sabotage)
    source = write_checkpoint(tmp_path / "x.pdparams", weights_by_rule(NARROW["pp-tsm"]()))
    with pytest.raises(ParityError, match=r"ONNX differs from Paddle by .* No bundle was written"):
        convert(request(source, tmp_path / "out", family="pp-tsm"))
    assert [path.name for path in tmp_path.iterdir()] == ["x.pdparams"]


def test_a_frozen_frame_order_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A graph that ignores the order of frames agrees on clips in order only by accident."""
    honest = onnx_logits

    def frozen(path: Path, *, batch: int | None) -> object:
        run = honest(path, batch=batch)
        return lambda clips: run(np.ascontiguousarray(clips[:, ::-1]))

    monkeypatch.setattr(pipeline, "onnx_logits", frozen)
    source = write_checkpoint(tmp_path / "x.pdparams", weights_by_rule(narrow_pptsmv2()))
    with pytest.raises(ParityError):
        convert(request(source, tmp_path / "out"))


def test_a_mixed_up_batch_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = onnx_logits

    def mixed(path: Path, *, batch: int | None) -> object:
        run = honest(path, batch=batch)
        return lambda clips: np.repeat(run(clips[:1]), len(clips), axis=0)

    monkeypatch.setattr(pipeline, "onnx_logits", mixed)
    source = write_checkpoint(tmp_path / "x.pdparams", weights_by_rule(narrow_pptsmv2()))
    with pytest.raises(ParityError, match=r"batch [23]"):
        convert(request(source, tmp_path / "out"))


def test_steps_are_told_in_order(tmp_path: Path) -> None:
    source = write_checkpoint(tmp_path / "x.pdparams", weights_by_rule(narrow_pptsmv2()))
    seen: list[str] = []
    convert(request(source, tmp_path / "out"), lambda title, done, total: seen.append(title))
    assert list(dict.fromkeys(seen)) == list(STEPS)


@pytest.mark.parametrize("opset", [13, 15, 18])
def test_other_opsets(tmp_path: Path, opset: int) -> None:
    source = write_checkpoint(tmp_path / "x.pdparams", weights_by_rule(narrow_pptsmv2()))
    done = convert(request(source, tmp_path / "out", opset=opset))
    graph = onnx.load(str(tmp_path / "out/model.onnx"))
    assert (done.card.opset, graph.opset_import[0].version) == (opset, opset)


def test_nan_weights_are_named(tmp_path: Path) -> None:
    weights = weights_by_rule(narrow_pptsmv2())
    weights["backbone.stages.2.1.se.conv1.weight"][0, 3] = np.nan
    source = write_checkpoint(tmp_path / "x.pdparams", weights)
    with pytest.raises(WeightMismatch, match=r"stages\.2\.1\.se\.conv1\.weight holds 1 value"):
        convert(request(source, tmp_path / "out"))
    assert not (tmp_path / "out").exists()


EXPORT = """
import os, sys, pickle
import paddle
from paddle.nn import functional
from convert.families import all_families
from convert.recognise import recognise

if os.environ["FLAGS_enable_pir_api"] == "0":  # Paddle 3.3's own sigmoid fails in the old IR
    from paddle.base.layer_helper import LayerHelper

    def sigmoid(x):
        helper = LayerHelper("sigmoid")
        y = helper.create_variable_for_type_inference(dtype=x.dtype)
        helper.append_op(type="sigmoid", inputs={"X": x}, outputs={"Out": y})
        return y

    functional.sigmoid = sigmoid
source, target, frames, size = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
weights = pickle.load(open(source, "rb"))
shapes = {k: v.shape for k, v in weights.items()}
found = recognise(shapes, all_families(), asked=sys.argv[5])
network = found.family.build(found.architecture, frames)
network.set_state_dict(weights)
found.family.fold(network)
spec = paddle.static.InputSpec([None, frames, 3, size, size], "float32", name="x")
paddle.jit.save(paddle.jit.to_static(network, input_spec=[spec], full_graph=True), target)
"""


def export(source: Path, folder: Path, *, family: str, pir: bool) -> Path:
    """Export a checkpoint the way Paddle 2 or Paddle 3 does."""
    import os

    folder.mkdir()
    subprocess.run(
        [
            sys.executable,
            "-c",
            EXPORT,
            str(source),
            str(folder / "inference"),
            str(FRAMES),
            str(SIZE),
            family,
        ],
        check=True,
        capture_output=True,
        env={**os.environ, "FLAGS_enable_pir_api": "1" if pir else "0"},
    )
    return folder


@pytest.mark.parametrize("converted", OWN_OPERATORS, indirect=True)
def test_all_kinds_of_source_give_the_same_logits(converted: Path, tmp_path: Path) -> None:
    source, bundle = converted.parent / "x.pdparams", open_bundle(converted)
    assert bundle.card.provenance.source_kind == "pdparams"
    _, expected = bundle.probe()
    family = bundle.card.family

    def exported(kind: str) -> Path:
        return export(source, tmp_path / kind, family=family, pir=kind == "pir")

    kinds = ("pir", "pdmodel")
    with ThreadPoolExecutor() as pool:
        folders = list(pool.map(exported, kinds))
    for kind, folder in zip(kinds, folders, strict=True):
        asked = ConvertRequest(
            source=folder, output=tmp_path / f"bundle_{kind}", family=family, size=SIZE
        )
        card = convert(asked).card
        assert card.provenance.source_kind == kind
        assert card.clip.frames == FRAMES
        bundle = open_bundle(asked.output)
        clips, logits = bundle.probe()
        mine = onnx_logits(bundle.model_path())(clips)
        assert np.abs(mine - logits).max() <= TOLERANCE * np.ptp(logits)
        assert np.abs(logits - expected).max() <= TOLERANCE * np.ptp(expected), kind


def test_inference_yml_is_honoured(tmp_path: Path) -> None:
    source = write_checkpoint(tmp_path / "x.pdparams", weights_by_rule(narrow_pptsmv2()))
    (tmp_path / "inference.yml").write_text(
        "Global: {model_name: PP-TSMv2-LCNetV2_4frames_uniform}\n"
        f"PreProcess: {{transform_ops: [ReadVideo: {{num_seg: {FRAMES}}},"
        " Scale: {short_size: 80}, CenterCrop: {target_size: 64},"
        " NormalizeVideo: {mean: [0.5, 0.4, 0.3]}]}\n"
        f"PostProcess: {{Topk: {{topk: 5, label_list: {PACKED}}}}}\n"
    )
    card = convert(ConvertRequest(source=source, output=tmp_path / "out")).card
    assert card.labels == tuple(json.loads(PACKED))
    assert (card.clip.frames, card.clip.crop, card.clip.resize.short_side) == (FRAMES, 64, 80)
    assert (card.clip.resize.library, card.clip.mean) == ("opencv", (0.5, 0.4, 0.3))
    assert card.clip.std == (0.229, 0.224, 0.225)
