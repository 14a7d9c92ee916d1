"""What each backend says when it is tried, and what can be done about it."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from runtime.doctor.child import Answer
from runtime.doctor.finding import Finding
from runtime.doctor.folders import ANOTHER_HOME
from runtime.doctor.libraries import library_fix, missing_library
from runtime.doctor.place import Place

_LONGEST = 300
_SAID = 2_000

_OTHER_BUILD = re.compile(r"\bhas no \w+ExecutionProvider\b", re.ASCII)
"""ONNX Runtime is there, but not the build for GPUs."""

_OLD_NUMPY = re.compile(r"compiled using NumPy 1\.x|_ARRAY_API not found", re.ASCII)
"""An engine built for numpy 1 beside numpy 2: NVIDIA's builds of ONNX Runtime for JetPack 6."""

NEED_NVIDIA = frozenset({"cuda", "tensorrt"})
"""Backends that nobody misses where there is no GPU of NVIDIA."""


def backend_findings(
    answers: Mapping[str, Answer],
    place: Place,
    *,
    extras: Mapping[str, str],
    needed: Collection[str] = (),
) -> Iterator[Finding]:
    """Judge the backends; the last finding says whether any of them runs a model.

    A backend that crashes or computes something else is a failure even where others work: a run may
    meet it. One that is not installed or does not load is none, unless it is needed.

    Args:
        answers: Of each backend, by name, in order of preference.
        place: Where they were given.
        extras: The extra that installs a backend, by its name.
        needed: Names of those that have to work.
    """
    working = [name for name, answer in answers.items() if computes(answer)]
    for name, answer in answers.items():
        found = _backend(name, answer, place, extra=extras[name])
        if name in needed and found.status != "ok":
            found = Finding(
                name=found.name,
                status="fail",
                message=f"{found.message} (needed)",
                fix=found.fix,
                facts=found.facts,
            )
        yield found
    if working:
        message = f"models run on {' and '.join(working)}"
        yield Finding(name="engine", status="ok", message=message, facts={"working": working})
        return
    if not answers:
        message = "no engine can be tried: a module that all of them need does not load"
        yield Finding(name="engine", status="fail", message=message, facts={"working": []})
        return
    absent = all((answer.value or {}).get("absent") for answer in answers.values())
    yield Finding(
        name="engine",
        status="fail",
        message="no engine is installed: nothing can be run"
        if absent
        else "no engine runs a model",
        fix=place.engine(_extra_for(place, extras)),
        facts={"working": []},
    )


def _extra_for(place: Place, extras: Mapping[str, str]) -> str:
    """The extra to install where there is no engine yet."""
    wanted = "gpu" if place.nvidia else "cpu"
    return wanted if wanted in extras.values() else next(iter(extras.values()))


def computes(answer: Answer) -> bool:
    """A backend gave the known answer, and its process ended well."""
    value = answer.value or {}
    return bool(value.get("works") and value.get("passed") and answer.exit_code == 0)


def _backend(name: str, answer: Answer, place: Place, *, extra: str) -> Finding:
    title = f"backend {name}"
    value = dict(answer.value or {})
    facts: dict[str, Any] = {
        "backend": name,
        **value,
        "works": computes(answer),
        "exit_code": answer.exit_code,
        "step": answer.step,
        "took_s": round(answer.took_s, 2),
    }
    if not computes(answer):
        facts["said"] = answer.said[-_SAID:]
    if answer.value is None or answer.exit_code != 0:
        told = crash_in_words(answer)
        again = place.here(f"pip install --force-reinstall 'edgecls[{extra}]'")
        if place.jetson_linux:
            again = place.engine(extra)
        fix = library_fix(missing_library(answer.said), place) or again
        return Finding(name=title, status="fail", message=told, fix=fix, facts=facts)
    if not value.get("works"):
        reason = str(value.get("reason", ""))
        facts["missing_library"] = missing_library(reason) or missing_library(answer.said)
        if name in NEED_NVIDIA and not place.nvidia:
            message = reason if "NVIDIA" in reason else f"there is no NVIDIA GPU ({reason})"
            return Finding(name=title, status="note", message=message, facts=facts)
        if value.get("absent"):
            fix = place.engine(extra)
            return Finding(name=title, status="note", message=reason, fix=fix, facts=facts)
        fix = _load_fix(reason, answer, place, hint=str(value.get("hint", "")))
        if name in NEED_NVIDIA and _OTHER_BUILD.search(reason):
            fix = f"{place.pip('uninstall', 'onnxruntime')} && {place.engine(extra)}"
        return Finding(name=title, status="warn", message=reason, fix=fix, facts=facts)
    difference = float(value["max_rel_diff"])
    off = f"{difference:.1g} of the range"
    if not math.isfinite(difference):
        facts["max_rel_diff"] = None  # JSON has no word for it
    if not value.get("passed"):
        return Finding(
            name=title,
            status="fail",
            message=f"{value['engine']} computes something else than the known answer of the"
            f" built-in model: off by {off}, allowed is {value['tolerance']:.1g}",
            fix=place.here(f"pip install --force-reinstall 'edgecls[{extra}]'"),
            facts=facts,
        )
    return Finding(
        name=title,
        status="ok",
        message=f"{value['engine']} computes the known answer of the built-in model (off by {off})",
        facts=facts,
    )


def _load_fix(reason: str, answer: Answer, place: Place, *, hint: str) -> str:
    """A missing system library first: installing the engine again would not bring it."""
    known = library_fix(missing_library(reason) or missing_library(answer.said), place)
    if known:
        return known
    if _OLD_NUMPY.search(f"{reason}\n{answer.said}"):
        return place.pip("install", "'numpy<2'", "'opencv-python<4.12'")
    if "home directory" in reason:  # OpenVINO looks for one when it is imported
        return ANOTHER_HOME
    if place.jetson_linux and "edgecls[" in hint:
        return place.onnxruntime()
    return place.here(hint)


def crash_in_words(answer: Answer) -> str:
    """How a child ended that gave no answer, with its last words."""
    last = last_words(answer.said)
    ended = answer.end
    if answer.value is not None:
        ended = f"gave its answer, then {ended}"
    return f"{ended}; its last words: {last}" if last else ended


def last_words(said: str) -> str:
    """The line of stderr that tells most: one that names an error, else the last."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    for line in reversed(lines):
        if missing_library(line):
            return line[:_LONGEST].rstrip(".")
    for line in reversed(lines):
        if "Error" in line or "error" in line or "abort" in line.lower() or "terminate" in line:
            return line[:_LONGEST].rstrip(".")
    return lines[-1][:_LONGEST].rstrip(".") if lines else ""
