"""Every way a backend is chosen, with made-up engines, clock and processor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.bundle import Bundle
from models.errors import BackendError, BundleError, UsageError
from runtime.backends import BACKENDS
from runtime.choice_cache import ChoiceCache
from runtime.choose import Machine, choose_session
from runtime.cpu import CpuInfo
from runtime.race import OUT_AFTER, RACE_RUNS, RACE_S
from runtime.session import Probe
from runtime.settings import switch
from tests.engines import AMD, ASKED, Clock, Engine
from tests.tiny_models import write_tiny_bundle

CPU = replace(ASKED, backend="cpu")
ON_CPU = "CPU 100 % of nodes, 100 % of time"


@dataclass(kw_only=True)
class Setting:
    clock: Clock
    openvino: Engine
    cpu: Engine
    machine: Machine


MakeSetting = Callable[..., Setting]


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return write_tiny_bundle(tmp_path / "tiny")


@pytest.fixture
def setting(tmp_path: Path) -> MakeSetting:
    def make(cpu: CpuInfo = AMD, gpus: str = "") -> Setting:
        clock = Clock()
        first, second = Engine(name="openvino", clock=clock), Engine(name="cpu", clock=clock)
        machine = Machine(
            backends=(first.backend, second.backend),
            cpu=cpu,
            gpus=gpus,
            clock=clock,
            cache=ChoiceCache(tmp_path / "cache" / "choices.json"),
        )
        return Setting(clock=clock, openvino=first, cpu=second, machine=machine)

    return make


@pytest.mark.parametrize(("openvino_s", "cpu_s"), [(0.09, 0.07), (0.05, 0.07)])
def test_the_faster_wins(
    bundle: Bundle, setting: MakeSetting, openvino_s: float, cpu_s: float
) -> None:
    here = setting()
    here.openvino.run_s, here.cpu.run_s = openvino_s, cpu_s
    choice = choose_session(bundle, ASKED, machine=here.machine)
    winner, loser = sorted((here.openvino, here.cpu), key=lambda engine: engine.run_s)
    assert choice.session.backend == winner.name
    assert (winner.closed, loser.closed) == (0, 1)
    rounds = np.ceil(RACE_S / (openvino_s + cpu_s))
    assert winner.runs == loser.runs == 1 + rounds, "one warm-up, then turn by turn"
    assert f"{winner.name} {winner.run_s * 1e3:.1f} ms, {loser.name}" in choice.line()


@pytest.mark.parametrize(
    ("openvino_s", "cpu_s", "rounds"),
    [(0.4, 30.0, 1), (0.4, 0.3, 3), (1e-4, 3e-4, RACE_RUNS), (0.1, 0.21, OUT_AFTER)],
)
def test_race_keeps_to_its_time(
    bundle: Bundle, setting: MakeSetting, openvino_s: float, cpu_s: float, rounds: int
) -> None:
    here = setting()
    here.openvino.run_s, here.cpu.run_s = openvino_s, cpu_s
    choose_session(bundle, ASKED, machine=here.machine)
    assert here.openvino.runs == here.cpu.runs == 1 + rounds, (
        "one round, however slow; few if it is clear"
    )


def test_race_is_remembered(bundle: Bundle, setting: MakeSetting) -> None:
    first = setting()
    first.cpu.run_s = 0.001
    choose_session(bundle, ASKED, machine=first.machine)
    second = setting()
    choice = choose_session(bundle, ASKED, machine=second.machine)
    assert choice.session.backend == "cpu"
    assert (second.openvino.opened, second.cpu.opened, second.cpu.runs) == (0, 1, 1)
    assert "earlier race" in choice.line()


def test_another_machine_or_model_races_again(
    bundle: Bundle, setting: MakeSetting, tmp_path: Path
) -> None:
    choose_session(bundle, ASKED, machine=setting().machine)
    other_gpu = setting(gpus="10de:20b0")
    choose_session(bundle, ASKED, machine=other_gpu.machine)
    assert other_gpu.cpu.runs > 1
    other_cpu = setting(CpuInfo(vendor="arm", model="Cortex-A76"))
    choose_session(bundle, ASKED, machine=other_cpu.machine)
    assert other_cpu.cpu.runs > 1
    other_model = setting()
    choose_session(
        write_tiny_bundle(tmp_path / "other", frames=5),
        ASKED,
        machine=other_model.machine,
    )
    assert other_model.cpu.runs > 1


def test_engine_that_comes_or_goes_races_again(bundle: Bundle, setting: MakeSetting) -> None:
    before = setting()
    before.openvino.probe = Probe(ok=False, reason="openvino is not installed")
    choice = choose_session(bundle, ASKED, machine=before.machine)
    assert "the only one that runs here" in choice.line()
    after = setting()
    after.openvino.run_s = 0.001
    choice = choose_session(bundle, ASKED, machine=after.machine)
    assert choice.session.backend == "openvino"


def test_remembered_engine_that_no_longer_opens(bundle: Bundle, setting: MakeSetting) -> None:
    first = setting()
    first.cpu.run_s = 0.001
    choose_session(bundle, ASKED, machine=first.machine)
    second = setting()
    second.cpu.open_error = BackendError("no memory")
    choice = choose_session(bundle, ASKED, machine=second.machine)
    assert choice.session.backend == "openvino"
    assert second.cpu.opened == 1, "one attempt per backend"
    assert "cpu: no memory" in choice.line()


def test_entrant_that_fails_while_running_is_out(bundle: Bundle, setting: MakeSetting) -> None:
    here = setting()
    here.cpu.run_error = BackendError("illegal instruction")
    choice = choose_session(bundle, ASKED, machine=here.machine)
    assert choice.session.backend == "openvino"
    assert here.cpu.closed == 1
    assert "cpu: illegal instruction" in choice.line()


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", '{"a": 3}', "\x00" * 10, "[" * 100_000])
def test_corrupt_cache_is_rewritten(bundle: Bundle, setting: MakeSetting, text: str) -> None:
    here = setting()
    path = here.machine.cache.path
    path.parent.mkdir(parents=True)
    path.write_text(text)
    choose_session(bundle, ASKED, machine=here.machine)
    again = setting()
    choose_session(bundle, ASKED, machine=again.machine)
    assert again.openvino.runs + again.cpu.runs == 1
    assert [child.name for child in path.parent.iterdir()] == [path.name], "no temporary left"


def test_unwritable_cache_does_no_harm(
    bundle: Bundle, setting: MakeSetting, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    here = setting()
    machine = replace(here.machine, cache=ChoiceCache(tmp_path / "file" / "choices.json"))
    with caplog.at_level("DEBUG"):
        choice = choose_session(bundle, ASKED, machine=machine)
    assert choice.session.backend in {"openvino", "cpu"}
    assert "not remembered" in caplog.text


def test_named_backend_is_strict(bundle: Bundle, setting: MakeSetting) -> None:
    here = setting()
    choice = choose_session(bundle, CPU, machine=here.machine)
    assert choice.line() == f"backend: cpu 1.0 CPU, fp32: {ON_CPU} (cpu asked for)"
    here.cpu.probe = Probe(ok=False, reason="onnxruntime is not installed")
    with pytest.raises(BackendError, match="onnxruntime is not installed") as caught:
        choose_session(bundle, CPU, machine=here.machine)
    assert caught.value.hint == "edgecls doctor --backend cpu tells what is missing."
    assert here.openvino.opened == 0


def test_unknown_backend_lists_the_known(bundle: Bundle, setting: MakeSetting) -> None:
    with pytest.raises(UsageError, match="'tpu'") as caught:
        choose_session(bundle, replace(ASKED, backend="tpu"), machine=setting().machine)
    assert "openvino, cpu" in caught.value.hint


@pytest.mark.parametrize("race", [True, False])
@pytest.mark.parametrize("broken", ["probe", "open", "run"])
def test_nothing_runs(bundle: Bundle, setting: MakeSetting, broken: str, race: bool) -> None:
    here = setting()
    for engine in (here.openvino, here.cpu):
        if broken == "probe":
            engine.probe = Probe(ok=False, reason=f"{engine.name} is not installed", hint="pip it")
        elif broken == "open":
            engine.open_error = BackendError(f"{engine.name} is not installed")
        else:
            engine.run_error = BackendError(f"{engine.name} is not installed")
    with pytest.raises(BackendError, match="openvino is not installed; cpu: cpu is not installed"):
        choose_session(bundle, replace(ASKED, race=race), machine=here.machine)
    for engine in (here.openvino, here.cpu):
        assert engine.closed == (engine.opened if broken == "run" else 0)


def test_what_failed_in_a_race_is_tried_again(bundle: Bundle, setting: MakeSetting) -> None:
    """Memory that another process had at the first start must not decide for ever."""
    first = setting()
    first.openvino.open_error = BackendError("no memory")
    first.openvino.run_s = 0.001
    choose_session(bundle, ASKED, machine=first.machine)
    still = setting()
    still.openvino.open_error = BackendError("no memory")
    choice = choose_session(bundle, ASKED, machine=still.machine)
    assert choice.remembered
    assert (still.cpu.runs, choice.session.backend) == (1, "cpu")
    assert choice.line().endswith("on this machine; openvino: no memory)")
    mended = setting()
    mended.openvino.run_s = 0.001
    choice = choose_session(bundle, ASKED, machine=mended.machine)
    assert (choice.remembered, choice.session.backend) == (False, "openvino")
    assert (mended.openvino.opened, mended.openvino.closed) == (2, 1)


def test_without_a_race_the_first_that_works(bundle: Bundle, setting: MakeSetting) -> None:
    here = setting()
    here.cpu.run_s = 0.001
    asked = replace(ASKED, race=False)
    choice = choose_session(bundle, asked, machine=here.machine)
    assert choice.line() == (
        f"backend: openvino 1.0 CPU, fp32: {ON_CPU}"
        " (the first of the list that runs here; cpu not tried)"
    )
    assert (here.openvino.opened, here.openvino.runs, here.cpu.probed) == (1, 1, 0)
    assert not here.machine.cache.path.exists()
    here.openvino.run_error = BackendError("illegal instruction")
    choice = choose_session(bundle, asked, machine=here.machine)
    assert choice.line() == (
        f"backend: cpu 1.0 CPU, fp32: {ON_CPU} (the first of the list that runs here;"
        " openvino: illegal instruction)"
    )


@pytest.mark.parametrize(
    "changed",
    [
        {"device": "GPU"},
        {"parallel": 2},
        {"settings": {"cpu": {"spinning": "on"}}},
        {"strict": True},
        {"strict": True, "max_cpu_share": 0.1},
        {"precision": "auto"},
    ],
)
def test_what_is_asked_for_races_for_itself(
    bundle: Bundle, setting: MakeSetting, changed: dict[str, Any]
) -> None:
    first = setting()
    choose_session(bundle, ASKED, machine=first.machine)
    asked = replace(ASKED, **changed)
    for races in (True, False):
        here = setting()
        for engine in (here.openvino, here.cpu):
            engine.settings = (switch("spinning", default="off", about="."),)
        machine = replace(here.machine, backends=(here.openvino.backend, here.cpu.backend))
        choose_session(bundle, asked, machine=machine)
        assert (here.cpu.runs + here.openvino.runs > 1) == races
        assert all(options == asked.options for options in here.cpu.options)


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        ({"settings": {"cpu": {"spin": "on"}}}, UsageError, "Backend cpu has no option 'spin'"),
        ({"settings": {"tpu": {"spin": "on"}}}, UsageError, "There is no backend 'tpu'"),
        ({"max_cpu_share": 1.5}, UsageError, "is 1.5; it must be"),
        ({"max_cpu_share": float("nan")}, UsageError, "is nan; it must be"),
    ],
)
def test_options_that_nobody_reads(
    bundle: Bundle,
    setting: MakeSetting,
    asked: dict[str, Any],
    error: type[Exception],
    message: str,
) -> None:
    here = setting()
    with pytest.raises(error, match=message):
        choose_session(bundle, replace(ASKED, **asked), machine=here.machine)
    assert here.openvino.opened == here.cpu.opened == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"cpu": {"spin": "on"}}, "card.json cannot be used: Backend cpu has no option 'spin'"),
        ({"tpu": {}}, "card.json are for a backend 'tpu' that there is not"),
    ],
)
def test_a_card_with_settings_that_there_are_not(
    bundle: Bundle, setting: MakeSetting, settings: dict[str, dict[str, str]], message: str
) -> None:
    card = bundle.card.model_copy(update={"settings": settings})
    with pytest.raises(BundleError, match=message):
        choose_session(Bundle(path=bundle.path, card=card), ASKED, machine=setting().machine)


def test_altered_graph_is_refused_before_any_engine(bundle: Bundle, setting: MakeSetting) -> None:
    path = bundle.path / "model.onnx"
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    here = setting()
    with pytest.raises(BundleError, match="was changed"):
        choose_session(bundle, ASKED, machine=here.machine)
    assert here.openvino.opened == 0


@pytest.mark.parametrize("race", [True, False])
def test_real_engines(bundle: Bundle, tmp_path: Path, race: bool) -> None:
    if not any(backend.probe().ok for backend in BACKENDS):
        pytest.skip("needs an engine")
    machine = Machine(cache=ChoiceCache(tmp_path / "choices.json"))
    for _ in range(2):
        choice = choose_session(bundle, replace(ASKED, race=race), machine=machine)
        assert choice.placement.shares
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
        here = setting()
        choose_session(bundle, ASKED, machine=here.machine)
        runs.append(here.cpu.runs > 1)
    assert runs == [True, False, True]


def test_a_reason_is_told_once(bundle: Bundle, setting: MakeSetting) -> None:
    here = setting()
    names = ("tensorrt", "cuda")
    absent = [
        Engine(name=name, clock=here.clock, probe=Probe(ok=False, reason="no GPU here"))
        for name in names
    ]
    backends = (*(one.backend for one in absent), here.cpu.backend)
    choice = choose_session(bundle, ASKED, machine=replace(here.machine, backends=backends))
    assert choice.line().endswith("(the only one that runs here; tensorrt, cuda: no GPU here)")


def test_a_gpu_that_nobody_expects_is_no_news(bundle: Bundle, setting: MakeSetting) -> None:
    here = setting()
    none = Probe(ok=False, reason="no NVIDIA driver here", expected=False)
    cuda = Engine(name="cuda", clock=here.clock, probe=none)
    machine = replace(here.machine, backends=(cuda.backend, here.cpu.backend))
    choice = choose_session(bundle, ASKED, machine=machine)
    assert choice.line().endswith("(the only one that runs here)")
    assert [no.reason for no in choice.rejected] == ["no NVIDIA driver here"]
    here.cpu.open_error = BackendError("no memory")
    with pytest.raises(BackendError, match="cuda: no NVIDIA driver here; cpu: no memory"):
        choose_session(bundle, ASKED, machine=machine)
