"""What a path or a folder holds."""

from __future__ import annotations

import errno
import os
import socket
import tempfile
from pathlib import Path

import pytest

from convert.locate import locate
from models.errors import CheckpointError, CheckpointNotFound

FOLDERS = ("best_model", "latest")
EXPORT = ("json", "pdiparams", "yml")
EPOCHS = ("epoch_00001", "epoch_00080")


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def test_locates_every_kind(tmp_path: Path) -> None:
    touch(tmp_path / "a/m.pdparams")
    touch(tmp_path / "b/m.pdmodel", tmp_path / "b/m.pdiparams", tmp_path / "b/inference.yml")
    touch(tmp_path / "c/inference.json", tmp_path / "c/inference.pdiparams")
    for given, kind in [
        ("a", "pdparams"),
        ("a/m.pdparams", "pdparams"),
        ("b", "pdmodel"),
        ("b/m.pdmodel", "pdmodel"),
        ("b/m.pdiparams", "pdmodel"),
        ("c", "pir"),
        ("c/inference.json", "pir"),
        ("c/inference.pdiparams", "pir"),
    ]:
        assert locate(tmp_path / given).kind == kind, given
    assert locate(tmp_path / "b").config == tmp_path / "b/inference.yml"
    assert locate(tmp_path / "c").config is None


def test_an_export_is_preferred_over_a_checkpoint(tmp_path: Path) -> None:
    touch(tmp_path / "m.pdparams", tmp_path / "inference.json", tmp_path / "inference.pdiparams")
    assert locate(tmp_path).kind == "pir"


@pytest.mark.parametrize(
    ("files", "given", "message"),
    [
        ([], "absent", "does not exist"),
        (["readme.txt"], "readme.txt", "not a Paddle model"),
        (["readme.txt"], "", "holds no model"),
        (["inference.json"], "", "inference.pdiparams is missing"),
        (["m.pdmodel"], "m.pdmodel", "m.pdiparams is missing"),
        (["m.pdiparams"], "m.pdiparams", "only weights"),
        (["a.pdparams", "b.pdparams"], "", "holds 2 models: a.pdparams, b.pdparams"),
    ],
)
def test_what_cannot_be_located(tmp_path: Path, files: list[str], given: str, message: str) -> None:
    touch(*(tmp_path / name for name in files))
    with pytest.raises(CheckpointError, match=message):
        locate(tmp_path / given)


TRAININGS = {
    "PaddleX output": (
        ["config.yaml", "train_result.json", *(f"{name}/{name}.pdparams" for name in FOLDERS)],
        "best_model/best_model.pdparams",
    ),
    "PaddleX output with exports": (
        [
            "config.yaml",
            *(f"{name}/{name}.pdparams" for name in FOLDERS),
            *(f"{name}/inference/inference.{end}" for name in FOLDERS for end in EXPORT),
        ],
        "best_model/inference/inference.json",
    ),
    "only the latest": (
        ["latest/latest.pdparams", "latest/latest.pdopt"],
        "latest/latest.pdparams",
    ),
    "best_model of PaddleX": (
        [
            *(f"best_model.{end}" for end in ("pdparams", "pdopt", "pdstates", "pdema")),
            *(f"inference/inference.{end}" for end in ("pdmodel", "pdiparams", "yml")),
        ],
        "inference/inference.pdmodel",
    ),
    "weights with a configuration": (
        ["best_model.pdparams", "best_model.pdema", "inference/inference.yml"],
        "best_model.pdparams",
    ),
    "moving averages only": (["best_model.pdema", "best_model.pdopt"], "best_model.pdema"),
    "PaddleVideo": (
        [f"ppTSM_{name}.{end}" for name in (*EPOCHS, "best") for end in ("pdparams", "pdopt")],
        "ppTSM_best.pdparams",
    ),
    "PaddleVideo, distilled": (
        [f"ppTSM_{name}.pdparams" for name in (*EPOCHS, "best", "best_student")],
        "ppTSM_best_student.pdparams",
    ),
    "PaddleClas": (
        [
            f"{name}.{end}"
            for name in ("best_model", "latest", *EPOCHS)
            for end in ("pdparams", "pdopt")
        ]
        + ["best_model/model.pdparams"],
        "best_model.pdparams",
    ),
    "a student beside what holds it": (
        ["net.pdparams", "net_student.pdparams"],
        "net_student.pdparams",
    ),
    "an ONNX file": (["net.onnx", "readme.md"], "net.onnx"),
    "a Paddle model before an ONNX file": (["net.onnx", "net.pdparams"], "net.pdparams"),
    "safetensors": (["net.safetensors"], "net.safetensors"),
}


