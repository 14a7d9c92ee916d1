"""Reading labels and `inference.yml`, requests, staged bundles."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from convert.bundle_writer import staged_bundle
from convert.clip_choice import clip_spec
from convert.labels import default_labels, read_labels
from convert.paddlex_config import read_paddlex_config
from convert.request import ConvertRequest
from models.card import CARD_NAME
from models.errors import CheckpointError, OutputError, UsageError
from models.spec import ClipSpec


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("run\nwalk\n", ("run", "walk")),
        ("run\r\nwalk", ("run", "walk")),
        ("\ufeffrun\nwalk\n\n", ("run", "walk")),
        ("0 run\n1 walk fast\n", ("run", "walk fast")),
        ("3 point shot\n1 walk\n", ("3 point shot", "1 walk")),
    ],
)
def test_labels(tmp_path: Path, text: str, expected: tuple[str, ...]) -> None:
    path = tmp_path / "labels.txt"
    path.write_text(text, encoding="utf-8")
    assert read_labels(path, 2) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("one\n", "has 1 labels, the model has 2"),
        ("a\n\nb", "has 3"),
        ("\nb", "empty label at position 0"),
    ],
)
def test_labels_that_do_not_fit(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "labels.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CheckpointError, match=message):
        read_labels(path, 2)


def test_binary_labels(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_labels(path, 2)


@pytest.mark.parametrize("name", ["a\x1b[2J", "tab\tbed", "\x7f"])
def test_labels_that_steer_a_terminal(tmp_path: Path, name: str) -> None:
    path = tmp_path / "labels.txt"
    path.write_text(f"fine\n{name}\n")
    with pytest.raises(CheckpointError, match="control characters at position 1"):
        read_labels(path, 2)


def test_default_labels() -> None:
    names, note = default_labels(400)
    assert (len(set(names)), names[5], names[-1]) == (400, "archery", "zumba")
    assert "assumed" in note
    assert default_labels(2)[0] == ("class 0", "class 1")


PADDLEX = """
Global: {model_name: PP-TSMv2-LCNetV2_8frames_uniform}
PreProcess:
  transform_ops:
  - ReadVideo: {num_seg: 16, sample_type: null}
  - Scale: {short_size: 128}
  - CenterCrop: {target_size: 112}
  - Image2Array: {data_format: tchw}
  - NormalizeVideo: {mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25]}
PostProcess:
  Topk: {topk: 5, label_list: [walk, 7, run]}
