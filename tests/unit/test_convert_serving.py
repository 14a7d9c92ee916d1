"""Model repositories: their configuration keeps to the servers' schemas, and says what is true."""

from __future__ import annotations

import importlib
import json
import shutil
from http.client import IncompleteRead
from io import BytesIO
from pathlib import Path
from typing import Any, Literal
from urllib.request import Request

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.serving.client import ServedModel
from convert.serving.export import Exported, export
from convert.serving.pbtxt import Message, to_pbtxt
from convert.serving.request import ExportRequest
from models.bundle import Bundle
from models.card import CARD_NAME, BundleFile
from models.errors import BackendError, OutputError, ParityError, UsageError
from tests.server_schemas import ovms_model, triton_messages, triton_model
from tests.tiny_models import LABELS, tiny_network, write_tiny_bundle, write_tiny_onnx
from tests.variants import RECORD, add_int8

for engine in ("onnx", "onnxruntime", "openvino"):
    pytest.importorskip(engine, reason="needs the engines")

Server = Literal["triton", "ovms"]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_tiny_bundle(tmp_path_factory.mktemp("serving") / "tiny")


def _exported(bundle: Bundle, output: Path, server: Server = "triton", **asked: Any) -> Exported:
    return export(bundle, ExportRequest(server=server, output=output, name="tiny", **asked))


def _triton(folder: Path) -> Any:
    return triton_model((folder / "models" / "tiny" / "config.pbtxt").read_text())


def _ovms(folder: Path) -> dict[str, Any]:
    return ovms_model((folder / "models" / "config.json").read_text())


def _clips(count: int) -> Any:
    return np.random.default_rng(5).normal(0, 1, (count, 4, 3, 16, 16)).astype(np.float32)


# -- the text format ---------------------------------------------------------------------------


@given(name=st.text(), dims=st.lists(st.integers(-(2**63), 2**63 - 1)), flag=st.booleans())
def test_text_format(name: str, dims: list[int], flag: bool) -> None:
    fields: Message = {
        "name": name,
        "input": [{"name": name, "dims": dims, "optional": flag}, {"name": ""}],
    }
    read = triton_model(to_pbtxt(fields))
    assert read.name == name
    assert [list(one.dims) for one in read.input] == [dims, []]
    assert read.input[0].optional == flag


def test_schema_knows_its_fields() -> None:
    parse_error = importlib.import_module("google.protobuf.text_format").ParseError
    with pytest.raises(parse_error):
        triton_model('name: "tiny"\nmax_batch: 8\n')
    invalid = importlib.import_module("rapidjson").ValidationError
    for config in ({"name": "x", "devices": "CPU"}, {"name": "x", "nireq": "2"}, {}):
        with pytest.raises(invalid):
            ovms_model(json.dumps({"model_config_list": [{"config": config}]}))


# -- Triton ------------------------------------------------------------------------------------


def test_triton_repository(bundle: Bundle, tmp_path: Path) -> None:
    done = _exported(bundle, tmp_path / "made")
    assert set(done.files) == {
        *("README.md", "client.py", "export.json"),
        *("models/tiny/config.pbtxt", "models/tiny/labels.txt", "models/tiny/1/model.onnx"),
    }
    config, messages = _triton(done.path), triton_messages()
    assert (config.name, config.backend, config.max_batch_size) == ("tiny", "onnxruntime", 8)
    ((taken,), (given,)) = config.input, config.output
    assert (taken.name, list(taken.dims), taken.data_type) == (
        "clips",
        [4, 3, 16, 16],
        messages.TYPE_FP32,
    )
    assert (given.name, list(given.dims), given.label_filename) == ("logits", [4], "labels.txt")
    labels = (done.path / "models/tiny/labels.txt").read_text().splitlines()
    assert tuple(labels) == LABELS
    assert config.dynamic_batching.max_queue_delay_microseconds == 5000
    assert [one.batch_size for one in config.model_warmup] == [1, 8]
    assert not config.optimization.execution_accelerators.ListFields()
    (group,) = config.instance_group
    assert (group.count, group.kind) == (1, messages.ModelInstanceGroup.KIND_AUTO)


