"""`edgecls classify` on real small videos: what it writes, what it survives."""

from __future__ import annotations

import json
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from models.bundle import Bundle
from runtime.archive import decoding
from tests import crashing_decoder
from tests.cli.command import NEEDS_ENGINES, environment
from tests.cli.in_process import Done, called
from tests.video_files import write_numbered

pytestmark = NEEDS_ENGINES

CLIPS = 60


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty videos of ten kinds in three folders, one of them broken."""
    root = tmp_path_factory.mktemp("archive")
    kinds = [write_numbered(root / f"kind{count}.avi", count) for count in range(3, 32, 3)]
    for number in range(CLIPS - 1):
        path = root / "videos" / f"day{number % 3}" / f"{number:02}.avi"
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(kinds[number % len(kinds)], path)
    (root / "videos" / "broken.mp4").write_bytes(b"\0" * 3000)
    return root / "videos"


def words_of(bundle: Bundle, *words: object) -> list[str]:
    usual = ("--bundle", bundle.path, "--backend", "cpu", "--workers", "2")
    return ["classify", *map(str, (*words, *usual))]


def lines_of(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    header, *rows = [json.loads(line) for line in path.read_text().splitlines()]
    return header, rows


def run_of(*words: str, program: str = "", temporary: str = "/tmp") -> tuple[int, str]:
    """The command in a process of its own, behind a program: its exit code and stderr."""
    done = subprocess.run(
        [sys.executable, "-c", f"{program}from edge_cli.app import main; main()", *words],
        stderr=subprocess.PIPE,
        text=True,
        env={**environment(), "TMPDIR": temporary},
        start_new_session=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stderr


def signal_behind(lines: int, number: int) -> str:
    """A program that makes the command send itself a signal when so many files are done."""
    return (
        "import os, itertools\n"
        "from runtime.archive.journal import Journal\n"
        "append, counted = Journal.append, itertools.count(1)\n"
        "def counting(self, result):\n"
        "    append(self, result)\n"
        f"    if next(counted) == {lines}: os.kill(os.getpid(), {int(number)})\n"
        "Journal.append = counting\n"
    )


@pytest.fixture(scope="module")
def undisturbed(
    archive: Path, bundle: Bundle, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Done, Path]:
    output = tmp_path_factory.mktemp("out") / "labels.jsonl"
    with pytest.MonkeyPatch.context() as monkeypatch:
        done = called(*words_of(bundle, archive, "-o", output), monkeypatch=monkeypatch)
    return done, output


def test_every_file_is_labelled_as_run_does_it(
    undisturbed: tuple[Done, Path], archive: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    done, output = undisturbed
    header, rows = lines_of(output)

    assert done.code == 0
    assert done.out == ""
    assert "written:" in done.err
    assert "60 files, 1 of them failed" in done.err
    assert (header["files"], header["failed"], header["backend"]) == (CLIPS, 1, "cpu")
    assert [row["file"] for row in rows] == sorted(row["file"] for row in rows)
    assert len(rows) == CLIPS
    assert not output.with_name("labels.jsonl.journal").exists()
    (broken,) = [row for row in rows if row["error"]]
    assert broken["file"].endswith("broken.mp4")
    assert (broken["top"], broken["start_s"], broken["size_bytes"]) == ([], None, 3000)
    options = ("--sampling", "uniform", "--format", "jsonl", "--backend", "cpu", "--no-race")
    for row in rows[1:4]:
        alone = called(
            *("run", bundle.path, "--source", row["file"], *options), monkeypatch=monkeypatch
        )
        window = json.loads(alone.out.splitlines()[1])
        assert row["top"] == window["top"]
        assert row["end_s"] == pytest.approx(window["end_s"], abs=1e-3)


def test_parquet_holds_the_same(
    undisturbed: tuple[Done, Path],
    archive: Path,
    bundle: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    output = tmp_path / "labels.parquet"

    done = called(*words_of(bundle, archive, "-o", output), monkeypatch=monkeypatch)

    assert done.code == 0
    table = parquet.read_table(output)
    header, rows = lines_of(undisturbed[1])
    assert json.loads(table.schema.metadata[b"edgecls"])["files"] == header["files"]
    for found, row in zip(table.to_pylist(), rows, strict=True):
        assert found["label"] == (row["top"][0]["label"] if row["top"] else None)
        assert {name: found[name] for name in row if name != "type"} == {
            name: value for name, value in row.items() if name != "type"
        }


@pytest.mark.parametrize("engine", ["local", "ray"])
def test_killed_half_way_it_goes_on(
    engine: str,
    undisturbed: tuple[Done, Path],
    archive: Path,
    bundle: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if engine == "ray":
        pytest.importorskip("ray")
    output = tmp_path / "labels.jsonl"
    journal = tmp_path / "labels.jsonl.journal"
    words = words_of(bundle, archive, "-o", output, "--engine", engine)
    with TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as temporary:
        program = signal_behind(CLIPS // 2, signal.SIGKILL)
        code, _ = run_of(*words, program=program, temporary=temporary)
    assert code == -signal.SIGKILL
    with journal.open("ab") as stream:
        stream.write(journal.read_bytes().splitlines()[1][:40])
    before = journal.read_bytes().count(b"\n") - 1
    assert before == CLIPS // 2
    assert not output.exists()

    # The second half by this machine's engine: which one it is makes no difference.
    done = called(*words_of(bundle, archive, "-o", output), monkeypatch=monkeypatch)

    assert done.code == 0
    assert f"{before} of 60 files were done before" in done.err
    assert output.read_bytes() == undisturbed[1].read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["labels.jsonl"]


def test_ctrl_c_says_how_to_go_on(
    undisturbed: tuple[Done, Path], archive: Path, bundle: Bundle, tmp_path: Path
) -> None:
    output = tmp_path / "labels.jsonl"
    words = words_of(bundle, archive, "-o", output)

    code, err = run_of(*words, program=signal_behind(5, signal.SIGINT))

    said = err.splitlines()[-1]
    assert code == 130
    assert " of 60 files; go on: " in said
    command = shlex.split(said.partition("go on: ")[2])
    assert command[0] == "edgecls"
    code, err = run_of(*command[1:])
    assert "60 files, 1 of them failed" in err
    assert output.read_bytes() == undisturbed[1].read_bytes()


def test_a_crash_of_a_decoder_is_a_line_of_the_output(
    archive: Path, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "COMMAND", crashing_decoder.COMMAND)
    for name in ("a.avi", "crash.avi", "z.avi"):
        shutil.copy(archive / "day0" / "00.avi", tmp_path / name)
    output = tmp_path / "labels.jsonl"

    done = called(*words_of(bundle, tmp_path, "-o", output), monkeypatch=monkeypatch)

    assert done.code == 0
    assert "failed: " in done.err
    assert [bool(row["error"]) for row in lines_of(output)[1]] == [False, True, False]


def test_a_changed_file_is_classified_again(
    archive: Path, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.avi", "b.avi"):
        shutil.copy(archive / "day0" / "00.avi", tmp_path / name)
    output = tmp_path / "labels.jsonl"
    journal = tmp_path / "labels.jsonl.journal"
    words = words_of(bundle, tmp_path, "-o", output)
    with monkeypatch.context() as patch:
        patch.setattr("edge_cli.classify_run._conclude", lambda *rest: None)
        called(*words, monkeypatch=monkeypatch)
    assert journal.exists()
    write_numbered(tmp_path / "b.avi", 31)

    done = called(*words, monkeypatch=monkeypatch)

    assert "1 of 2 files were done before" in done.err
    first, second = lines_of(output)[1]
    assert second["size_bytes"] == (tmp_path / "b.avi").stat().st_size != first["size_bytes"]
    assert second["end_s"] > first["end_s"]


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_an_update_does_what_is_new_or_changed_or_failed(
    ending: str, archive: Path, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if ending == "parquet":
        pytest.importorskip("pyarrow")
    clips = tmp_path / "clips"
    clips.mkdir()
    kinds = [archive / f"day{number}" / f"0{number}.avi" for number in range(3)]
    for name, kind in zip(("keep.avi", "gone.avi", "change.avi"), kinds, strict=True):
        shutil.copy(kind, clips / name)
    (clips / "fail.avi").write_bytes(b"\0" * 3000)
    output, anew = tmp_path / f"labels.{ending}", tmp_path / f"anew.{ending}"
    words = words_of(bundle, clips, "-o", output)
    first = called(*words, "--update", monkeypatch=monkeypatch)  # there is nothing yet: all of it
    assert "4 files, 1 of them failed" in first.err

    (clips / "gone.avi").unlink()
    for name in ("change.avi", "fail.avi", "new.avi"):
        shutil.copy(kinds[0], clips / name)
    done = called(*words, "--update", monkeypatch=monkeypatch)

    assert done.code == 0
    assert "1 of 4 files were done before" in done.err
    assert called(*words_of(bundle, clips, "-o", anew), monkeypatch=monkeypatch).code == 0
    assert output.read_bytes() == anew.read_bytes()
    again = called(*words, "--update", monkeypatch=monkeypatch)
    assert "4 of 4 files were done before" in again.err
    assert output.read_bytes() == anew.read_bytes()


def test_an_update_that_was_stopped_tries_failed_files_again(
    archive: Path, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = tmp_path / "clips"
    clips.mkdir()
    shutil.copy(archive / "day0" / "00.avi", clips / "good.avi")
    (clips / "broken.avi").write_bytes(b"\0" * 3000)
    words = words_of(bundle, clips, "-o", tmp_path / "labels.jsonl")
    with monkeypatch.context() as patch:
        patch.setattr("edge_cli.classify_run._conclude", lambda *rest: None)
        called(*words, monkeypatch=monkeypatch)

    with monkeypatch.context() as patch:
        patch.setattr("edge_cli.classify_run._conclude", lambda *rest: None)
        plain = called(*words, monkeypatch=monkeypatch)
    assert "2 of 2 files were done before" in plain.err
    done = called(*words, "--update", monkeypatch=monkeypatch)
    assert "1 of 2 files were done before" in done.err
    assert [bool(row["error"]) for row in lines_of(tmp_path / "labels.jsonl")[1]] == [True, False]


def test_an_update_mixes_nothing(
    archive: Path, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "labels.jsonl"
    words = words_of(bundle, archive / "day0" / "00.avi", "-o", output)
    output.write_text('{"type": "header", "other": 1}\n')
    foreign = called(*words, "--update", monkeypatch=monkeypatch)
    assert (foreign.code, output.read_text()) == (10, '{"type": "header", "other": 1}\n')
    assert "no output of edgecls classify" in foreign.err

    assert called(*words, "--force", monkeypatch=monkeypatch).code == 0
    before = output.read_bytes()
    other = called(*words, "--update", "--top", "3", monkeypatch=monkeypatch)
    assert other.code == 2
    assert "another --top (5, now 3)" in other.err
    assert output.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["labels.jsonl"]


def test_a_kill_while_the_output_is_written_leaves_nothing_for_good(
    archive: Path, bundle: Bundle, tmp_path: Path
) -> None:
    output = tmp_path / "labels.jsonl"
    words = words_of(bundle, archive / "day0" / "00.avi", "-o", output)
    program = (
        "import os\n"
        "sync, place = os.fsync, '/proc/self/fd/{}'.format\n"
        "partial = lambda handle: os.readlink(place(handle)).endswith('.part')\n"
        "os.fsync = lambda handle: os.kill(os.getpid(), 9) if partial(handle) else sync(handle)\n"
    )
    code, err = run_of(*words, program=program)
    assert code == -signal.SIGKILL, err
    assert not output.exists()

    assert "1 of 1 files were done before" in run_of(*words)[1]
    assert [path.name for path in tmp_path.iterdir()] == ["labels.jsonl"]


def test_results_of_other_options_of_the_engine_are_not_mixed(
    archive: Path, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = words_of(bundle, archive / "day0" / "00.avi", "-o", tmp_path / "labels.jsonl")
    with monkeypatch.context() as patch:
        patch.setattr("edge_cli.classify_run._conclude", lambda *rest: None)
        called(*words, "--backend-option", "spinning=on", monkeypatch=monkeypatch)

    done = called(*words, monkeypatch=monkeypatch)

    assert done.code == 2
    assert "another --backend-option" in done.err
    same = called(*words, "--backend-option", "spinning=on", monkeypatch=monkeypatch)
    assert "1 of 1 files were done before" in same.err
    assert lines_of(tmp_path / "labels.jsonl")[0]["backend_options"] == {"cpu": {"spinning": "on"}}


def test_a_cluster_that_does_not_answer_is_told_at_once(
    archive: Path, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray")
    words = words_of(bundle, archive, "-o", tmp_path / "labels.jsonl")

    done = called(*words, "--engine", "ray", "--address", "127.0.0.1:1", monkeypatch=monkeypatch)

    assert done.code == 9
    assert "No cluster of Ray answers at 127.0.0.1:1: Connection refused" in done.err


def test_what_there_is_already_is_left_alone(
    archive: Path, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "labels.jsonl"
    output.write_text("precious\n")
    words = words_of(bundle, archive / "day0" / "00.avi", "-o", output)

    refused = called(*words, monkeypatch=monkeypatch)
    assert refused.code == 2
    assert "is there already" in refused.err
    assert output.read_text() == "precious\n"

    assert called(*words, "--force", monkeypatch=monkeypatch).code == 0
    assert lines_of(output)[0]["files"] == 1


def test_not_one_file_that_can_be_read_is_an_error(
    archive: Path, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "labels.jsonl"

    done = called(*words_of(bundle, archive / "broken.mp4", "-o", output), monkeypatch=monkeypatch)

    assert done.code == 4
    assert "None of the files could be classified: 1 file." in done.err
    assert lines_of(output)[1][0]["error"]


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ([], 2, "classify needs files"),
        (["x.mp4"], 2, "needs a file for its results"),
        (["x.mp4", "-o", "out.csv"], 2, ".jsonl, .parquet"),
        (["x.mp4", "-o", "none/out.jsonl"], 10, "does not exist"),
        (["x.mp4", "-o", "out.jsonl"], 4, "no file or folder x.mp4"),
        (["x.mp4", "-o", "out.jsonl", "--address", "a:1"], 2, "--engine ray"),
        (["x.mp4", "-o", "out.jsonl", "--engine", "ray", "--parallel", "2"], 2, "--workers"),
        (["rtsp://a/b", "-o", "out.jsonl"], 2, "edgecls run --source"),
        (["x.mp4", "-o", "out.jsonl", "--force", "--update"], 2, "Leave out one of the two"),
    ],
)
def test_mistakes_are_told_at_once(
    words: list[str], code: int, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    done = called("classify", *words, monkeypatch=monkeypatch)

    assert done.code == code
    assert told in done.err
    assert list(tmp_path.iterdir()) == []
