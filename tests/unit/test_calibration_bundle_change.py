"""The bundle changes whole or not at all: the process is killed at every single step."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from calibration.bundle_change import NewGraph, add_graphs, locked_bundle, read_report
from calibration.report import (
    Agreement,
    Processor,
    Recipe,
    Repair,
    Report,
    Settings,
    TargetReport,
)
from models.bundle import open_bundle
from models.card import BundleFile, Int8, Variant, sha256_of
from models.errors import BundleError, OutputError
from models.stages import Stage, StageTensor
from tests.cli.command import ROOT, environment
from tests.tiny_models import write_tiny_bundle

PAGE_AND_REPORT = ["report.html", "report.json"]
STAGES = ("frame", "shift1", "window")


def an_int8() -> Int8:
    return Int8(
        writer="made up",
        method="minmax",
        granularity="per_channel",
        activations="u8",
        reduced_range=False,
        fp32_layers=(),
        samples=1,
        random_data=True,
        held_out=1,
        top1_agreement=1.0,
        accuracy_drop_points=None,
        speedup={"cpu": 1.5},
    )


def some_stages(folder: Path, content: bytes) -> tuple[Path, ...]:
    """Files that stand for stage graphs; the content of each ends in its name's first letter."""
    paths = tuple(folder / f"{name}.onnx" for name in STAGES)
    for path in paths:
        path.write_bytes(content + path.name[:1].encode())
    return paths


def stage_entries(paths: tuple[Path, ...]) -> tuple[Stage, ...]:
    maps = StageTensor(name="maps", dtype="uint8", shape=(4, 2, 2))
    rows = StageTensor(name="rows_out", dtype="uint8", shape=(8,))
    frame, shifted, window = (BundleFile.of(path).model_dump() for path in paths)
    return (
        Stage(kind="frame", outputs=(maps,), macs=3, **frame),
        Stage(
            kind="shifted", offsets=(-1, 0, 1), inputs=(maps,), outputs=(rows,), macs=2, **shifted
        ),
        Stage(kind="window", inputs=(rows,), macs=1, **window),
    )


def a_graph(path: Path, content: bytes, weights: bytes | None = None) -> NewGraph:
    path.write_bytes(content)
    beside = None
    if weights is not None:
        beside = path.with_suffix(".bin")
        beside.write_bytes(weights)
    stages = some_stages(path.parent, content) if weights is None else ()
    return NewGraph(
        path=path,
        weights=beside,
        stages=stages,
        variant=Variant(
            precision="int8",
            engine="any" if weights is None else "openvino",
            int8=an_int8(),
            stages=stage_entries(stages) if stages else (),
            **BundleFile.of(path).model_dump(),
        ),
    )


def a_report(*graphs: NewGraph) -> Report:
    recipe = Recipe(
        method="minmax",
        granularity="per_channel",
        activations="u8",
        reduce_range=False,
        skipped=(),
        fp32_layers=(),
    )
    figures = Agreement(
        clips=1,
        top1_agreement=1.0,
        mean_probability_diff=0.0,
        max_probability_diff=0.0,
        logit_snr_db=None,
        logit_cosine=1.0,
    )
    return Report(
        edgecls="0",
        versions={},
        model="tiny",
        family="tiny",
        fp32_sha256="0" * 64,
        settings=Settings(
            sources=("random",),
            labels=None,
            random_data=True,
            method="minmax",
            samples=1,
            held_out=1,
            seed=0,
            budget_points=1.0,
            targets=("onnx",),
        ),
        processor=Processor(
            vendor="intel", model="m", int8_features=(), threads=1, reduce_range=False, why="."
        ),
        clips=(),
        targets=tuple(
            TargetReport(
                target="onnx" if graph.weights is None else "openvino",
                writer="made up",
                engine="none",
                file=graph.path.name,
                sha256=sha256_of(graph.path),
                size_bytes=1,
                fp32_size_bytes=1,
                recipe=recipe,
                candidates=(),
                repairs=(Repair(put_back=(), lost_points=0.0, agreement=figures),),
                sensitivity=(),
                gate=figures,
                answers=(),
                ranges=(),
                races=(),
                advice=".",
            )
            for graph in graphs
        ),
        notes=(),
        duration_s=1.0,
        peak_memory_mib=1.0,
    )


