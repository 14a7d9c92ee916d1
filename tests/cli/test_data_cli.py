"""`edgecls data check` on real small videos."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.command import failing
from tests.cli.in_process import Done, called
from tests.video_files import write_numbered

PADDLEX_FIELDS = {
    "done_flag",
    "check_pass",
    "attributes",
    "analysis",
    "dataset_path",
    "show_type",
    "dataset_type",
}
PADDLEX_ATTRIBUTES = {
    "label_file",
    "num_classes",
    "train_samples",
    "train_sample_paths",
    "val_samples",
    "val_sample_paths",
}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A PaddleX data set without a mistake."""
    root = tmp_path / "data"
    (root / "videos").mkdir(parents=True)
    for place in range(4):
        write_numbered(root / "videos" / f"{place}.mp4", 10 + place)
    (root / "label.txt").write_text("0 run\n1 walk\n")
    (root / "train.txt").write_text("videos/0.mp4 0\nvideos/1.mp4 1\n")
    (root / "val.txt").write_text("videos/2.mp4 0\nvideos/3.mp4 1\n")
    return root


def check(monkeypatch: pytest.MonkeyPatch, *words: object) -> Done:
    return called("data", "check", *words, monkeypatch=monkeypatch)


def test_a_good_data_set(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = check(monkeypatch, data)
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[-1].startswith("0 errors, 0 warnings")
    lines = [line.split() for line in done.out.splitlines()]
    assert [words[:2] for words in lines if words[:1] in (["run"], ["walk"])] == [
        ["run", "1"],
        ["walk", "1"],
    ]


def test_screen_is_80_columns(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (data / "label.txt").write_text(f"0 {'very long name ' * 6}\n1 walk\n")
    monkeypatch.chdir(data.parent)
    done = check(monkeypatch, "data")
    assert max(map(len, done.out.splitlines())) <= 80
    assert "…" in done.out


def test_report_has_the_fields_of_paddlex(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = data.parent / "out" / "check_dataset_result.json"
    done = check(monkeypatch, data, "--report", report, "--json")
    assert done.code == 0
    written = json.loads(report.read_text(encoding="utf-8"))
    assert written == json.loads(done.out)
    assert written.keys() >= PADDLEX_FIELDS
    assert written["attributes"].keys() == PADDLEX_ATTRIBUTES
    assert (written["done_flag"], written["check_pass"]) == (True, True)
    assert written["dataset_type"] == "VideoClsDataset"
    assert written["attributes"]["num_classes"] == 2
    assert written["attributes"]["train_samples"] == written["attributes"]["val_samples"] == 2
    assert all(Path(path).is_file() for path in written["attributes"]["val_sample_paths"])
    assert written["class_counts"][1] == {"index": 1, "name": "walk", "train": 1, "val": 1}
    picture = report.parent / written["analysis"]["histogram"]
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "err_type" not in written
    assert f"report: {report}" in done.err


def test_mistakes_are_listed_and_end_with_12(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (data / "train.txt").open("a") as file:
        file.write("videos/gone.mp4 1\nvideos/0.mp4 7\nvideos/3.mp4 1\n")
    done = check(monkeypatch, data)
    assert done.code == 12
    for kind in ("error: missing (1)", "error: bad label (1)", "error: leak (1)"):
        assert kind in done.out
    assert done.err.startswith(f"error: {data} has 3 errors and 1 warning.")
    as_json = json.loads(check(monkeypatch, data, "--json").out)
    assert (as_json["check_pass"], as_json["err_type"]) == (False, "bad-label")
    assert as_json["err_msg"].startswith(f"{data}/train.txt:4: 'videos/0.mp4' has the label 7")
    assert [one["kind"] for one in as_json["findings"]] == [
        "bad-label",
        "missing",
        "leak",
        "duplicate",
    ]


def test_warnings_count_when_strict(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = check(monkeypatch, data, "--frames", 12)
    assert (done.code, "warning: short (2)" in done.out) == (0, True)
    assert check(monkeypatch, data, "--frames", 12, "--strict").code == 12


def test_other_labels_and_lists(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = data.parent / "names.txt"
    other.write_text("sit\nstand\nlie\n")
    words = (data / "train.txt", data / "val.txt", "--labels", other, "--json")
    found = json.loads(check(monkeypatch, *words).out)
    assert [one["name"] for one in found["class_counts"]] == ["sit", "stand", "lie"]
    assert found["attributes"]["train_samples"] == 4
    assert [one["kind"] for one in found["findings"]] == ["empty-class"]
    leaking = check(monkeypatch, data / "train.txt", "--val", data / "train.txt")
    assert "error: leak (2)" in leaking.out


def test_folder_per_class_and_thorough(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = data.parent / "tree"
    for name, place in (("run", 0), ("walk", 1)):
        (tree / name).mkdir(parents=True)
        (data / "videos" / f"{place}.mp4").rename(tree / name / "a.mp4")
    done = check(monkeypatch, tree, "--thorough")
    assert done.code == 0
    assert "2 folders are numbered in sorted order" in done.out
    assert "every frame decoded" in done.out


def test_many_findings_are_cut(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (data / "train.txt").open("a") as file:
        file.writelines(f"videos/gone{place}.mp4 1\n" for place in range(9))
    done = check(monkeypatch, data)
    assert "… 4 more (--json lists all)" in done.out
    assert len(json.loads(check(monkeypatch, data, "--json").out)["findings"]) == 9


def test_what_is_no_data_set(data: Path) -> None:
    said = failing("data", "check", data / "absent", code=4)
    assert said[0].startswith("error: There is no file or folder")
    frames = data / "frames.list"
    frames.write_text("frames/a 100 0\n")
    said = failing("data", "check", frames, code=12)
    assert f"{frames}:1: " in said[0]
    (data / "label.txt").write_text("1 run\n2 walk\n")
    said = failing("data", "check", data, code=12)
    assert "label.txt:2: the index 2 is beyond" in said[0]


def test_report_that_cannot_be_written(data: Path) -> None:
    (data / "file").touch()
    failing("data", "check", data, "--report", data / "file" / "out.json", code=10)
