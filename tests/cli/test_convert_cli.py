"""`edgecls convert` as a user meets it: one process, real files, and nothing left behind."""

from __future__ import annotations

import json
import os
import pickle
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from models.bundle import open_bundle
from tests.checkpoints import NARROW, narrow_pptsmv2, weights_by_rule, write_checkpoint
from tests.cli.command import ROOT

for _module in ("paddle", "paddle2onnx"):
    pytest.importorskip(_module, reason="needs the `convert` extra")

pytestmark = pytest.mark.paddle
SMALL = ("--frames", "4", "--size", "64")


def edgecls(
    *arguments: str | Path, before: Callable[[], None] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edge_cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        preexec_fn=before,
    )


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return write_checkpoint(tmp_path / "x.pdparams", weights_by_rule(narrow_pptsmv2()))


def test_convert_inspect_verify_run(checkpoint: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("walk\nrun\njump\nsit\nfall\n")
    bundle = tmp_path / "bundle"
    done = edgecls("convert", checkpoint, "-o", bundle, "--labels", labels, *SMALL)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].startswith(f"{bundle}: PP-TSMv2")
    assert "parity: " in done.stdout
    assert "Compare with the reference" in done.stderr
    assert sorted(path.name for path in bundle.iterdir()) == [
        "card.json",
        "model.onnx",
        "probe.npz",
        "stream.frame.onnx",
        "stream.shift1.onnx",
        "stream.window.onnx",
    ]
    assert "stages: 3, " in done.stdout

    shown = json.loads(edgecls("inspect", bundle, "--json").stdout)["card"]
    assert (shown["family"], shown["labels"]) == ("pp-tsmv2", labels.read_text().split())
    verified = edgecls("verify", bundle)
    assert verified.returncode == 0, verified.stderr
    run = edgecls("run", bundle, "--source", "demo", "--format", "jsonl", "--max-windows", "2")
    assert run.returncode == 0, run.stderr
    header, *windows, _ = map(json.loads, run.stdout.splitlines())
    assert header["family"] == "pp-tsmv2"
    assert len(windows) == 2
    assert {one["label"] for one in windows[0]["top"]} == set(labels.read_text().split())