def test_triton_options(bundle: Bundle, tmp_path: Path) -> None:
    asked: dict[str, Any] = {"max_batch": 3, "instances": 2, "device": "cpu", "batch_delay_ms": 0.5}
    config = _triton(_exported(bundle, tmp_path / "made", **asked).path)
    (group,) = config.instance_group
    assert (config.max_batch_size, group.count) == (3, 2)
    assert group.kind == triton_messages().ModelInstanceGroup.KIND_CPU
    assert config.dynamic_batching.max_queue_delay_microseconds == 500


def test_triton_without_batches(bundle: Bundle, tmp_path: Path) -> None:
    config = _triton(_exported(bundle, tmp_path / "made", max_batch=1).path)
    assert config.max_batch_size == 1
    assert not config.HasField("dynamic_batching")
    assert len(config.model_warmup) == 1


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_tensorrt(bundle: Bundle, tmp_path: Path, precision: Any) -> None:
    """One engine for every batch size, in the precision of the graph, kept in a volume."""
    twin = Bundle(path=shutil.copytree(bundle.path, tmp_path / "twin"), card=bundle.card)
    asked = {"precision": precision, "accelerator": "tensorrt"}
    signed = RECORD.model_copy(update={"activations": "s8"})
    done = _exported(add_int8(twin, int8=signed), tmp_path / "made", **asked)
    config = _triton(done.path)
    (accelerator,) = config.optimization.execution_accelerators.gpu_execution_accelerator
    assert accelerator.name == "tensorrt"
    assert accelerator.parameters["precision_mode"] == precision.upper()
    assert accelerator.parameters["trt_profile_min_shapes"] == "clips:1x4x3x16x16"
    assert accelerator.parameters["trt_profile_max_shapes"] == "clips:8x4x3x16x16"
    volume = accelerator.parameters["trt_engine_cache_path"]
    assert f":{volume} " in (done.path / "README.md").read_text()
    (group,) = config.instance_group
    assert group.kind == triton_messages().ModelInstanceGroup.KIND_GPU


def test_tensorrt_takes_signed_int8_only(bundle: Bundle, tmp_path: Path) -> None:
    twin = Bundle(path=shutil.copytree(bundle.path, tmp_path / "twin"), card=bundle.card)
    with pytest.raises(BackendError, match="signed INT8 only"):
        _exported(add_int8(twin), tmp_path / "made", precision="int8", accelerator="tensorrt")


def test_openvino_in_triton(bundle: Bundle, tmp_path: Path) -> None:
    config = _triton(_exported(bundle, tmp_path / "made", accelerator="openvino").path)
    (accelerator,) = config.optimization.execution_accelerators.cpu_execution_accelerator
    assert accelerator.name == "openvino"
    assert config.instance_group[0].kind == triton_messages().ModelInstanceGroup.KIND_CPU


def test_fixed_batch_in_triton(tmp_path: Path) -> None:
    """Then the batch is an axis like the others, for Triton cannot put requests together."""
    done = _exported(write_tiny_bundle(tmp_path / "tiny", batch=2), tmp_path / "made")
    config = _triton(done.path)
    assert (config.max_batch_size, done.graph.batch) == (0, 2)
    assert list(config.input[0].dims) == [2, 4, 3, 16, 16]
    assert list(config.output[0].dims) == [2, 4]
    assert not config.HasField("dynamic_batching")
    assert "exactly 2 clips" in (done.path / "README.md").read_text()


# -- OpenVINO Model Server ---------------------------------------------------------------------


def test_ovms_repository(bundle: Bundle, tmp_path: Path) -> None:
    done = _exported(bundle, tmp_path / "made", "ovms")
    assert set(done.files) == {
        *("README.md", "client.py", "export.json"),
        *("models/config.json", "models/tiny/1/model.onnx"),
    }
    assert _ovms(done.path) == {
        "name": "tiny",
        "base_path": "tiny",
        "target_device": "CPU",
        "nireq": 1,
        "plugin_config": {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": "1",
            "INFERENCE_PRECISION_HINT": "f32",
        },
        "shape": "(1,4,3,16,16)",
    }


