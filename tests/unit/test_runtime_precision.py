"""Which precision is taken: INT8 where it is trusted and clearly faster on this very machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.bundle import Bundle
from models.errors import BackendError, BundleError, UsageError
from runtime.choice_cache import ChoiceCache, Outcome
from runtime.choose import WORTH_IT, Choice, Machine, choose_session
from runtime.cpu import CpuInfo
from runtime.graphs import competing, runnable, short_title
from runtime.session import Probe
from tests.engines import AMD, ASKED, Clock, Engine
from tests.tiny_models import write_tiny_bundle
from tests.variants import RECORD, add_graph, add_int8

ON_CPU = "CPU 100 % of nodes, 100 % of time"
INT8, IR = "model.int8.onnx", "model.int8.openvino.xml"


@dataclass(kw_only=True)
class Setting:
    openvino: Engine
    cpu: Engine
    machine: Machine

    def choose(
        self, bundle: Bundle, precision: str = "auto", *, backend: str | None = "openvino"
    ) -> Choice:
        asked = replace(ASKED, backend=backend, precision=precision)
        return choose_session(bundle, asked, machine=self.machine)


MakeSetting = Callable[..., Setting]


@pytest.fixture
def setting(tmp_path: Path) -> MakeSetting:
    """An engine on which fp32 takes 20 ms, and others as told; a new one remembers the races."""

    def make(cpu: CpuInfo = AMD, **run_s_of: float) -> Setting:
        clock = Clock()
        times_s = {
            "model.onnx": 0.02,
            **{name.replace("_", "."): s for name, s in run_s_of.items()},
        }
        first = Engine(name="openvino", clock=clock, run_s_of=times_s)
        second = Engine(name="cpu", clock=clock, run_s_of=times_s)
        machine = Machine(
            backends=(first.backend, second.backend),
            cpu=cpu,
            clock=clock,
            cache=ChoiceCache(tmp_path / "cache" / "choices.json"),
        )
        return Setting(openvino=first, cpu=second, machine=machine)

    return make


@pytest.fixture
def plain(tmp_path: Path) -> Bundle:
    return write_tiny_bundle(tmp_path / "tiny")


@pytest.fixture
def bundle(plain: Bundle) -> Bundle:
    return add_int8(plain)


def test_without_int8_auto_is_fp32_and_says_nothing_more(
    plain: Bundle, setting: MakeSetting
) -> None:
    here = setting()
    choice = here.choose(plain)
    assert choice.line() == (f"backend: openvino 1.0 CPU, fp32: {ON_CPU} (openvino asked for)")
    assert (here.openvino.runs, choice.why_precision) == (1, "")
    assert not here.machine.cache.path.exists()


def test_int8_is_taken_where_it_is_faster(bundle: Bundle, setting: MakeSetting) -> None:
    here = setting(model_int8_onnx=0.0105)
    choice = here.choose(bundle)
    assert choice.line() == (
        f"backend: openvino 1.0 CPU, int8: {ON_CPU} (1.9x as fast as fp32 here; agrees with it on"
        " 99.2 % of 125 clips, calibrated on 128; openvino asked for)"
    )
    assert here.openvino.files == ["model.onnx", INT8]
    assert (here.openvino.closed, here.cpu.opened) == (1, 0)


@pytest.mark.parametrize(
    ("int8_s", "taken"), [(0.021, False), (0.02, False), (0.0195, False), (0.019, True)]
)
def test_it_must_be_clearly_faster(
    bundle: Bundle, setting: MakeSetting, int8_s: float, taken: bool
) -> None:
    choice = setting(model_int8_onnx=int8_s).choose(bundle)
    assert choice.precision == ("int8" if taken else "fp32")
    assert choice.speedup == pytest.approx(0.02 / int8_s)
    assert taken == (0.02 / int8_s >= WORTH_IT)
    if not taken:
        why = f"int8 is not worth it: {0.02 / int8_s:.2f}x as fast here"
        assert f"({why}; openvino asked for)" in choice.line()


@pytest.mark.parametrize("int8_s", [0.01, 0.03])
def test_the_race_is_remembered(bundle: Bundle, setting: MakeSetting, int8_s: float) -> None:
    first = setting(model_int8_onnx=int8_s).choose(bundle)
    again = setting(model_int8_onnx=0.02)
    choice = again.choose(bundle)
    assert (choice.precision, choice.speedup) == (first.precision, first.speedup)
    assert again.openvino.files == [first.variant.file], "the other graph is not even opened"
    assert again.openvino.runs == 1
    assert "in an earlier race here" in choice.line()


def test_another_calibration_thread_count_or_machine_races_again(
    bundle: Bundle, setting: MakeSetting
) -> None:
    setting(model_int8_onnx=0.01).choose(bundle)
    other_cpu = setting(CpuInfo(vendor="intel", model="Intel(R) Atom"), model_int8_onnx=0.03)
    assert other_cpu.choose(bundle).precision == "fp32"
    more = add_int8(bundle, IR)
    assert setting(model_int8_onnx=0.03).choose(more).precision == "int8", "the IR, at 10 ms"


def test_the_faster_of_two_int8_graphs(bundle: Bundle, setting: MakeSetting) -> None:
    both = add_int8(bundle, IR)
    times = {"model_int8_onnx": 0.012, "model_int8_openvino_xml": 0.008}
    assert setting(**times).choose(both).variant.file == IR
    assert setting(**times).choose(both, "int8").variant.file == IR
    times = {"model_int8_onnx": 0.008, "model_int8_openvino_xml": 0.012}
    other = setting(CpuInfo(vendor="intel", model="another"), **times)
    assert other.choose(both).variant.file == INT8
    only_cpu = setting(model_int8_onnx=0.012).choose(both, "int8", backend="cpu")
    assert only_cpu.variant.file == INT8, "the IR is not for it"


@pytest.mark.parametrize(
    "record",
    [
        None,
        RECORD.model_copy(update={"random_data": True}),
        RECORD.model_copy(update={"failed_on": ("openvino",)}),
    ],
)
def test_int8_of_unknown_accuracy_is_only_taken_when_asked_for(
    plain: Bundle, setting: MakeSetting, record: object
) -> None:
    doubtful = add_int8(plain, int8=record)
    here = setting(model_int8_onnx=0.001)
    choice = here.choose(doubtful)
    assert (choice.precision, here.openvino.files) == ("fp32", ["model.onnx"])
    assert "int8 left out: " in choice.line()
    asked = setting(model_int8_onnx=0.001).choose(doubtful, "int8")
    assert asked.precision == "int8"
    assert "its accuracy on video is unknown" in asked.line()


def test_fp16_is_never_taken_by_itself(plain: Bundle, setting: MakeSetting) -> None:
    half = add_graph(plain, "model.fp16.onnx", precision="fp16")
    assert setting(model_fp16_onnx=0.001).choose(half).precision == "fp32"
    asked = setting(model_fp16_onnx=0.5).choose(half, "fp16")
    assert (asked.precision, asked.variant.file) == ("fp16", "model.fp16.onnx")


def test_engines_and_precisions_race_together(bundle: Bundle, setting: MakeSetting) -> None:
    here = setting()
    here.openvino.run_s_of = {"model.onnx": 0.02, INT8: 0.012}
    here.cpu.run_s_of = {"model.onnx": 0.016, INT8: 0.010}
    choice = here.choose(bundle, backend=None)
    assert choice.line() == (
        f"backend: cpu 1.0 CPU, int8: {ON_CPU} (1.6x as fast as fp32 here; agrees with it on 99.2 %"
        " of 125 clips, calibrated on 128; fastest of a race: cpu 10.0 ms, openvino 12.0 ms)"
    )
    assert (here.cpu.closed, here.openvino.closed) == (1, 2)
    again = setting().choose(bundle, backend=None)
    assert (again.session.backend, again.precision) == ("cpu", "int8")
    assert "fastest in an earlier race on this machine" in again.line()


def test_int8_that_does_not_load_leaves_fp32(bundle: Bundle, setting: MakeSetting) -> None:
    here = setting()
    here.openvino.refused = {INT8: "u8 is not supported."}
    choice = here.choose(bundle)
    assert choice.precision == "fp32"
    assert "openvino int8: u8 is not supported)" in choice.line()
    assert choice.speedup is None


def test_int8_alone_is_not_taken_where_fp32_does_not_load(
    bundle: Bundle, setting: MakeSetting
) -> None:
    """There is nothing to measure it against; another engine wins."""
    here = setting(model_int8_onnx=0.01)
    here.openvino.refused = {"model.onnx": "no memory"}
    choice = here.choose(bundle, backend=None)
    assert (choice.session.backend, choice.precision) == ("cpu", "int8")
    assert here.openvino.closed == 1


def test_a_remembered_graph_that_no_longer_loads(bundle: Bundle, setting: MakeSetting) -> None:
    setting(model_int8_onnx=0.01).choose(bundle)
    here = setting(model_int8_onnx=0.01)
    here.openvino.refused = {INT8: "no memory"}
    choice = here.choose(bundle)
    assert (choice.session.backend, choice.precision) == ("openvino", "fp32")
    assert here.openvino.files == [INT8, "model.onnx"], "one attempt each"


def test_an_altered_int8_graph_is_an_error(bundle: Bundle, setting: MakeSetting) -> None:
    path = bundle.path / INT8
    path.write_bytes(path.read_bytes()[:-1] + b"\x00")
    here = setting()
    with pytest.raises(BundleError, match=r"model\.int8\.onnx was changed"):
        here.choose(bundle)
    assert here.openvino.closed == here.openvino.opened


@pytest.mark.parametrize(
    ("precision", "command"), [("int8", "edgecls calibrate"), ("fp16", "edgecls convert")]
)
def test_a_precision_that_is_not_there(
    plain: Bundle, setting: MakeSetting, precision: str, command: str
) -> None:
    here = setting()
    with pytest.raises(UsageError, match=f"has no {precision} graph, only fp32") as refused:
        here.choose(plain, precision)
    assert command in refused.value.hint
    assert here.openvino.opened == 0


def test_a_backend_that_cannot_run_the_graph(plain: Bundle, setting: MakeSetting) -> None:
    own = add_int8(plain, IR)
    with pytest.raises(BackendError, match="for openvino alone") as refused:
        setting().choose(own, "int8", backend="cpu")
    assert "--target onnx" in refused.value.hint
    assert setting().choose(own, "auto", backend="cpu").precision == "fp32"
    assert setting().choose(own, "int8", backend=None).session.backend == "openvino"


def test_asked_for_and_no_engine_left(bundle: Bundle, plain: Bundle, setting: MakeSetting) -> None:
    here = setting()
    for engine in (here.openvino, here.cpu):
        engine.refused = {INT8: "u8 is not supported"}
    with pytest.raises(BackendError, match="openvino int8, cpu int8: u8 is not supported"):
        here.choose(bundle, "int8", backend=None)
    with pytest.raises(BackendError, match="Backend cpu was asked for and cannot be used: u8"):
        here.choose(bundle, "int8", backend="cpu")
    here.openvino.probe = Probe(ok=False, reason="openvino is not installed")
    own = add_int8(bundle, IR)
    here.cpu.refused = {}
    assert here.choose(own, "int8", backend=None).session.backend == "cpu"


def test_without_a_race_auto_is_fp32(bundle: Bundle, setting: MakeSetting) -> None:
    here = setting(model_int8_onnx=0.001)
    asked = replace(ASKED, precision="auto", race=False)
    choice = choose_session(bundle, asked, machine=here.machine)
    assert (choice.precision, here.openvino.files) == ("fp32", ["model.onnx"])
    assert "(int8 left out: nothing is measured without a race; the first of" in choice.line()
    exact = replace(asked, precision="int8", backend="cpu")
    assert choose_session(bundle, exact, machine=here.machine).precision == "int8"


def test_fixed_batches_compete_only_where_there_is_nothing_else(plain: Bundle) -> None:
    more = add_graph(plain, "model.batch1.onnx", precision="fp32", batch=1)
    more = add_graph(more, "model.fp16.batch1.onnx", precision="fp16", batch=1)
    assert [one.file for one in competing(more.card, "fp32", "cpu")] == ["model.onnx"]
    assert [one.file for one in competing(more.card, "fp16", "cpu")] == ["model.fp16.batch1.onnx"]
    assert [short_title(one) for one in runnable(more.card, "cpu")] == [
        "fp32",
        "fp32, batch 1",
        "fp16, batch 1",
    ]


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)
_ENTRY = st.fixed_dictionaries(
    {}, optional={"backend": st.just("cpu") | _JSON, "file": _JSON, "speedup": _JSON}
)


@given(value=_ENTRY | _JSON)
def test_whatever_is_in_the_cache(tmp_path_factory: pytest.TempPathFactory, value: object) -> None:
    import json

    cache = ChoiceCache(tmp_path_factory.mktemp("cache") / "choices.json")
    cache.path.write_text(json.dumps({"key": value}))
    found = cache.get("key")
    assert found is None or found.speedup is None or 0 < found.speedup < float("inf")
    outcome = Outcome(backend="cpu", file="model.onnx", speedup=1.5)
    cache.put("other", outcome)
    assert (cache.get("other"), cache.get("key")) == (outcome, found)
    assert replace(outcome, speedup=None) != found or found is not None
