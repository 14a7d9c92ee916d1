"""ONNX Runtime's providers: which are listed, and which of those a session really gets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from runtime.doctor.child import Answer
from runtime.doctor.engines import crash_in_words, last_words
from runtime.doctor.finding import Finding
from runtime.doctor.libraries import library_fix, missing_library
from runtime.doctor.place import Place
from runtime.doctor.questions import NVIDIA_PROVIDERS
from runtime.placement import short_name

NOT_TRIED = {
    "CPUExecutionProvider": "what backend cpu runs on",
    "AzureExecutionProvider": "calls a service on the network; never used here",
}
"""Providers that are listed only, and why."""


def tried(providers: Answer) -> list[str]:
    """Of the providers that are listed, those that are worth a try."""
    listed = (providers.value or {}).get("providers", [])
    return [str(name) for name in listed if name not in NOT_TRIED]


def provider_findings(
    listing: Answer, trials: Mapping[str, Answer], place: Place
) -> Iterator[Finding]:
    """Judge them.

    Args:
        listing: Answer to the question "onnxruntime".
        trials: Answers to "provider", by its name.
        place: Where they were given.
    """
    value = dict(listing.value or {})
    if listing.value is None:
        message = f"ONNX Runtime {crash_in_words(listing)}"
        yield Finding(name="onnxruntime providers", status="warn", message=message)
        return
    if "error" in value:
        if not value.get("absent"):
            message = f"ONNX Runtime does not load: {value['error']}"
            fix = library_fix(missing_library(str(value["error"])), place)
            yield Finding(
                name="onnxruntime providers", status="warn", message=message, fix=fix, facts=value
            )
        return
    listed = [str(name) for name in value["providers"]]
    yield Finding(
        name="onnxruntime providers",
        status="ok",
        message=f"ONNX Runtime {value['version']} lists {', '.join(map(short_name, listed))}:"
        " built in, which does not mean that they work",
        facts={
            **value,
            "not_tried": {name: NOT_TRIED[name] for name in listed if name in NOT_TRIED},
        },
    )
    for name, answer in trials.items():
        yield _provider(name, answer, place)


def _provider(name: str, answer: Answer, place: Place) -> Finding:
    title = f"provider {short_name(name)}"
    value: dict[str, Any] = {
        "provider": name,
        **(answer.value or {}),
        "exit_code": answer.exit_code,
    }
    if value.get("works") and answer.exit_code == 0:
        message = "works: a session of the built-in model got it and ran"
        return Finding(name=title, status="ok", message=message, facts=value)
    if answer.value is None or answer.exit_code:
        message = f"listed; a session with it {crash_in_words(answer)}"
        return Finding(name=title, status="warn", message=message, facts=value)
    library = missing_library(answer.said) or missing_library(str(value.get("reason", "")))
    value["missing_library"] = library
    why = f"{library} is missing" if library else last_words(answer.said) or str(value["reason"])
    if name in NVIDIA_PROVIDERS and not place.nvidia and not place.jetson_linux:
        message = f"listed, but does not work: there is no NVIDIA GPU ({why})"
        return Finding(name=title, status="note", message=message, facts=value)
    return Finding(
        name=title,
        status="warn",
        message=f"listed, but does not work: {why}",
        fix=library_fix(library, place),
        facts=value,
    )