def test_ovms_options(bundle: Bundle, tmp_path: Path) -> None:
    asked = {"max_batch": 4, "instances": 3, "device": "GPU.1"}
    config = _ovms(_exported(bundle, tmp_path / "made", "ovms", **asked).path)
    assert (config["shape"], config["nireq"]) == ("(1:4,4,3,16,16)", 3)
    assert config["target_device"] == "GPU.1"
    assert config["plugin_config"]["PERFORMANCE_HINT"] == "THROUGHPUT"


def test_ovms_on_an_npu_sets_no_arithmetic(bundle: Bundle, tmp_path: Path) -> None:
    config = _ovms(_exported(bundle, tmp_path / "made", "ovms", device="NPU").path)
    assert config["plugin_config"] == {"PERFORMANCE_HINT": "LATENCY"}


def test_fixed_batch_in_ovms(tmp_path: Path) -> None:
    done = _exported(write_tiny_bundle(tmp_path / "tiny", batch=2), tmp_path / "made", "ovms")
    assert "shape" not in _ovms(done.path)


def test_ir_goes_with_its_weights(bundle: Bundle, tmp_path: Path) -> None:
    """An INT8 graph in OpenVINO's own format is two files."""
    import openvino

    twin = Bundle(path=shutil.copytree(bundle.path, tmp_path / "twin"), card=bundle.card)
    twin = add_int8(twin, "model.int8.xml")
    openvino.save_model(
        openvino.Core().read_model(twin.path / "model.onnx"),
        twin.path / "model.int8.xml",
        compress_to_fp16=False,
    )
    card = json.loads((twin.path / CARD_NAME).read_text())
    card["variants"][1].update(BundleFile.of(twin.path / "model.int8.xml").model_dump())
    card["variants"][1]["weights"] = BundleFile.of(twin.path / "model.int8.bin").model_dump()
    twin = Bundle(path=twin.path, card=twin.card.model_validate(card))
    done = _exported(twin, tmp_path / "made", "ovms", precision="int8")
    assert {"models/tiny/1/model.xml", "models/tiny/1/model.bin"} < set(done.files)
    assert done.checked.max_rel_diff < 1e-5
    with pytest.raises(BackendError, match="made for openvino alone"):
        _exported(twin, tmp_path / "other", precision="int8")


# -- what is served ----------------------------------------------------------------------------


def test_triton_computes_the_same(bundle: Bundle, tmp_path: Path) -> None:
    """The file in the repository, run by the names and shapes that its configuration states."""
    import onnxruntime

    folder = _exported(bundle, tmp_path / "made").path
    config = _triton(folder)
    session = onnxruntime.InferenceSession(
        folder / "models/tiny/1/model.onnx", providers=["CPUExecutionProvider"]
    )
    clips = _clips(config.max_batch_size)
    assert clips.shape[1:] == tuple(config.input[0].dims)
    (logits,) = session.run([config.output[0].name], {config.input[0].name: clips})
    np.testing.assert_allclose(logits, tiny_network().logits(clips), atol=1e-4)


@pytest.mark.parametrize("most", [1, 4])
def test_ovms_computes_the_same(bundle: Bundle, tmp_path: Path, most: int) -> None:
    """The same, in the shape and with the settings that the configuration states."""
    import openvino

    folder = _exported(bundle, tmp_path / "made", "ovms", max_batch=most).path
    config = _ovms(folder)
    core = openvino.Core()
    model = core.read_model(folder / "models" / config["base_path"] / "1" / "model.onnx")
    shape = config["shape"].strip("()").replace(":", "..")
    model.reshape(openvino.PartialShape(f"[{shape}]"))
    compiled = core.compile_model(model, config["target_device"], config["plugin_config"])
    for count in {1, most}:
        clips = _clips(count)
        (logits,) = compiled({"clips": clips}).values()
        np.testing.assert_allclose(logits, tiny_network().logits(clips), atol=1e-4)