def add(folder: Path, scratch: Path, content: bytes) -> None:
    """Add an ONNX graph and one in two files, of this content."""
    scratch.mkdir(exist_ok=True)
    graphs = (
        a_graph(scratch / "any.onnx", content),
        a_graph(scratch / "own.xml", content + b"x", weights=content + b"xw"),
    )
    with locked_bundle(folder) as bundle:
        add_graphs(bundle, graphs, a_report(*graphs))


def int8_content(folder: Path) -> set[bytes]:
    """Content of the INT8 files that the card names, each compared with its digest."""
    bundle = open_bundle(folder)
    return {
        bundle.checked(entry).read_bytes()
        for variant in bundle.card.variants
        if variant.precision == "int8"
        for entry in variant.files
    }


def contents(text: bytes) -> set[bytes]:
    """What `int8_content` gives after `add`: graph, IR and its weights, three stages."""
    return {text + end for end in (b"", b"x", b"xw", b"f", b"s", b"w")}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_tiny_bundle(tmp_path / "bundle").path


def test_graphs_are_added_and_replaced(folder: Path, tmp_path: Path) -> None:
    before = open_bundle(folder).card
    add(folder, tmp_path / "scratch", b"one")
    card = open_bundle(folder).card
    assert card.variants[:-2] == before.variants
    assert [variant.title for variant in card.variants[-2:]] == ["int8", "int8, openvino only"]
    assert open_bundle(folder).model_path("int8").name == "model.int8.onnx"
    assert open_bundle(folder).model_path("int8", backend="cpu").name == "model.int8.onnx"
    own = open_bundle(folder).model_path("int8", backend="openvino")
    assert own.name == "model.int8.openvino.xml"
    report = read_report(open_bundle(folder))
    assert report is not None
    assert [target.file for target in report.targets] == ["model.int8.onnx", own.name]

    add(folder, tmp_path / "scratch", b"two")
    assert int8_content(folder) == contents(b"two")
    variant = open_bundle(folder).card.variants[-2]
    stages = open_bundle(folder).stage_paths(variant)
    assert [path.name for path in stages] == [f"stream.int8-2.{name}.onnx" for name in STAGES]
    assert [path.read_bytes() for path in stages] == [b"twof", b"twos", b"twow"]
    names = {path.name for path in folder.iterdir()}
    assert names == {
        *("card.json", "model.onnx", "probe.npz", "calibration"),
        *("model.int8-2.onnx", "model.int8.openvino-2.xml", "model.int8.openvino-2.bin"),
        *(f"stream.int8-2.{name}.onnx" for name in STAGES),
    }
    assert sorted(path.name for path in (folder / "calibration").iterdir()) == PAGE_AND_REPORT
    page = (folder / "calibration" / "report.html").read_text(encoding="utf-8")
    assert "model.int8.openvino-2.xml" in page


def test_a_missing_weights_file_is_noticed(folder: Path, tmp_path: Path) -> None:
    add(folder, tmp_path / "scratch", b"one")
    (folder / "model.int8.openvino.bin").unlink()
    with pytest.raises(BundleError, match="cannot be read"):
        open_bundle(folder).model_path("int8", backend="openvino")


KILLED = """
import os, sys
from pathlib import Path

count, folder, scratch = int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
steps = 0

def dying(function):
    def step(*words, **named):
        global steps
        steps += 1
        if steps == count:
            os.kill(os.getpid(), 9)
        return function(*words, **named)
    return step

import shutil
from tests.unit.test_calibration_bundle_change import add
for module, names in ((os, ("replace", "fsync", "open", "unlink", "mkdir")),
                      (shutil, ("copyfile",)),
                      (Path, ("replace", "write_text", "unlink", "mkdir"))):
    for name in names:
        setattr(module, name, dying(getattr(module, name)))
add(folder, scratch, b"two")
"""