def test_where_the_user_stands_does_not_matter(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A project folder may well have modules called like ours, and paths may be relative."""
    for name in ("models", "convert", "runtime"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong module')")
    monkeypatch.chdir(tmp_path)
    code = f"import sys; sys.path[0] = {str(ROOT)!r}; from edge_cli.app import main; main()"
    words = ["convert", checkpoint.name, "-o", "bundle", *SMALL]
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("bundle: ")
    assert (tmp_path / "bundle/card.json").is_file()


def truncated(folder: Path) -> tuple[str | Path, ...]:
    path = write_checkpoint(folder / "x.pdparams", weights_by_rule(narrow_pptsmv2()))
    path.write_bytes(path.read_bytes()[:5000])
    return (path, *SMALL)


def exploit(folder: Path) -> tuple[str | Path, ...]:
    class Touch:
        def __reduce__(self) -> tuple[object, ...]:
            return os.system, (f"touch {folder / 'owned'}",)

    (folder / "x.pdparams").write_bytes(pickle.dumps({"w": Touch()}))
    return (folder / "x.pdparams", *SMALL)


def wrong_family(folder: Path) -> tuple[str | Path, ...]:
    path = write_checkpoint(folder / "x.pdparams", weights_by_rule(NARROW["pp-tsm"]()))
    return (path, *SMALL, "--family", "pp-tsmv2")


def unknown_family(folder: Path) -> tuple[str | Path, ...]:
    path = write_checkpoint(folder / "x.pdparams", weights_by_rule(NARROW["pp-tsm"]()))
    return (path, *SMALL, "--family", "slowfast")


def not_a_number(folder: Path) -> tuple[str | Path, ...]:
    weights = weights_by_rule(narrow_pptsmv2())
    weights["backbone.fc.weight"][0, 0] = np.nan
    return (write_checkpoint(folder / "x.pdparams", weights), *SMALL)


def frames_unknown(folder: Path) -> tuple[str | Path, ...]:
    return (write_checkpoint(folder / "x.pdparams", weights_by_rule(narrow_pptsmv2())),)


def params_missing(folder: Path) -> tuple[str | Path, ...]:
    (folder / "inference.json").write_text("{}")
    return (folder,)


def program_damaged(folder: Path) -> tuple[str | Path, ...]:
    (folder / "inference.json").write_text('{"base_code": {}, "program": 3}')
    (folder / "inference.pdiparams").write_bytes(b"")
    return (folder,)


def old_program_damaged(folder: Path) -> tuple[str | Path, ...]:
    (folder / "m.pdmodel").write_bytes(b"\x00garbage" * 20)
    (folder / "m.pdiparams").write_bytes(b"garbage")
    return (folder,)


def labels_short(folder: Path) -> tuple[str | Path, ...]:
    (folder / "labels.txt").write_text("one\ntwo\n")
    return (*frames_unknown(folder), *SMALL, "--labels", folder / "labels.txt")


def opset_too_low(folder: Path) -> tuple[str | Path, ...]:
    return (*frames_unknown(folder), *SMALL, "--opset", "9")


@pytest.mark.parametrize(
    ("make", "code", "message"),
    [
        (truncated, 5, "truncated or not a Paddle checkpoint"),
        (exploit, 5, "Nothing in it was executed"),
        (wrong_family, 5, "is not pp-tsmv2: these weights are pp-tsm"),
        (unknown_family, 5, "slowfast"),
        (not_a_number, 5, "backbone.fc.weight holds 1 value(s) that are NaN"),
        (frames_unknown, 5, "How many frames does a clip have?"),
        (params_missing, 5, "inference.pdiparams is missing"),
        (program_damaged, 5, "damaged or not a Paddle 3 program"),
        (old_program_damaged, 5, "damaged or not a Paddle 2 program"),
        (labels_short, 5, "has 2 labels, the model has 5 classes"),
        (opset_too_low, 2, "--opset must be 13 to 21, got 9"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_bad_input_is_one_clear_error_and_no_file(
    tmp_path: Path, make: Callable[[Path], tuple[str | Path, ...]], code: int, message: str
) -> None:
    arguments = make(tmp_path)
    before = sorted(tmp_path.iterdir())
    done = edgecls("convert", *arguments, "-o", tmp_path / "bundle")
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, done.stderr
    assert message in errors[0]
    assert "Traceback" not in done.stderr
    assert sorted(tmp_path.iterdir()) == before


def test_absent_source(tmp_path: Path) -> None:
    done = edgecls("convert", tmp_path / "absent.pdparams", "-o", tmp_path / "bundle")
    assert done.returncode == 5
    assert "absent.pdparams does not exist" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_output_that_is_there(checkpoint: Path, tmp_path: Path) -> None:
    target = tmp_path / "mine"
    target.mkdir()
    (target / "notes.txt").write_text("keep")
    done = edgecls("convert", checkpoint, "-o", target, *SMALL, "--force")
    assert done.returncode == 10
    assert "is not a bundle; it is left alone" in done.stderr
    assert (target / "notes.txt").read_text() == "keep"


def test_a_file_size_limit(checkpoint: Path, tmp_path: Path) -> None:
    """Paddle itself does not notice that its files are cut off."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (8_000, 8_000))

    done = edgecls("convert", checkpoint, "-o", tmp_path / "bundle", *SMALL, before=limit)
    assert done.returncode == 6, done.stderr
    assert "error: Paddle saved a damaged program" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["x.pdparams"]


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 8 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("this machine does not let us mount a small disk")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_full_disk(checkpoint: Path, full_disk: Path) -> None:
    done = edgecls("convert", checkpoint, "-o", full_disk / "bundle", *SMALL)
    assert done.returncode == 10, done.stderr
    assert f"error: The disk is full: writing {full_disk}" in done.stderr
    assert list(full_disk.iterdir()) == []


def test_full_temporary_folder(
    checkpoint: Path, full_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(full_disk))
    done = edgecls("convert", checkpoint, "-o", tmp_path / "bundle", *SMALL)
    assert done.returncode == 10, done.stderr
    assert "MiB for temporary files" in done.stderr
    assert list(full_disk.iterdir()) == []
    assert not (tmp_path / "bundle").exists()


def test_interrupted_conversion_leaves_nothing(checkpoint: Path, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    child = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "edge_cli",
            "convert",
            checkpoint,
            "-o",
            tmp_path / "bundle",
            *SMALL,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "TMPDIR": str(scratch)},
    )
    assert child.stderr is not None
    assert child.stderr.readline() == "Read the source\n"
    time.sleep(0.2)
    os.killpg(child.pid, signal.SIGINT)
    assert child.wait(timeout=30) == 130
    child.communicate()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scratch", "x.pdparams"]
    assert list(scratch.iterdir()) == []


def test_a_crash_of_the_converter_is_one_error(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from convert import isolated
    from convert.request import ConvertRequest
    from models.errors import ConversionError

    fake = tmp_path / "python"
    fake.write_text("#!/bin/sh\ncat >/dev/null\necho 'Fatal: corrupted' >&2\nkill -SEGV $$\n")
    fake.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(fake))
    request = ConvertRequest(source=checkpoint, output=tmp_path / "bundle", frames=4)
    with pytest.raises(ConversionError, match=r"died with signal SIGSEGV .* Fatal: corrupted"):
        isolated.convert_isolated(request, lambda title, done, total: None)
    assert not (tmp_path / "bundle").exists()


def test_bundle_says_what_the_flags_said(checkpoint: Path, tmp_path: Path) -> None:
    flags = ("--short-side", "72", "--resize", "keep_aspect", "--clip-length", "1.5", "--name", "N")
    done = edgecls("convert", checkpoint, "-o", tmp_path / "bundle", *SMALL, *flags)
    assert done.returncode == 0, done.stderr
    card = open_bundle(tmp_path / "bundle").card
    assert (card.name, card.clip.clip_length_s, card.clip.crop) == ("N", 1.5, 64)
    assert (card.clip.resize.policy, card.clip.resize.short_side) == ("keep_aspect", 72)
    assert "note: labels: none given" in done.stderr