@pytest.mark.parametrize("server", ["triton", "ovms"])
def test_wrong_numbers_are_not_exported(bundle: Bundle, tmp_path: Path, server: Server) -> None:
    twin = shutil.copytree(bundle.path, tmp_path / "twin")
    write_tiny_onnx(twin / "model.onnx", tiny_network(seed=9), clip=bundle.card.clip)
    card = json.loads((twin / CARD_NAME).read_text())
    card["variants"][0].update(BundleFile.of(twin / "model.onnx").model_dump())
    other = Bundle(path=twin, card=bundle.card.model_validate(card))
    with pytest.raises(ParityError, match="off the reference"):
        _exported(other, tmp_path / "made", server)
    assert not (tmp_path / "made").exists()


# -- the folder --------------------------------------------------------------------------------


def test_facts_for_clients(bundle: Bundle, tmp_path: Path) -> None:
    done = _exported(bundle, tmp_path / "made")
    facts = json.loads((done.path / "export.json").read_text())
    assert (facts["model"], facts["input"], facts["output"]) == ("tiny", "clips", "logits")
    assert facts["card"] == json.loads(bundle.card.to_json())
    assert sorted(facts["files"]) == sorted(done.files)
    readme = (done.path / "README.md").read_text()
    for words in ("Take 4 frames", "16 x 16", "0.485, 0.456, 0.406", "softmax"):
        assert words in readme


def test_only_an_export_is_replaced(bundle: Bundle, tmp_path: Path) -> None:
    made = tmp_path / "made"
    _exported(bundle, made)
    with pytest.raises(OutputError, match="is already a model repository"):
        _exported(bundle, made)
    _exported(bundle, made, "ovms", force=True)
    assert not (made / "models/tiny/config.pbtxt").exists()
    (made / "models" / "other").mkdir()
    (made / "models" / "other" / "config.pbtxt").write_text("")
    with pytest.raises(OutputError, match=r"holds models/other/config\.pbtxt, which no export"):
        _exported(bundle, made, force=True)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("")
    with pytest.raises(OutputError, match="left alone"):
        _exported(bundle, tmp_path / "mine", force=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made", "mine"]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"name": "a/b"}, "letters, digits"),
        ({"max_batch": 0}, "--max-batch is 1 to"),
        ({"instances": 65}, "--instances is 1 to"),
        ({"batch_delay_ms": -1.0}, "--batch-delay is 0 to"),
        ({"device": "NPU"}, "auto, cpu, gpu"),
        ({"accelerator": "tensorrt", "device": "cpu"}, "runs on the gpu"),
        ({"server": "ovms", "accelerator": "tensorrt"}, "is for Triton"),
        ({"server": "ovms", "batch_delay_ms": 1.0}, "is for Triton"),
        ({"server": "ovms", "device": "cuda"}, "no name of a device"),
    ],
)
def test_what_does_not_fit(asked: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        ExportRequest(**{"server": "triton", "output": Path("x"), "name": "tiny", **asked})


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b'{"outputs": [{"name": "logits"}]}', "KeyError"),
        (b'{"outputs": [{"data": [1, 2, 3]}]}', "ValueError"),
        (b"[]", "TypeError"),
        (IncompleteRead(b"{"), "IncompleteRead"),
    ],
)
def test_answers_that_are_no_scores(
    answer: bytes | Exception, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answered(request: Request, timeout: float) -> BytesIO:
        if isinstance(answer, Exception):
            raise answer
        return BytesIO(answer)

    monkeypatch.setattr("urllib.request.urlopen", answered)
    model = ServedModel(
        "http://localhost", {"model": "x", "batch": None, "input": "clip", "output": "logits"}
    )
    with pytest.raises(BackendError, match=f"gives no scores: {words}"):
        model.run(np.zeros((2, 3), np.float32))
