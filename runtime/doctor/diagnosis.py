"""The whole examination: every theme in order, questions asked side by side, names left out."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from models.errors import UsageError
from runtime.doctor.cameras import camera_facts, camera_findings
from runtime.doctor.child import LIMIT_S, Answer, ask
from runtime.doctor.distributions import distribution_facts, distribution_findings
from runtime.doctor.engines import backend_findings
from runtime.doctor.environment import environment_findings
from runtime.doctor.finding import Finding, Status
from runtime.doctor.folders import look_at_folders
from runtime.doctor.jetson import jetson_facts, jetson_findings
from runtime.doctor.memory import memory_facts, memory_findings
from runtime.doctor.nvidia import nvidia_facts, nvidia_findings
from runtime.doctor.openvino_devices import device_findings
from runtime.doctor.place import container_kind, this_place
from runtime.doctor.processor import processor_facts, processor_findings
from runtime.doctor.providers import provider_findings, tried
from runtime.doctor.redaction import Redaction, own_redaction
from runtime.doctor.render_nodes import node_facts, node_findings
from runtime.doctor.software import core_findings, opencv_findings, pyav_findings
from runtime.doctor.system import system_facts, system_findings

logger = logging.getLogger(__name__)

_AT_ONCE = 2
"""Questions asked side by side: each loads an engine, and small boards have little memory."""

_PROVIDER_LIMIT_S = 180.0
"""TensorRT builds an engine first, which takes minutes on a small board."""

_BUILDS_FIRST = frozenset({"tensorrt"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """Findings about one theme.

    Attributes:
        title: For people.
        findings: At least one.
    """

    title: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """All that was found, without names and keys.

    Attributes:
        sections: In the order of the report; those without findings are left out.
    """

    sections: tuple[Section, ...]

    def of(self, status: Status) -> tuple[Finding, ...]:
        """The findings of a status."""
        found = (one for section in self.sections for one in section.findings)
        return tuple(one for one in found if one.status == status)


Check = Callable[[], Iterable[Finding]]


def section(title: str, *checks: Check) -> Section:
    """Run checks; one that fails is a warning and takes no other down.

    Args:
        title: For people.
        checks: Each gives findings, or none.
    """
    found: list[Finding] = []
    for check in checks:
        try:
            found += check()
        except Exception as error:  # whatever a strange machine makes of a check: go on
            logger.debug("%s", title, exc_info=True)
            message = f"a check broke off: {type(error).__name__}: {error}"
            found.append(Finding(name=f"{title.lower()} check", status="warn", message=message))
    return Section(title=title, findings=tuple(found))


def diagnose(*, needed: Sequence[str] = (), redaction: Redaction | None = None) -> Diagnosis:
    """Examine this installation and this machine.

    Args:
        needed: Names of backends that have to work.
        redaction: What is to be left out; None for the names of this user and this machine.

    Raises:
        UsageError: There is no backend of a name that is needed.
    """
    jetson = jetson_facts()
    nvidia = nvidia_facts(jetson=jetson.present)
    place = this_place(
        jetson_linux=jetson.major or int(jetson.present),
        nvidia=nvidia.present,
        container=container_kind(),
    )
    nodes = node_facts()
    extras = _backends()
    for name in needed:
        if extras and name not in extras:
            raise UsageError(
                f"There is no backend {name!r}.", hint=f"Backends: {', '.join(extras)}."
            )
    answers = _asked(tuple(extras))
    sections = (
        section("System", lambda: system_findings(system_facts())),
        section(
            "Processor and memory",
            lambda: processor_findings(processor_facts()),
            lambda: memory_findings(memory_facts()),
        ),
        section(
            "GPUs",
            lambda: jetson_findings(jetson, place, python=sys.version_info[:2]),
            lambda: nvidia_findings(nvidia, place),
            lambda: node_findings(nodes, place),
        ),
        section(
            "Packages",
            lambda: core_findings(answers["core"], place),
            lambda: distribution_findings(distribution_facts(), place),
        ),
        section(
            "Engines",
            lambda: backend_findings(
                {name: answers[f"backend {name}"] for name in extras},
                place,
                extras=extras,
                needed=needed,
            ),
            lambda: device_findings(answers["openvino"], nodes, place),
            lambda: provider_findings(
                answers["onnxruntime"], _provider_trials(answers["onnxruntime"]), place
            ),
        ),
        section(
            "Video",
            lambda: opencv_findings(answers["opencv"], place),
            lambda: pyav_findings(answers["pyav"], place),
            lambda: camera_findings(camera_facts(known=sys.platform == "linux"), place),
        ),
        section("Folders", look_at_folders),
        section("Environment", lambda: environment_findings(os.environ)),
    )
    return redacted(
        Diagnosis(sections=tuple(one for one in sections if one.findings)),
        redaction or own_redaction(),
    )


def _backends() -> dict[str, str]:
    """Extras by the names of the backends; none where numpy, which they need, does not load."""
    try:
        from runtime.backends import BACKENDS
    except Exception:  # what is wrong, the questions tell
        logger.debug("backends", exc_info=True)
        return {}
    return {backend.name: backend.extra for backend in BACKENDS}


def _asked(backends: Sequence[str]) -> dict[str, Answer]:
    """Answers to all questions, by the question."""
    questions = [
        *(("backend", name) for name in backends),
        ("onnxruntime",),
        ("openvino",),
        ("opencv",),
        ("pyav",),
        ("core",),
    ]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        answers = pool.map(lambda words: ask(*words, limit_s=_limit_s(words)), questions)
        return {" ".join(words): answer for words, answer in zip(questions, answers, strict=True)}


def _limit_s(words: Sequence[str]) -> float:
    return _PROVIDER_LIMIT_S if words[-1] in _BUILDS_FIRST else LIMIT_S


def _provider_trials(listing: Answer) -> dict[str, Answer]:
    """One session per provider that is listed, one after another: they share a GPU."""
    return {name: ask("provider", name, limit_s=_PROVIDER_LIMIT_S) for name in tried(listing)}


def _one_line(words: str) -> str:
    """What a device calls itself may not steer the terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in words)


def redacted(diagnosis: Diagnosis, redaction: Redaction) -> Diagnosis:
    """A diagnosis without names and keys."""
    return Diagnosis(
        sections=tuple(
            Section(
                title=one.title,
                findings=tuple(
                    replace(
                        finding,
                        message=redaction.text(_one_line(finding.message)),
                        fix=redaction.text(_one_line(finding.fix)),
                        facts=redaction.value(dict(finding.facts)),
                    )
                    for finding in one.findings
                ),
            )
            for one in diagnosis.sections
        )
    )