"""


def test_paddlex_config(tmp_path: Path) -> None:
    path = tmp_path / "inference.yml"
    path.write_text(PADDLEX)
    config = read_paddlex_config(path)
    assert (config.frames, config.short_side, config.crop) == (16, 128, 112)
    assert config.labels == ("walk", "7", "run")
    assert config.model_name == "PP-TSMv2-LCNetV2_8frames_uniform"
    clip = clip_spec(ClipSpec(frames=16), request(tmp_path), config)
    assert (clip.resize.library, clip.resize.policy, clip.resize.short_side) == (
        "opencv",
        "fixed_4_3",
        128,
    )
    assert (clip.crop, clip.mean, clip.std) == (112, (0.5,) * 3, (0.25,) * 3)


def test_labels_are_what_is_written(tmp_path: Path) -> None:
    path = tmp_path / "inference.yml"
    names = ["no", "007", "1e3", "2001-01-01", "0x10", "null", "1:30"]
    path.write_text(f"PostProcess: {{Topk: {{label_list: [{', '.join(names)}]}}}}")
    assert read_paddlex_config(path).labels == tuple(names)


@pytest.mark.parametrize("nothing", ["", "~", "null", "{}"])
def test_a_section_without_content_tells_nothing(tmp_path: Path, nothing: str) -> None:
    path = tmp_path / "inference.yml"
    path.write_text(f"Global: {nothing}\nPreProcess: {nothing}\nPostProcess: {{Topk: {nothing}}}\n")
    config = read_paddlex_config(path)
    assert (config.model_name, config.frames, config.labels) == (None, None, None)


def test_operator_without_arguments_takes_paddlex_defaults(tmp_path: Path) -> None:
    path = tmp_path / "inference.yml"
    path.write_text("PreProcess: {transform_ops: [ReadVideo: , NormalizeVideo: ]}")
    config = read_paddlex_config(path)
    assert (config.frames, config.short_side, config.mean, config.labels) == (8, None, None, None)


@pytest.mark.parametrize(
    "text",
    [
        "just text",
        "[1, 2]",
        "PreProcess: 3",
        "PreProcess: {transform_ops: [3]}",
        "PreProcess: {transform_ops: 3}",
        "PreProcess: {transform_ops: [ReadVideo: {num_seg: many}]}",
        "PostProcess: {Topk: {label_list: 3}}",
        "a: [unclosed",
        "!!python/object/apply:os.system ['true']",
        "\x00",
        "&a [*a]",
        "Global: " + "[" * 100_000,
        "- " * 100_000,
        "PreProcess: {transform_ops: [ReadVideo: {num_seg: 257}]}",
        "PreProcess: {transform_ops: [Scale: {short_size: 1e9}]}",
        "PreProcess: {transform_ops: [CenterCrop: {target_size: -224}]}",
        "PreProcess: {transform_ops: [NormalizeVideo: {mean: [.nan, 0, 0]}]}",
        "PreProcess: {transform_ops: [NormalizeVideo: {std: [1, 1, 0]}]}",
        "PreProcess: {transform_ops: [" + "a: b, " * 101 + "]}",
        "Global: {model_name: " + "x" * (1 << 20),
    ],
)
def test_damaged_paddlex_config(tmp_path: Path, text: str) -> None:
    path = tmp_path / "inference.yml"
    path.write_text(text)
    with pytest.raises(CheckpointError, match=r"inference\.yml is (not|larger than 1 MiB)"):
        read_paddlex_config(path)


def test_merges_are_not_carried_out(tmp_path: Path) -> None:
    """Each mapping ten times the one before, by a key that other readers act on: 10**30 entries."""
    lines = ["a0: &a0 {k: v}"]
    for level in range(1, 30):
        lines.append(f"a{level}: &a{level} {{<<: [{', '.join([f'*a{level - 1}'] * 10)}]}}")
    path = tmp_path / "inference.yml"
    path.write_text("\n".join([*lines, "Global: *a29"]))
    assert read_paddlex_config(path).model_name is None


def request(folder: Path, **changes: int | float | str) -> ConvertRequest:
    values = {"source": folder / "x.pdparams", "output": folder / "out", **changes}
    return ConvertRequest(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"opset": 12}, "--opset must be 13 to 21, got 12"),
        ({"opset": 22}, "got 22"),
        ({"frames": 0}, "--frames must be 1 to 256"),
        ({"size": 8}, "--size must be 16"),
        ({"clip_length_s": 0.0}, "--clip-length"),
        ({"name": ""}, "--name must be one line of 1 to 200 characters, got ''"),
        ({"name": "a\x1b[2J"}, "--name must be one line"),
        ({"name": "x" * 201}, "--name must be one line"),
        ({"part": "half"}, "--part must be one of auto, model, ema, student, teacher, got .half"),
    ],
)
def test_requests_out_of_range(tmp_path: Path, changes: dict[str, int | str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        request(tmp_path, **changes)


def test_a_request_survives_the_way_to_another_process(tmp_path: Path) -> None:
    asked = request(tmp_path, frames=8, clip_length_s=1.5)
    assert ConvertRequest.from_json_dict(asked.to_json_dict()) == asked
    there = ConvertRequest(source=Path("x.pdparams"), output=Path("out"))
    assert ConvertRequest.from_json_dict(there.to_json_dict()).source == Path.cwd() / "x.pdparams"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, (224, 256)),
        ({"size": 112}, (112, 128)),
        ({"size": 64, "short_side": 64}, (64, 64)),
        ({"short_side": 300}, (224, 300)),
    ],
)
def test_flags_for_size(tmp_path: Path, changes: dict[str, int], expected: tuple[int, int]) -> None:
    clip = clip_spec(ClipSpec(frames=8), request(tmp_path, **changes), None)
    assert (clip.crop, clip.resize.short_side) == expected


def test_a_crop_larger_than_the_picture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="224 is larger than the short side 100"):
        clip_spec(ClipSpec(frames=8), request(tmp_path, short_side=100), None)


@pytest.mark.parametrize(
    ("told", "size", "message"),
    [({"frames": 300}, -1, "frames: "), ({}, 1, "resize.short_side: "), ({}, 9000, "resize.")],
)
def test_a_source_that_asks_for_the_impossible(
    tmp_path: Path, told: dict[str, int], size: int, message: str
) -> None:
    default = ClipSpec(frames=8).model_copy(update=told)
    with pytest.raises(CheckpointError, match=f"The model cannot be fed: {message}"):
        clip_spec(default, request(tmp_path), None, size=size)


def test_staged_bundle_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "deep/er/bundle"
    with staged_bundle(target, force=False) as staging:
        (staging / CARD_NAME).write_text("{}")
        assert not target.exists()
    assert [path.name for path in target.iterdir()] == [CARD_NAME]
    assert [path.name for path in target.parent.iterdir()] == ["bundle"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, OSError(errno.ENOSPC, "full")])
def test_staged_bundle_leaves_nothing_after_a_failure(
    tmp_path: Path, error: type[BaseException] | OSError
) -> None:
    expected = OutputError if isinstance(error, OSError) else error

    def write_half() -> None:
        with staged_bundle(tmp_path / "deep/bundle", force=False) as staging:
            (staging / "model.onnx").write_bytes(b"half")
            raise error

    with pytest.raises(expected):
        write_half()
    assert list(tmp_path.iterdir()) == []


def test_staged_bundle_replaces_only_bundles_and_only_when_told(tmp_path: Path) -> None:
    target = tmp_path / "bundle"
    target.mkdir()
    (target / "precious.txt").write_text("mine")
    with pytest.raises(OutputError, match="is not a bundle; it is left alone"):
        staged_bundle(target, force=True).__enter__()
    (target / "precious.txt").rename(target / CARD_NAME)
    with pytest.raises(OutputError, match="is already a bundle"):
        staged_bundle(target, force=False).__enter__()
    with staged_bundle(target, force=True) as staging:
        (staging / CARD_NAME).write_text("new")
    assert (target / CARD_NAME).read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_a_failed_replacement_keeps_the_old_bundle(tmp_path: Path) -> None:
    target = tmp_path / "bundle"
    target.mkdir()
    (target / CARD_NAME).write_text("old")
    with pytest.raises(ValueError, match="stop"), staged_bundle(target, force=True):
        raise ValueError("stop")
    assert (target / CARD_NAME).read_text() == "old"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_unwritable_parent(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="cannot be written"):
        staged_bundle(tmp_path / "bundle", force=False).__enter__()
    tmp_path.chmod(0o700)


def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="cannot be written"):
        staged_bundle(tmp_path / "file/bundle", force=False).__enter__()