@pytest.mark.parametrize("training", list(TRAININGS))
def test_folders_that_a_training_leaves(tmp_path: Path, training: str) -> None:
    files, expected = TRAININGS[training]
    touch(*(tmp_path / name for name in files))
    found = locate(tmp_path)
    assert found.path == tmp_path / expected
    alone = sum(Path(name).suffix in {".pdparams", ".pdema", ".onnx"} for name in files) == 1
    if "/" in expected or not (alone or training == "safetensors"):
        assert found.notes == (f"{expected} was taken from {tmp_path}",)
    else:
        assert found.notes == ()
    assert locate(found.path).notes == ()
    assert locate(found.path).kind == found.kind


def test_the_configuration_of_an_export_serves_the_checkpoint(tmp_path: Path) -> None:
    touch(tmp_path / "x.pdparams", tmp_path / "inference/inference.yml")
    config = tmp_path / "inference/inference.yml"
    assert locate(tmp_path).config == config
    assert locate(tmp_path / "x.pdparams").config == config
    touch(tmp_path / "inference.yml")
    assert locate(tmp_path).config == tmp_path / "inference.yml"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([f"net_{name}.pdparams" for name in EPOCHS], "holds 2 models: net_epoch_00001"),
        (["a_best.pdparams", "b_best.pdparams"], "holds 2 models: a_best"),
        (["a.onnx", "b.onnx"], "holds 2 models: a.onnx"),
        (["a.pdmodel", "b.pdmodel", "c_best.pdparams"], "holds 2 models: a.pdmodel"),
        ([f"e_{index:02}.pdparams" for index in range(20)], r"e_07.pdparams, … \(12 more\)"),
        (["inference/a.pdmodel", "inference/b.pdmodel"], "holds 2 models"),
    ],
)
def test_folders_of_several_models(tmp_path: Path, names: list[str], message: str) -> None:
    touch(*(tmp_path / name for name in names))
    with pytest.raises(CheckpointError, match=message) as caught:
        locate(tmp_path)
    assert f"edgecls convert {tmp_path}" in caught.value.hint


@pytest.mark.parametrize("given", ["net.pdopt", ""])
def test_an_optimizer_is_no_model(tmp_path: Path, given: str) -> None:
    touch(tmp_path / "net.pdopt")
    with pytest.raises(CheckpointError, match="state of an optimizer only") as caught:
        locate(tmp_path / given)
    assert "net.pdparams" in caught.value.hint


def test_a_fifo_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "net.pdparams")
    with pytest.raises(CheckpointError, match="is a FIFO; expected a file"):
        locate(tmp_path / "net.pdparams")
    with pytest.raises(CheckpointNotFound, match="holds no model"):
        locate(tmp_path)


def test_other_things_than_files(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="/dev/null is a device"):
        locate(Path("/dev/null"))
    with (
        socket.socket(socket.AF_UNIX) as listener,
        tempfile.TemporaryDirectory() as short,  # the path of a socket may have 107 characters
    ):
        path = Path(short) / "s.onnx"
        listener.bind(str(path))
        with pytest.raises(CheckpointError, match="is a socket"):
            locate(path)


def test_links(tmp_path: Path) -> None:
    loop = tmp_path / "loop.pdparams"
    loop.symlink_to(loop)
    with pytest.raises(CheckpointError, match="is a symbolic link to itself"):
        locate(loop)
    with pytest.raises(CheckpointNotFound, match="holds no model"):
        locate(tmp_path)
    touch(tmp_path / "real/net.pdparams")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert locate(tmp_path / "link").path == tmp_path / "link/net.pdparams"
    (tmp_path / "real/self").symlink_to(tmp_path / "real")
    assert locate(tmp_path / "real/self/self").kind == "pdparams"


def test_paths_that_cannot_be(tmp_path: Path) -> None:
    touch(tmp_path / "file")
    with pytest.raises(CheckpointNotFound, match="does not exist"):
        locate(tmp_path / "file/net.pdparams")
    with pytest.raises(CheckpointError, match="cannot be read: File name too long"):
        locate(tmp_path / ("x" * 300))


def test_an_unreadable_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(CheckpointError, match="cannot be read: Permission denied"):
        locate(tmp_path)


def test_missing_parts_are_file_not_found_errors_too(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        locate(tmp_path / "absent")
    assert isinstance(caught.value, CheckpointNotFound)
