"""ONNX models from elsewhere become bundles that compute what the file computed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

for _module in ("onnx", "onnxruntime"):
    pytest.importorskip(_module, reason="needs the `convert` extra")

import onnx
import onnxruntime
from onnx import TensorProto, helper

from convert.layout import Layout
from convert.pipeline import convert
from convert.request import ConvertRequest
from models.bundle import open_bundle
from models.errors import CheckpointError, ConversionError, EdgeclsError, FamilyError, UsageError
from runtime.backends import BACKENDS
from runtime.session import SessionOptions
from tests.onnx_models import CLASSES, FORMS, FRAMES, SIZE, Form, write_onnx

FIXED = {"frozen batch": 1}
"""Models whose batch size cannot be freed, and that size."""


def request(source: Path, output: Path, form: Form, **changes: object) -> ConvertRequest:
    values = {"source": source, "output": output, "frames": FRAMES, "layout": form.layout}
    return ConvertRequest(**{**values, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", list(FORMS))
def test_every_form(tmp_path: Path, name: str) -> None:
    form = FORMS[name]
    source = write_onnx(tmp_path / "model.onnx", form)
    card = convert(request(source, tmp_path / "bundle", form)).card
    assert (card.family, card.provenance.source_kind, card.classes) == ("onnx", "onnx", CLASSES)
    assert card.certificate.proves == "graph"
    assert card.certificate.reference.startswith("the given ONNX file")
    assert set(card.certificate.versions) == {"onnx", "onnxruntime", "numpy", "python"}
    assert card.variants[0].batch == FIXED.get(name)
    assert card.graph is not None
    assert "BatchNormalization" not in card.graph.nodes

    bundle = open_bundle(tmp_path / "bundle")
    clips = np.random.default_rng(1).normal(size=(2, FRAMES, 3, SIZE, SIZE)).astype(np.float32)
    truth = original_scores(source, form, clips)
    for backend in BACKENDS:
        if backend.probe().ok:
            with backend.open(bundle.model_path(), bundle.card, SessionOptions()) as session:
                made = session.run(clips)
            assert np.abs(made - truth).max() <= 1e-4 * np.ptp(truth), backend.name


def original_scores(source: Path, form: Form, clips: np.ndarray) -> np.ndarray:
    """What the file itself says, clip by clip, its rows averaged."""
    session = onnxruntime.InferenceSession(str(source), providers=["CPUExecutionProvider"])
    rows = form.shape[0]
    scores = []
    for clip in clips:
        raw = Layout(form.layout).arrange(clip[None])
        if isinstance(rows, int) and len(raw) < rows:
            raw = np.concatenate([raw, np.zeros((rows - len(raw), *raw.shape[1:]), raw.dtype)])
        step = rows if isinstance(rows, int) else len(raw)
        parts = [
            session.run(None, {"x": raw[at : at + step]})[0] for at in range(0, len(raw), step)
        ]
        wanted = FRAMES if form.spatial == 2 else 1
        scores.append(np.concatenate(parts)[:wanted].mean(axis=0))
    return np.stack(scores)


@pytest.mark.parametrize("name", ["3d", "our own", "pictures", "recogniser 3d"])
def test_the_layout_is_seen_where_it_is_clear(tmp_path: Path, name: str) -> None:
    source = write_onnx(tmp_path / "model.onnx", FORMS[name])
    done = convert(ConvertRequest(source=source, output=tmp_path / "out", frames=FRAMES, size=SIZE))
    told = any(note.startswith(f"layout: {FORMS[name].layout},") for note in done.notes)
    assert told == (FORMS[name].layout != "NTCHW")


def test_frames_are_read_off_the_shape_or_asked_for(tmp_path: Path) -> None:
    source = write_onnx(tmp_path / "clips.onnx", FORMS["3d"])
    assert convert(ConvertRequest(source=source, output=tmp_path / "a")).card.clip.frames == FRAMES
    free = Form(layout="NCTHW", shape=["n", 3, "t", SIZE, SIZE])
    source = write_onnx(tmp_path / "free.onnx", free)
    with pytest.raises(FamilyError, match="How many frames"):
        convert(ConvertRequest(source=source, output=tmp_path / "b"))
    card = convert(ConvertRequest(source=source, output=tmp_path / "b", frames=6)).card
    assert card.clip.frames == 6


def test_free_height_and_width_become_those_asked_for(tmp_path: Path) -> None:
    form = Form(layout="NCTHW", shape=["n", 3, FRAMES, "h", "w"])
    source = write_onnx(tmp_path / "m.onnx", form)
    card = convert(request(source, tmp_path / "out", form, size=48, short_side=50)).card
    assert (card.clip.crop, card.clip.resize.short_side) == (48, 50)
    graph = onnx.load(str(tmp_path / "out/model.onnx"))
    sides = graph.graph.input[0].type.tensor_type.shape.dim
    assert [side.dim_param or side.dim_value for side in sides] == ["N", FRAMES, 3, 48, 48]


@pytest.mark.parametrize(("own", "asked", "made"), [(11, None, 17), (15, None, 15), (13, 18, 18)])
def test_opsets(tmp_path: Path, own: int, asked: int | None, made: int) -> None:
    form = FORMS["pictures"]
    source = write_onnx(tmp_path / "m.onnx", form, opset=own)
    card = convert(request(source, tmp_path / "out", form, opset=asked)).card
    assert card.opset == made
    graph = onnx.load(str(tmp_path / "out/model.onnx"))
    assert [(entry.domain, entry.version) for entry in graph.opset_import] == [("", made)]


def test_preprocessing_flags(tmp_path: Path) -> None:
    form = FORMS["3d"]
    source = write_onnx(tmp_path / "m.onnx", form)
    flags = {"resize": "stretch", "resize_library": "pillow", "short_side": 40, "views": 10}
    pixels = {"mean": (123.675, 116.28, 103.53), "std": (58.395, 57.12, 57.375)}
    done = convert(request(source, tmp_path / "out", form, **flags, **pixels))
    clip = done.card.clip
    assert (clip.resize.policy, clip.resize.library) == ("stretch", "pillow")
    assert (clip.resize.short_side, clip.crop, clip.views) == (40, SIZE, 10)
    assert np.allclose(clip.mean, (0.485, 0.456, 0.406))
    assert np.allclose(clip.std, (0.229, 0.224, 0.225))
    assert not any(note.startswith("preprocessing:") for note in done.notes)


def test_probabilities_are_not_softmaxed_again(tmp_path: Path) -> None:
    form = FORMS["3d"]
    source = write_onnx(tmp_path / "m.onnx", form, softmax=True)
    done = convert(request(source, tmp_path / "out", form))
    assert done.card.output == "probabilities"
    assert any("softmax is not applied" in note for note in done.notes)
    plain = convert(request(write_onnx(source, form), tmp_path / "plain", form))
    assert plain.card.output == "logits"


def test_labels_are_counted(tmp_path: Path) -> None:
    form = FORMS["3d"]
    source = write_onnx(tmp_path / "m.onnx", form)
    labels = tmp_path / "labels.txt"
    labels.write_text("\n".join("abcde"))
    card = convert(request(source, tmp_path / "out", form, labels=labels)).card
    assert card.labels == tuple("abcde")
    labels.write_text("a\nb")
    with pytest.raises(CheckpointError, match="has 2 labels, the model has 5 classes"):
        convert(request(source, tmp_path / "other", form, labels=labels))


def test_same_input_same_bytes(tmp_path: Path) -> None:
    form = FORMS["recogniser 3d"]
    source = write_onnx(tmp_path / "m.onnx", form)
    for name in ("a", "b"):
        convert(request(source, tmp_path / name, form, fp16=True, static_batch=2))
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert len(files) == 6
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_variants_are_made_and_checked(tmp_path: Path) -> None:
    form = FORMS["3d"]
    source = write_onnx(tmp_path / "m.onnx", form)
    card = convert(request(source, tmp_path / "out", form, fp16=True, static_batch=2)).card
    kinds = [(variant.precision, variant.batch) for variant in card.variants]
    assert kinds == [("fp32", None), ("fp32", 2), ("fp16", None), ("fp16", 2)]
    assert card.variants[0].check is None
    bundle = open_bundle(tmp_path / "out")
    for variant in card.variants[1:]:
        assert variant.check is not None
        assert variant.check.clips == 6
        exact = variant.precision == "fp32"
        assert variant.check.max_rel_diff <= (1e-6 if exact else 1e-2)
        assert exact or variant.check.max_probability_diff > 0
        graph = onnx.load(str(bundle.checked(variant)))
        sides = graph.graph.input[0].type.tensor_type.shape.dim
        assert (sides[0].dim_value or None) == variant.batch
        assert graph.graph.input[0].type.tensor_type.elem_type == TensorProto.FLOAT
        half = any(one.data_type == TensorProto.FLOAT16 for one in graph.graph.initializer)
        assert half == (variant.precision == "fp16")
        assert {entry.key for entry in graph.metadata_props} == {"edgecls.clip", "edgecls.labels"}


def test_half_precision_that_overflows_gets_no_bundle(tmp_path: Path) -> None:
    """Features of a million do not fit into float16."""
    form = FORMS["3d"]
    source = write_onnx(tmp_path / "m.onnx", form)
    model = onnx.load(str(source))
    for tensor in model.graph.initializer:
        if tensor.name in {"scale", "shift"}:
            values = onnx.numpy_helper.to_array(tensor) * 1e6
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    source.write_bytes(model.SerializeToString())
    convert(request(source, tmp_path / "fp32", form))
    with pytest.raises(
        EdgeclsError, match=r"model.fp16.onnx differs from the fp32 graph"
    ) as caught:
        convert(request(source, tmp_path / "out", form, fp16=True))
    assert (caught.value.exit_code, caught.value.hint) == (7, "Leave out --fp16.")
    assert not (tmp_path / "out").exists()


def test_a_fixed_batch_size_cannot_be_changed(tmp_path: Path) -> None:
    form = FORMS["frozen batch"]
    source = write_onnx(tmp_path / "m.onnx", form)
    card = convert(request(source, tmp_path / "same", form, static_batch=1)).card
    assert [variant.batch for variant in card.variants] == [1]
    with pytest.raises(ConversionError, match="fixed at 1, it cannot be 2"):
        convert(request(source, tmp_path / "other", form, static_batch=2))


def with_input(path: Path, kind: int, shape: list[int]) -> Path:
    """A model whose input has another type."""
    value = helper.make_tensor_value_info
    cast = helper.make_node("Cast", ["x"], ["out"], to=TensorProto.FLOAT)
    graph = helper.make_graph([cast], "g", [value("x", kind, shape)], [value("out", 1, shape)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize(
    ("kind", "shape", "flags", "error", "message"),
    [
        (TensorProto.UINT8, [1, 3, 4, 32, 32], {}, CheckpointError, "takes uint8"),
        (TensorProto.FLOAT16, [1, 3, 4, 32, 32], {}, CheckpointError, "is a float16 model"),
        (TensorProto.FLOAT, [1, 3, 4, 32, 32], {}, CheckpointError, r"gives \[1, 3, 4, 32, 32\]"),
        (TensorProto.FLOAT, [1, 3, 4, 32, 48], {}, CheckpointError, "pictures of 48x32"),
        (TensorProto.FLOAT, [1, 3, 4, 32, 32], {"size": 64}, CheckpointError, "64x64 was asked"),
        (TensorProto.FLOAT, [1, 3, 4, 32, 32], {"frames": 8}, FamilyError, "built for 4"),
        (TensorProto.FLOAT, [1, 3, 4, 32, 32], {"layout": "NTCHW"}, UsageError, "4 channels"),
        (TensorProto.FLOAT, [1, 3, 4, 32, 32], {"family": "tsn"}, UsageError, "no meaning"),
        (TensorProto.FLOAT, [1, 3, 4, 32, 32], {"part": "ema"}, UsageError, "no meaning"),
        (TensorProto.FLOAT, [10, 10], {}, UsageError, "none of the usual layouts"),
    ],
)
def test_refusals(
    tmp_path: Path,
    kind: int,
    shape: list[int],
    flags: dict[str, object],
    error: type[EdgeclsError],
    message: str,
) -> None:
    source = with_input(tmp_path / "m.onnx", kind, shape)
    with pytest.raises(error, match=message):
        convert(ConvertRequest(source=source, output=tmp_path / "out", **flags))  # type: ignore[arg-type]
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


def test_damaged_and_foreign_files(tmp_path: Path) -> None:
    source = write_onnx(tmp_path / "m.onnx", FORMS["3d"])
    whole = source.read_bytes()
    model = onnx.load(str(source))
    model.graph.node[0].domain = "com.example"
    model.opset_import.append(helper.make_opsetid("com.example", 1))
    two = onnx.load(str(source))
    two.graph.output.append(helper.make_tensor_value_info("features", 1, ["n", 8]))
    cases = {
        b"": "not a valid ONNX model",
        b"not a model": "not a valid ONNX model",
        whole[: len(whole) // 2]: "not a valid ONNX model",
        model.SerializeToString(): "operators of com.example",
        two.SerializeToString(): "outputs out, features",
    }
    for content, message in cases.items():
        source.write_bytes(content)
        with pytest.raises(CheckpointError, match=message):
            convert(ConvertRequest(source=source, output=tmp_path / "out", frames=FRAMES))
