"""What is made of the answers of engines and libraries, and of children that give none."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from runtime.backends import BACKENDS
from runtime.doctor.child import Answer, answer_of, ask
from runtime.doctor.diagnosis import Diagnosis, section
from runtime.doctor.engines import backend_findings, last_words
from runtime.doctor.finding import Finding
from runtime.doctor.openvino_devices import device_findings
from runtime.doctor.place import Place
from runtime.doctor.providers import provider_findings, tried
from runtime.doctor.questions import DECODERS, FILM_FRAMES
from runtime.doctor.render_nodes import INTEL, Node, NodeFacts
from runtime.doctor.software import core_findings, opencv_findings, pyav_findings

BOX = Place(python="python", packages="apt")
ORIN = replace(BOX, jetson_linux=36, nvidia=True)
EXTRAS = {"openvino": "cpu", "cpu": "cpu"}

RIGHT = Answer(
    value={
        "works": True,
        "engine": "openvino 2026.4.1 CPU",
        "max_rel_diff": 2.3e-7,
        "tolerance": 1e-3,
        "passed": True,
    }
)
WRONG = Answer(value={**(RIGHT.value or {}), "max_rel_diff": 0.4, "passed": False})
ABSENT = Answer(
    value={
        "works": False,
        "reason": "onnxruntime is not installed",
        "hint": "pip install 'edgecls[cpu]'",
        "absent": True,
    }
)
BROKEN = Answer(
    value={
        "works": False,
        "reason": "onnxruntime is installed but does not load: libgomp.so.1: cannot open shared"
        " object file: No such file or directory",
        "hint": "pip install --force-reinstall 'edgecls[cpu]'",
        "absent": False,
    }
)
CRASHED = Answer(exit_code=-11, step="load the engine of backend cpu", said="x\nfree(): invalid\n")
HUNG = Answer(exit_code=None, step="run the built-in model", took_s=60.2)


def judged(
    first: Answer, second: Answer, *needed: str, place: Place = BOX
) -> tuple[Finding, Finding, Finding]:
    answers = {"openvino": first, "cpu": second}
    one, two, engine = backend_findings(answers, place, extras=EXTRAS, needed=needed)
    return one, two, engine


def test_backends_that_work() -> None:
    one, two, engine = judged(RIGHT, RIGHT)
    assert [one.status, two.status, engine.status] == ["ok", "ok", "ok"]
    assert one.message == (
        "openvino 2026.4.1 CPU computes the known answer of the built-in model (off by 2e-07 of"
        " the range)"
    )
    assert engine.message == "models run on openvino and cpu"


def test_none_is_installed() -> None:
    one, two, engine = judged(ABSENT, ABSENT)
    assert [one.status, two.status, engine.status] == ["note", "note", "fail"]
    assert engine.fix == "python -m pip install 'edgecls[cpu]'"
    assert engine.message.startswith("no engine is installed")
    *_, engine = judged(ABSENT, ABSENT, place=ORIN)
    assert "onnxruntime-gpu --index-url" in engine.fix
    assert "edgecls[cpu]" not in engine.fix


@pytest.mark.parametrize(
    ("answer", "status", "words", "fix"),
    [
        (ABSENT, "note", "is not installed", "python -m pip install 'edgecls[cpu]'"),
        (BROKEN, "warn", "libgomp.so.1", "sudo apt-get install libgomp1"),
        (
            replace(
                BROKEN,
                value={**(BROKEN.value or {}), "reason": "Could not determine home directory"},
            ),
            "warn",
            "home directory",
            "HOME=",
        ),
        (
            CRASHED,
            "fail",
            "died with SIGSEGV at the step 'load the engine of backend cpu'; its last words: free",
            "python -m pip install --force-reinstall 'edgecls[cpu]'",
        ),
        (
            replace(
                BROKEN,
                value={**(BROKEN.value or {}), "reason": "onnxruntime does not load: numpy.core"},
                said="A module that was compiled using NumPy 1.x cannot be run in\nNumPy 2.2.6 as",
            ),
            "warn",
            "numpy.core",
            "python -m pip install 'numpy<2' 'opencv-python<4.12'",
        ),
        (HUNG, "fail", "gave no answer within 60 s at the step 'run the built-in model'", "python"),
        (WRONG, "fail", "something else than the known answer", "python -m pip install --force"),
        (replace(RIGHT, exit_code=-6), "fail", "gave its answer, then died with SIGABRT", "python"),
        (Answer(exit_code=-4), "fail", "uses instructions that this processor lacks", "python"),
        (Answer(exit_code=-63), "fail", "signal 63", "python"),
        (Answer(exit_code=1, said="ImportError: x\n"), "fail", "exit status 1", "python"),
    ],
)
def test_one_that_does_not_work(answer: Answer, status: str, words: str, fix: str) -> None:
    one, two, engine = judged(RIGHT, answer)
    assert (one.status, two.status, engine.status) == ("ok", status, "ok")
    assert words in two.message
    assert two.fix.startswith(fix)
    assert two.facts["works"] is False
    _, needed, _ = judged(RIGHT, answer, "cpu")
    assert (needed.status, needed.message) == ("fail", f"{two.message} (needed)")


def test_on_a_jetson_nothing_is_put_over_its_own_engine() -> None:
    for answer in (ABSENT, CRASHED, replace(BROKEN, value={**(BROKEN.value or {}), "reason": "x"})):
        _, two, _ = judged(RIGHT, answer, place=ORIN)
        assert "edgecls[" not in two.fix
        assert "onnxruntime-gpu --index-url" in two.fix


OTHER_BUILD = Answer(
    value={
        "works": False,
        "reason": "this onnxruntime 1.31.1 has no CUDAExecutionProvider",
        "hint": "",
        "absent": False,
    }
)


def test_backends_for_gpus_are_missed_only_where_there_is_one() -> None:
    answers, extras = {"cuda": OTHER_BUILD, "cpu": RIGHT}, {"cuda": "gpu", "cpu": "cpu"}
    cuda, _, engine = backend_findings(answers, BOX, extras=extras)
    assert (cuda.status, cuda.fix, engine.status) == ("note", "", "ok")
    assert cuda.message.startswith("there is no NVIDIA GPU (this onnxruntime")
    cuda, *_ = backend_findings(answers, replace(BOX, nvidia=True), extras=extras)
    assert cuda.status == "warn"
    assert cuda.fix == (
        "python -m pip uninstall --yes onnxruntime && python -m pip install 'edgecls[gpu]'"
    )
    needed, *_ = backend_findings(answers, BOX, extras=extras, needed=("cuda",))
    assert needed.status == "fail"


def test_which_engine_to_install() -> None:
    answers, extras = {"cuda": ABSENT, "cpu": ABSENT}, {"cuda": "gpu", "cpu": "cpu"}
    *_, engine = backend_findings(answers, BOX, extras=extras)
    assert engine.fix.endswith("'edgecls[cpu]'")
    *_, engine = backend_findings(answers, replace(BOX, nvidia=True), extras=extras)
    assert engine.fix.endswith("'edgecls[gpu]'")


def test_devices_of_openvino() -> None:
    cpu = Answer(value={"version": "2026.4.1", "devices": {"CPU": "Intel N100"}})
    both = Answer(value={"version": "2026.4.1", "devices": {"CPU": "a", "GPU.0": "b"}})
    node = Node(path="/dev/dri/renderD128", vendor=INTEL)
    (found,) = device_findings(cpu, NodeFacts(), BOX)
    assert (found.status, found.message) == ("ok", "OpenVINO 2026.4.1 finds CPU (Intel N100)")
    (found,) = device_findings(cpu, NodeFacts(nodes=(node,)), BOX)
    assert (found.status, found.fix) == ("note", "sudo apt-get install intel-opencl-icd")
    (found,) = device_findings(both, NodeFacts(nodes=(node,)), BOX)
    assert found.status == "ok"
    closed = replace(node, usable=False)
    (found,) = device_findings(cpu, NodeFacts(nodes=(closed,)), BOX)
    assert found.status == "ok"
    npu = replace(node, path="/dev/accel/accel0")
    (found,) = device_findings(cpu, NodeFacts(nodes=(npu,)), BOX)
    assert "not the Intel NPU" in found.message
    assert (
        list(device_findings(Answer(value={"error": "x", "absent": True}), NodeFacts(), BOX)) == []
    )


def test_no_number_at_all() -> None:
    nan = replace(WRONG, value={**(WRONG.value or {}), "max_rel_diff": float("nan")})
    _, two, _ = judged(RIGHT, nan)
    assert "off by nan of the range" in two.message
    json.dumps(dict(two.facts), allow_nan=False)


def test_no_backend_can_even_be_listed() -> None:
    (engine,) = backend_findings({}, BOX, extras={})
    assert (engine.status, "can be tried" in engine.message) == ("fail", True)


def test_last_words() -> None:
    said = "ImportError: a\nlibX.so.1: cannot open shared object file\nlater\n"
    assert last_words(said) == "libX.so.1: cannot open shared object file"
    assert last_words("Some Error here.\nand so on\n") == "Some Error here"
    assert last_words("\n \n") == ""


LISTING = Answer(
    value={
        "version": "1.23.2",
        "providers": [
            "TensorrtExecutionProvider",
            "CUDAExecutionProvider",
            "CPUExecutionProvider",
        ],
    }
)
NO_LIBRARY = Answer(
    value={"works": False, "reason": "the session has only CPUExecutionProvider"},
    said="[E:onnxruntime] Failed to load library libonnxruntime_providers_cuda.so with error:"
    " libcublasLt.so.12: cannot open shared object file: No such file or directory\n",
)
CUDA = "CUDAExecutionProvider"


def of_providers(
    listing: Answer, cuda: Answer | None = None, *, place: Place = BOX
) -> dict[str, Finding]:
    trials = {} if cuda is None else {CUDA: cuda}
    return {one.name: one for one in provider_findings(listing, trials, place)}


def test_listed_is_not_working() -> None:
    assert tried(LISTING) == ["TensorrtExecutionProvider", CUDA]
    gpu = replace(BOX, nvidia=True)
    found = of_providers(LISTING, NO_LIBRARY, place=gpu)
    assert "lists TensorRT, CUDA, CPU: built in, which" in found["onnxruntime providers"].message
    cuda = found["provider CUDA"]
    assert (cuda.status, cuda.message) == (
        "warn",
        "listed, but does not work: libcublasLt.so.12 is missing",
    )
    assert cuda.fix == "python -m pip install 'onnxruntime-gpu[cuda,cudnn]'"


def test_a_provider_without_its_gpu() -> None:
    cuda = of_providers(LISTING, NO_LIBRARY)["provider CUDA"]
    assert cuda.status == "note"
    assert "there is no NVIDIA GPU (libcublasLt.so.12 is missing)" in cuda.message


def test_a_provider_that_works_or_crashes() -> None:
    works = of_providers(LISTING, Answer(value={"works": True}))["provider CUDA"]
    assert works.status == "ok"
    crash = of_providers(LISTING, Answer(exit_code=-6))["provider CUDA"]
    assert (crash.status, crash.message) == ("warn", "listed; a session with it died with SIGABRT")


def test_no_listing() -> None:
    assert of_providers(Answer(value={"error": "x", "absent": True})) == {}
    (found,) = of_providers(Answer(value={"error": "x", "absent": False})).values()
    assert (found.status, found.message) == ("warn", "ONNX Runtime does not load: x")
    (found,) = of_providers(Answer(exit_code=-11)).values()
    assert "died with SIGSEGV" in found.message
    assert tried(Answer()) == []


def test_core_modules() -> None:
    good: dict[str, Any] = {"numpy": {"version": "2.0"}, "PIL": {"version": "13"}}
    (found,) = core_findings(Answer(value={"modules": good}), BOX)
    assert (found.status, found.message) == ("ok", "numpy, PIL load")
    error = "ImportError: libxcb.so.1: cannot open shared object file"
    (found,) = core_findings(Answer(value={"modules": {**good, "PIL": {"error": error}}}), BOX)
    assert (found.name, found.status, found.fix) == (
        "module PIL",
        "fail",
        "sudo apt-get install libxcb1",
    )
    (found,) = core_findings(Answer(exit_code=-4, step="import numpy"), BOX)
    assert found.message.startswith("numpy: died with SIGILL at the step 'import numpy'")
    assert found.fix == "python -m pip install --force-reinstall numpy"


def test_opencv() -> None:
    value = {"version": "4.10", "cameras": ["V4L2"], "streams": ["FFMPEG"]}
    (found,) = opencv_findings(Answer(value=value), BOX)
    assert (found.status, found.message) == ("ok", "OpenCV 4.10: cameras by V4L2")
    (found,) = opencv_findings(Answer(value={**value, "streams": []}), BOX)
    assert (found.status, "RTSP" in found.message) == ("warn", True)
    missing = Answer(value={"error": "libGL.so.1: cannot open shared object file: No such file"})
    (found,) = opencv_findings(missing, BOX)
    assert (found.status, found.fix) == ("fail", "sudo apt-get install libgl1")
    (found,) = opencv_findings(missing, replace(BOX, packages=""))
    assert found.fix.endswith("-m pip install opencv-python-headless")


def test_codecs() -> None:
    value = {
        "version": "18.1",
        "libavcodec": "62.1",
        "decoders": list(DECODERS),
        "encoder": "libx264",
        "frames": FILM_FRAMES,
    }
    (found,) = pyav_findings(Answer(value=value), BOX)
    assert found.status == "ok"
    (found,) = pyav_findings(Answer(value={**value, "decoders": ["h264"]}), BOX)
    assert (found.status, "cannot read hevc, vp9" in found.message) == ("note", True)
    (found,) = pyav_findings(Answer(value={**value, "frames": 0}), BOX)
    assert (found.status, "0 came out again" in found.message) == ("warn", True)
    (found,) = pyav_findings(Answer(exit_code=-11, step="import av"), BOX)
    assert found.status == "fail"


def python(code: str, *, limit_s: float = 20.0) -> Answer:
    return answer_of([sys.executable, "-c", code], limit_s=limit_s)


def test_a_child_that_answers() -> None:
    lines = ['{"step": "a"}', "noise", "[1]", '{"answer": {"x": 1}}']
    given = python(f"print('\\n'.join({lines!r}))")
    assert (given.value, given.step, given.exit_code) == ({"x": 1}, "a", 0)


def test_a_child_that_dies() -> None:
    died = python(
        "import os; print('{\"step\": \"s\"}', flush=True); os.write(2, b'!'); os.abort()"
    )
    assert (died.value, died.said) == (None, "!")
    assert died.end == "died with SIGABRT at the step 's'"


def test_a_child_that_hangs() -> None:
    hung = python("import time; time.sleep(60)", limit_s=0.2)
    assert hung.exit_code is None
    assert hung.end == "gave no answer within 0 s"
    assert hung.took_s < 10


def test_a_backend_of_that_name_is_asked() -> None:
    given = ask("backend", BACKENDS[-1].name)
    assert given.value is not None, given.said
    assert given.exit_code == 0
    assert isinstance(given.value["works"], bool)


def test_a_check_that_breaks_off() -> None:
    def check() -> Iterator[Finding]:
        yield Finding(name="a", status="ok", message="")
        raise OSError(5, "Input/output error")

    found = section("GPUs", check, lambda: [Finding(name="b", status="note", message="")])
    assert [one.name for one in found.findings] == ["a", "gpus check", "b"]
    assert "OSError: [Errno 5]" in found.findings[1].message
    assert Diagnosis(sections=(found,)).of("warn") == (found.findings[1],)