def test_killed_at_any_step_it_is_the_old_bundle_or_the_new_one(
    folder: Path, tmp_path: Path
) -> None:
    add(folder, tmp_path / "scratch", b"one")
    old, new = contents(b"one"), contents(b"two")
    seen = set()
    for count in range(3, 200, 3):
        copy = tmp_path / f"copy{count}"
        shutil.copytree(folder, copy)
        child = os.fork()
        if child == 0:
            sys.argv = ["killed", str(count), str(copy), str(tmp_path / "scratch")]
            exec(compile(KILLED, "killed", "exec"), {"__name__": "killed"})
            os._exit(0)
        _, status = os.waitpid(child, 0)
        content = int8_content(copy)
        assert content in (old, new), count
        seen.add("old" if content == old else "new")
        report = read_report(open_bundle(copy))
        assert report is not None, count
        add(copy, tmp_path / "scratch", b"three")  # and nothing is in the way of the next
        assert int8_content(copy) == contents(b"three")
        assert not [path for path in copy.rglob("*") if path.name.endswith(".tmp")]
        assert sorted(path.name for path in (copy / "calibration").iterdir()) == PAGE_AND_REPORT
        assert len(list(copy.glob("model.int8*"))) == 3
        assert len(list(copy.glob("stream.int8*"))) == 3
        shutil.rmtree(copy)
        if os.WIFEXITED(status):
            break
    else:
        pytest.fail("the change has more steps than this test kills")
    assert seen == {"old", "new"}


HOLDER = """
import sys
from pathlib import Path
from calibration.bundle_change import locked_bundle
with locked_bundle(Path(sys.argv[1])):
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_two_at_once_one_gets_a_clear_error_and_a_killed_one_leaves_no_lock(folder: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment(),
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        with pytest.raises(BundleError, match="another process"), locked_bundle(folder):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with locked_bundle(folder) as bundle:
        assert bundle.card.name == "tiny"


def test_a_card_changed_meanwhile_is_not_overwritten(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    graph = a_graph(tmp_path / "s" / "any.onnx", b"one")
    with locked_bundle(folder) as bundle:
        value = json.loads((folder / "card.json").read_text())
        (folder / "card.json").write_text(json.dumps({**value, "name": "other"}))
        with pytest.raises(BundleError, match="changed by another program"):
            add_graphs(bundle, (graph,), a_report(graph))
    assert open_bundle(folder).card.name == "other"
    assert int8_content(folder) == set()
    names = {path.name for path in folder.iterdir()}
    assert names == {"card.json", "model.onnx", "probe.npz"}  # nothing was copied either


def test_the_built_in_bundle_is_not_changed() -> None:
    from models.bundle import BUILTIN_BUNDLE

    with pytest.raises(BundleError, match="part of the program"), locked_bundle(BUILTIN_BUNDLE):
        pass


def test_a_full_disk_leaves_the_bundle_as_it_was(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(folder, tmp_path / "scratch", b"one")

    def full(*words: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(OutputError, match="No space left"):
        add(folder, tmp_path / "scratch", b"two")
    assert int8_content(folder) == contents(b"one")


def test_where_folders_cannot_be_locked_a_file_does_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fcntl = pytest.importorskip("fcntl", reason="POSIX locks")

    def unsupported(*words: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    beside = folder.with_name(f".{folder.name}.lock")
    with locked_bundle(folder):
        assert beside.read_text() == str(os.getpid())
        with pytest.raises(BundleError, match="another process"), locked_bundle(folder):
            pass
    assert not beside.exists()
    beside.mkdir()
    monkeypatch.setattr(os, "open", unsupported)
    with pytest.raises(OutputError, match="cannot be locked"), locked_bundle(folder):
        pass


def test_the_lock_file_of_systems_without_flock(folder: Path) -> None:
    from calibration.bundle_change import _lock_file

    beside = folder.with_name(f".{folder.name}.lock")
    with _lock_file(folder):
        assert beside.read_text() == str(os.getpid())
        with pytest.raises(BundleError, match="another process"), _lock_file(folder):
            pass
    assert not beside.exists()
    child = multiprocessing.get_context("fork").Process(target=os._exit, args=(0,))
    child.start()
    child.join()
    beside.write_text(str(child.pid))  # left by a process that is no more
    with _lock_file(folder):
        assert beside.read_text() == str(os.getpid())
