"""Modules that every installation has, OpenCV and PyAV among them: whether they load and work."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from runtime.doctor.child import Answer
from runtime.doctor.engines import crash_in_words
from runtime.doctor.finding import Finding
from runtime.doctor.libraries import library_fix, missing_library
from runtime.doctor.place import Place
from runtime.doctor.questions import DECODERS, FILM_FRAMES

_DISTRIBUTIONS = {"PIL": "pillow", "yaml": "pyyaml", "cv2": "opencv-python", "av": "av"}

_WINDOWS = ("libGL", "libEGL", "libX", "libxcb", "libSM", "libICE", "libgthread")
"""Libraries that OpenCV needs for windows only; the build without windows does without them."""


def core_findings(answer: Answer, place: Place) -> Iterator[Finding]:
    """Judge the modules of the question "core": one line when all load, else one for each."""
    if answer.value is None:
        module = answer.step.rpartition(" ")[2]
        yield _broken("core modules", crash_in_words(answer), answer, place, module=module)
        return
    modules: dict[str, dict[str, str]] = answer.value["modules"]
    broken = {name: value["error"] for name, value in modules.items() if "error" in value}
    for name, error in broken.items():
        yield _broken(f"module {name}", error, answer, place, module=name)
    if not broken:
        message = f"{', '.join(modules)} load"
        yield Finding(name="core modules", status="ok", message=message, facts={"modules": modules})


def opencv_findings(answer: Answer, place: Place) -> Iterator[Finding]:
    """Judge OpenCV, which reads cameras and addresses."""
    if answer.value is None or "error" in answer.value or answer.exit_code:
        yield _broken("opencv", _why(answer), answer, place, module="cv2")
        return
    value = answer.value
    message = f"OpenCV {value['version']}: cameras by {_listed(value['cameras'])}"
    lacking = [] if "FFMPEG" in value["streams"] else ["FFmpeg: RTSP addresses cannot be opened"]
    if lacking:
        message += f"; without {lacking[0]}"
    yield Finding(
        name="opencv", status="warn" if lacking else "ok", message=message, facts=dict(value)
    )


def pyav_findings(answer: Answer, place: Place) -> Iterator[Finding]:
    """Judge PyAV, which reads and writes files."""
    if answer.value is None or "error" in answer.value or answer.exit_code:
        yield _broken("codecs", _why(answer), answer, place, module="av")
        return
    value = answer.value
    lacking = [name for name in DECODERS if name not in value["decoders"]]
    message = (
        f"PyAV {value['version']} (libavcodec {value['libavcodec']}) reads"
        f" {', '.join(value['decoders'])}; a film in {value['encoder']} was written and read again"
    )
    fix, status = "", "ok"
    if value["frames"] != FILM_FRAMES:
        status = "warn"
        message = (
            f"PyAV {value['version']}: of {FILM_FRAMES} pictures written in {value['encoder']}"
            f" {value['frames']} came out again"
        )
    elif lacking:
        status = "note"
        message += f"; it cannot read {', '.join(lacking)}"
    if status != "ok":
        fix = place.pip("install", "--force-reinstall", "av")
    yield Finding(
        name="codecs",
        status="warn" if status == "warn" else "note" if status == "note" else "ok",
        message=message,
        fix=fix,
        facts=dict(value),
    )


def _listed(names: list[str]) -> str:
    return ", ".join(names) or "nothing"


def _why(answer: Answer) -> str:
    if answer.value is not None and "error" in answer.value:
        return str(answer.value["error"])
    return crash_in_words(answer)


def _broken(name: str, why: str, answer: Answer, place: Place, *, module: str) -> Finding:
    """Without such a module nothing works: a failure."""
    library = missing_library(why) or missing_library(answer.said)
    distribution = _DISTRIBUTIONS.get(module, module)
    fix = library_fix(library, place)
    if not fix and library.startswith(_WINDOWS) and distribution == "opencv-python":
        headless = place.pip("install", "opencv-python-headless")
        fix = f"{place.pip('uninstall', 'opencv-python')} && {headless}"
    facts: dict[str, Any] = {
        "module": module,
        "error": why,
        "missing_library": library,
        "exit_code": answer.exit_code,
    }
    return Finding(
        name=name,
        status="fail",
        message=f"{module}: {why}",
        fix=fix or place.pip("install", "--force-reinstall", distribution),
        facts=facts,
    )
