"""Options about the engine, through the real command line and the real engines."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from edge_cli.engine_options import engine_asked, engine_words, settings_asked
from models.bundle import Bundle
from models.errors import UsageError
from runtime.engine_request import EngineRequest
from tests.cli.command import NEEDS_ENGINES, failing
from tests.cli.in_process import called

RUN = ("run", "-s", "demo", "--max-windows", 1, "--reuse", "off")


@NEEDS_ENGINES
def test_the_first_lines_tell_what_runs(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("--no-race", "--strict", "--max-cpu-share", 0.1, "--format", "jsonl")
    done = called(*RUN, bundle.path, *words, monkeypatch=monkeypatch)
    assert done.code == 0, done.err
    header = json.loads(done.out.splitlines()[0])
    share = {"provider": "CPU", "nodes": None, "node_share": 1.0, "time_share": 1.0}
    assert header["placement"] == {"measured": False, "providers": [share]}
    assert (header["backend"], header["device"], header["precision"]) == ("openvino", "CPU", "fp32")
    said = done.err.splitlines()[0]
    assert said.startswith("backend: openvino 2")
    assert " CPU, fp32: CPU 100 % of nodes, 100 % of time (the first of the list that" in said


@NEEDS_ENGINES
def test_engines_race_and_that_is_remembered(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first, second = (called(*RUN, bundle.path, monkeypatch=monkeypatch).err for _ in range(2))
    assert "(fastest of a race: " in first.splitlines()[0]
    assert "(fastest in an earlier race on this machine" in second.splitlines()[0]
    assert first.split()[1] == second.split()[1]


@NEEDS_ENGINES
def test_options_reach_the_engine(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    for words in (
        ("--backend", "cpu", "--backend-option", "spinning=on", "--device", "CPU"),
        ("--no-race", "--backend-option", "openvino.streams=1", "--device", "CPU"),
    ):
        done = called(*RUN, bundle.path, *words, monkeypatch=monkeypatch)
        assert done.code == 0, done.err


@NEEDS_ENGINES
@pytest.mark.parametrize("command", [RUN, ("eval", "-c", "demo")])
def test_a_device_that_there_is_not(bundle: Bundle, command: tuple[object, ...]) -> None:
    said = failing(*command, bundle.path, "--backend", "openvino", "--device", "GPU.7", code=9)
    assert "Backend openvino was asked for and cannot be used: " in said[-2]
    assert "GPU.7" in said[-2]
    said = failing(*command, bundle.path, "--device", "GPU.7", code=9)
    for name in ("tensorrt", "cuda", "openvino", "cpu"):
        assert name in said[-2]


@NEEDS_ENGINES
def test_eval_goes_on_with_the_same_options(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    words = ("eval", bundle.path, "-c", "demo", "--backend", "openvino")
    option = ("--backend-option", "streams=1")
    done = called(*words, *option, "-o", tmp_path / "out", monkeypatch=monkeypatch)
    assert done.code == 0, done.err
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["backend_options"] == {"openvino": {"streams": "1"}}
    assert report["placement"]["providers"][0]["provider"] == "CPU"
    said = failing(*words, "--resume", tmp_path / "out", code=2)
    assert "--backend-option" in said[-2]


@pytest.mark.parametrize("command", [RUN, ("eval", "-c", "demo"), ("bench",), ("verify",)])
@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("--backend-option", "streams"), "--backend-option 'streams' is not NAME=VALUE."),
        (("--backend-option", "=2"), "--backend-option '=2' is not NAME=VALUE."),
        (("--backend-option", "a=2"), "--backend-option 'a=2' does not say of which backend."),
        (("--backend-option", "tpu.a=2"), "There is no backend 'tpu'."),
        (("--backend-option", "cpu.a=2"), "Backend cpu has no option 'a'."),
        (
            ("--backend-option", "openvino.streams=none"),
            "Option streams of backend openvino is 'none'; expected ",
        ),
        (
            ("--backend", "cpu", "--backend-option", "openvino.streams=2"),
            "--backend-option 'openvino.streams=2' is for openvino, and --backend is cpu.",
        ),
    ],
)
def test_options_that_make_no_sense(
    command: tuple[object, ...], words: tuple[str, ...], error: str
) -> None:
    said = failing(*command, *words, code=2)
    assert said[0].startswith(f"error: {error}")


@pytest.mark.parametrize("command", [RUN, ("eval", "-c", "demo")])
@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("--max-cpu-share", "0.1"), "--max-cpu-share has no meaning without --strict."),
        (("--strict", "--max-cpu-share", "1.5"), "The largest share of nodes on the CPU is 1.5"),
    ],
)
def test_shares_that_make_no_sense(
    command: tuple[object, ...], words: tuple[str, ...], error: str
) -> None:
    assert failing(*command, *words, code=2)[0].startswith(f"error: {error}")


def test_bench_of_streams_takes_engines_as_they_are() -> None:
    for words in (("--device", "CPU"), ("--backend-option", "cpu.spinning=on")):
        said = failing("bench", "--stream", *words, code=2)
        assert "measures engines as they are" in said[0]


@pytest.mark.parametrize(
    ("texts", "backend", "expected"),
    [
        ([], None, {}),
        (["spinning=on"], "cpu", {"cpu": {"spinning": "on"}}),
        (["cpu.spinning=on", "cpu.spinning=off"], None, {"cpu": {"spinning": "off"}}),
        (
            ["openvino.streams=2", "cpu.spinning=on"],
            None,
            {"openvino": {"streams": "2"}, "cpu": {"spinning": "on"}},
        ),
        (["openvino.streams=2"], "openvino", {"openvino": {"streams": "2"}}),
    ],
)
def test_options_by_backend(
    texts: list[str], backend: str | None, expected: dict[str, dict[str, str]]
) -> None:
    assert settings_asked(texts, backend=backend) == expected


def test_what_is_asked_in_words_and_back() -> None:
    asked = EngineRequest(
        backend="openvino",
        precision="int8",
        device="GPU.1",
        threads=3,
        settings={"openvino": {"streams": "2"}},
        race=False,
        strict=True,
        max_cpu_share=0.25,
    )
    words: list[str] = []
    for name, value in engine_words(asked, precision="fp32"):
        words += [] if value is None else [name] if value is True else [name, str(value)]
    assert shlex.join(words) == (
        "--precision int8 --backend openvino --device GPU.1"
        " --backend-option openvino.streams=2 --no-race --strict --max-cpu-share 0.25 --threads 3"
    )
    again = engine_asked(
        backend="openvino",
        precision="int8",
        device="GPU.1",
        backend_options=["openvino.streams=2"],
        no_race=True,
        strict=True,
        max_cpu_share=0.25,
        threads=3,
    )
    assert again == asked
    assert all(value is None for _, value in engine_words(EngineRequest(), precision="fp32"))


def test_a_share_needs_a_reason() -> None:
    with pytest.raises(UsageError, match="without --strict"):
        engine_asked(
            backend="auto",
            precision="auto",
            device=None,
            backend_options=None,
            no_race=False,
            strict=False,
            max_cpu_share=0.0,
            threads=None,
        )
