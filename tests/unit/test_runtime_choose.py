"""Every way a backend is chosen, with made-up engines, clock and processor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from models.bundle import Bundle
from models.errors import BackendError, BundleError, UsageError
from runtime.backends import BACKENDS
from runtime.choice_cache import ChoiceCache
from runtime.choose import Machine, choose_session
from runtime.cpu import CpuInfo
from runtime.race import RACE_RUNS, RACE_S
from runtime.session import Probe
from tests.engines import AMD, INTEL, OPTIONS, Clock, Engine
from tests.tiny_models import write_tiny_bundle


@dataclass(kw_only=True)
class Setting:
    clock: Clock
    openvino: Engine
    cpu: Engine
    machine: Machine


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return write_tiny_bundle(tmp_path / "tiny")


@pytest.fixture
def setting(tmp_path: Path) -> Callable[[CpuInfo], Setting]:
    def make(cpu: CpuInfo) -> Setting:
        clock = Clock()
        first, second = Engine(name="openvino", clock=clock), Engine(name="cpu", clock=clock)
        machine = Machine(
            backends=(first.backend, second.backend),
            cpu=cpu,
            clock=clock,
            cache=ChoiceCache(tmp_path / "cache" / "choices.json"),
        )
        return Setting(clock=clock, openvino=first, cpu=second, machine=machine)

    return make


MakeSetting = Callable[[CpuInfo], Setting]


def test_intel_takes_openvino_without_a_race(bundle: Bundle, setting: MakeSetting) -> None:
    here = setting(INTEL)
    choice = choose_session(bundle, backend=None, options=OPTIONS, machine=here.machine)
    assert choice.session.backend == "openvino"
    assert (here.openvino.opened, here.openvino.runs, here.cpu.opened) == (1, 0, 0)
    assert choice.line() == (
        "backend: openvino 1.0 CPU, fp32 (Intel CPU: OpenVINO first; cpu not tried)"
    )


def test_intel_without_openvino_says_why(bundle: Bundle, setting: MakeSetting) -> None:
    here = setting(INTEL)
    here.openvino.probe = Probe(ok=False, reason="openvino is not installed", hint="pip")
    choice = choose_session(bundle, backend=None, options=OPTIONS, machine=here.machine)
    assert choice.line() == (
        "backend: cpu 1.0 CPU, fp32"
        " (Intel CPU: OpenVINO first; openvino: openvino is not installed)"
    )
    assert here.openvino.opened == 0


def test_intel_goes_on_after_a_failed_open(bundle: Bundle, setting: MakeSetting) -> None:
    here = setting(INTEL)
    here.openvino.open_error = BackendError("cannot read the graph.")
    choice = choose_session(bundle, backend=None, options=OPTIONS, machine=here.machine)
    assert choice.session.backend == "cpu"
    assert [(no.backend, no.reason) for no in choice.rejected] == [
        ("openvino", "cannot read the graph")
    ]


@pytest.mark.parametrize(("openvino_s", "cpu_s"), [(0.09, 0.07), (0.05, 0.07)])
def test_elsewhere_the_faster_wins(
    bundle: Bundle, setting: MakeSetting, openvino_s: float, cpu_s: float
) -> None:
    here = setting(AMD)
    here.openvino.run_s, here.cpu.run_s = openvino_s, cpu_s
    choice = choose_session(bundle, backend=None, options=OPTIONS, machine=here.machine)
    winner, loser = sorted((here.openvino, here.cpu), key=lambda engine: engine.run_s)
    assert choice.session.backend == winner.name
    assert (winner.closed, loser.closed) == (0, 1)
    rounds = np.ceil(RACE_S / (openvino_s + cpu_s))
    assert winner.runs == loser.runs == 1 + rounds, "one warm-up, then turn by turn"
    assert f"{winner.name} {winner.run_s * 1e3:.1f} ms, {loser.name}" in choice.line()


@pytest.mark.parametrize(
    ("openvino_s", "cpu_s", "rounds"), [(0.4, 30.0, 1), (0.4, 0.3, 3), (1e-4, 1e-4, RACE_RUNS)]
)
def test_race_keeps_to_its_time(
    bundle: Bundle, setting: MakeSetting, openvino_s: float, cpu_s: float, rounds: int
) -> None:
    here = setting(AMD)
    here.openvino.run_s, here.cpu.run_s = openvino_s, cpu_s
    choose_session(bundle, backend=None, options=OPTIONS, machine=here.machine)
    assert here.openvino.runs == here.cpu.runs == 1 + rounds, "one round, however slow"


def test_race_is_remembered(bundle: Bundle, setting: MakeSetting) -> None:
    first = setting(AMD)
    first.cpu.run_s = 0.001
    choose_session(bundle, backend=None, options=OPTIONS, machine=first.machine)
    second = setting(AMD)
    choice = choose_session(bundle, backend=None, options=OPTIONS, machine=second.machine)
    assert choice.session.backend == "cpu"
    assert (second.openvino.opened, second.cpu.opened, second.cpu.runs) == (0, 1, 0)
    assert "earlier race" in choice.line()


def test_another_machine_or_model_races_again(
    bundle: Bundle, setting: MakeSetting, tmp_path: Path
) -> None:
    choose_session(bundle, backend=None, options=OPTIONS, machine=setting(AMD).machine)
    other_cpu = setting(CpuInfo(vendor="arm", model="Cortex-A76"))
    choose_session(bundle, backend=None, options=OPTIONS, machine=other_cpu.machine)
    assert other_cpu.cpu.runs > 0
    other_model = setting(AMD)
    choose_session(
        write_tiny_bundle(tmp_path / "other", frames=5),
        backend=None,
        options=OPTIONS,
        machine=other_model.machine,
    )
    assert other_model.cpu.runs > 0


def test_engine_that_comes_or_goes_races_again(bundle: Bundle, setting: MakeSetting) -> None:
    before = setting(AMD)
    before.openvino.probe = Probe(ok=False, reason="openvino is not installed")
    choice = choose_session(bundle, backend=None, options=OPTIONS, machine=before.machine)
    assert "the only one that runs here" in choice.line()
    after = setting(AMD)
    after.openvino.run_s = 0.001
    choice = choose_session(bundle, backend=None, options=OPTIONS, machine=after.machine)
    assert choice.session.backend == "openvino"


def test_remembered_engine_that_no_longer_opens(bundle: Bundle, setting: MakeSetting) -> None:
    first = setting(AMD)
    first.cpu.run_s = 0.001
    choose_session(bundle, backend=None, options=OPTIONS, machine=first.machine)
    second = setting(AMD)
    second.cpu.open_error = BackendError("no memory")
    choice = choose_session(bundle, backend=None, options=OPTIONS, machine=second.machine)
    assert choice.session.backend == "openvino"
    assert second.cpu.opened == 1, "one attempt per backend"
    assert "cpu: no memory" in choice.line()


def test_entrant_that_fails_while_running_is_out(bundle: Bundle, setting: MakeSetting) -> None:
    here = setting(AMD)
    here.cpu.run_error = BackendError("illegal instruction")
    choice = choose_session(bundle, backend=None, options=OPTIONS, machine=here.machine)
    assert choice.session.backend == "openvino"
    assert here.cpu.closed == 1
    assert "cpu: illegal instruction" in choice.line()


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", '{"a": 3}', "\x00" * 10, "[" * 100_000])
def test_corrupt_cache_is_rewritten(bundle: Bundle, setting: MakeSetting, text: str) -> None:
    here = setting(AMD)
    path = here.machine.cache.path
    path.parent.mkdir(parents=True)
    path.write_text(text)
    choose_session(bundle, backend=None, options=OPTIONS, machine=here.machine)
    again = setting(AMD)
    choose_session(bundle, backend=None, options=OPTIONS, machine=again.machine)
    assert again.cpu.runs == 0
    assert [child.name for child in path.parent.iterdir()] == [path.name], "no temporary left"


def test_unwritable_cache_does_no_harm(
    bundle: Bundle, setting: MakeSetting, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    here = setting(AMD)
    machine = replace(here.machine, cache=ChoiceCache(tmp_path / "file" / "choices.json"))
    with caplog.at_level("DEBUG"):
        choice = choose_session(bundle, backend=None, options=OPTIONS, machine=machine)
    assert choice.session.backend in {"openvino", "cpu"}
    assert "not remembered" in caplog.text


@pytest.mark.parametrize("cpu", [INTEL, AMD])
def test_named_backend_is_strict(bundle: Bundle, setting: MakeSetting, cpu: CpuInfo) -> None:
    here = setting(cpu)
    choice = choose_session(bundle, backend="cpu", options=OPTIONS, machine=here.machine)
    assert choice.line() == "backend: cpu 1.0 CPU, fp32 (cpu asked for)"
    here.cpu.probe = Probe(ok=False, reason="onnxruntime is not installed")
    with pytest.raises(BackendError, match="onnxruntime is not installed") as caught:
        choose_session(bundle, backend="cpu", options=OPTIONS, machine=here.machine)
    assert caught.value.hint == "pip install 'edgecls[cpu]'"
    assert here.openvino.opened == 0


def test_unknown_backend_lists_the_known(bundle: Bundle, setting: MakeSetting) -> None:
    with pytest.raises(UsageError, match="'tpu'") as caught:
        choose_session(bundle, backend="tpu", options=OPTIONS, machine=setting(AMD).machine)
    assert "openvino, cpu" in caught.value.hint


@pytest.mark.parametrize(
    ("cpu", "broken"),
    [(INTEL, "probe"), (INTEL, "open"), (AMD, "probe"), (AMD, "open"), (AMD, "run")],
)
def test_nothing_runs(bundle: Bundle, setting: MakeSetting, cpu: CpuInfo, broken: str) -> None:
    here = setting(cpu)
    for engine in (here.openvino, here.cpu):
        if broken == "probe":
            engine.probe = Probe(ok=False, reason=f"{engine.name} is not installed", hint="pip it")
        elif broken == "open":
            engine.open_error = BackendError(f"{engine.name} is not installed")
        else:
            engine.run_error = BackendError(f"{engine.name} is not installed")
    with pytest.raises(BackendError, match="openvino is not installed; cpu: cpu is not installed"):
        choose_session(bundle, backend=None, options=OPTIONS, machine=here.machine)
    for engine in (here.openvino, here.cpu):
        assert engine.closed == (engine.opened if broken == "run" else 0)


def test_altered_graph_is_refused_before_any_engine(bundle: Bundle, setting: MakeSetting) -> None:
    path = bundle.path / "model.onnx"
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    here = setting(INTEL)
    with pytest.raises(BundleError, match="was changed"):
        choose_session(bundle, backend=None, options=OPTIONS, machine=here.machine)
    assert here.openvino.opened == 0


def test_earlier_entries_win_on_intel(bundle: Bundle, setting: MakeSetting) -> None:
    """An accelerator is just an earlier entry of the tuple."""
    here = setting(INTEL)
    gpu = Engine(name="cuda", clock=here.clock)
    machine = replace(here.machine, backends=(gpu.backend, *here.machine.backends))
    choice = choose_session(bundle, backend=None, options=OPTIONS, machine=machine)
    assert choice.session.backend == "cuda"
    assert "openvino, cpu not tried" in choice.line()


@pytest.mark.parametrize("vendor", ["intel", "amd"])
def test_real_engines(bundle: Bundle, tmp_path: Path, vendor: str) -> None:
    if not all(backend.probe().ok for backend in BACKENDS):
        pytest.skip("needs onnxruntime and openvino")
    machine = Machine(
        cpu=CpuInfo(vendor=vendor, model="this one"), cache=ChoiceCache(tmp_path / "choices.json")
    )
    for _ in range(2):
        choice = choose_session(bundle, backend=None, options=OPTIONS, machine=machine)
        with choice.session as session:
            clips, logits = bundle.probe()
            np.testing.assert_allclose(session.run(clips), logits, atol=1e-3)


def test_keys_differ_by_engine_version(
    bundle: Bundle, setting: MakeSetting, monkeypatch: pytest.MonkeyPatch
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    runs = []
    for version in ("1.0.0", "1.0.0", "2.0.0"):
        monkeypatch.setattr(onnxruntime, "__version__", version)
        here = setting(AMD)
        choose_session(bundle, backend=None, options=OPTIONS, machine=here.machine)
        runs.append(here.cpu.runs > 0)
    assert runs == [True, False, True]
