"""`edgecls doctor`: what of this installation and machine works, and what fixes the rest."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from models.errors import BrokenInstallation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runtime.doctor.diagnosis import Diagnosis
    from runtime.doctor.finding import Finding

_MARKS = {
    "ok": "[green]ok  [/]",
    "note": "[cyan]note[/]",
    "warn": "[yellow]warn[/]",
    "fail": "[bold red]FAIL[/]",
}


def doctor(
    backends: Annotated[
        list[str] | None,
        typer.Option(
            "--backend", metavar="NAME", help="A backend that has to work here; repeatable."
        ),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit code 15 on warnings too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The report as JSON.")] = False,
) -> None:
    """Examine this installation and machine, and say what fixes what does not work.

    Every engine is tried in a process of its own. Names, home folders, keys and
    serial numbers are left out: the report can be pasted into a bug report.
    Exit code 15 when something that is needed does not work.

    Example: edgecls doctor --backend openvino
    """
    from edge_cli.progress import waiting
    from models.version import edgecls_version
    from runtime.doctor.diagnosis import diagnose

    with waiting("trying engines and libraries"):
        diagnosis = diagnose(needed=tuple(backends or ()))
    failed, warned = diagnosis.of("fail"), diagnosis.of("warn")
    broken = (*failed, *(warned if strict else ()))
    if as_json:
        value = {
            "edgecls": edgecls_version(),
            "healthy": not broken,
            "failures": len(failed),
            "warnings": len(warned),
            **asdict(diagnosis),
        }
        sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
    else:
        _show(diagnosis)
        words = f"{_counted(len(failed), 'failure')}, {_counted(len(warned), 'warning')}"
        sys.stdout.write(f"{'broken' if broken else 'healthy'}: {words}\n")
    if broken:
        raise _error(broken)


def _error(broken: tuple[Finding, ...]) -> BrokenInstallation:
    """One line for all that is broken; the hint is what fixes the first."""
    first, *others = broken
    more = f" (and {len(others)} more)" if others else ""
    return BrokenInstallation(
        f"{first.name}: {first.message.rstrip('.')}{more}.",
        hint=next((one.fix for one in broken if one.fix), ""),
    )


def _show(diagnosis: Diagnosis) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    named = [finding.name for section in diagnosis.sections for finding in section.findings]
    column = max(map(len, named), default=0)
    for section in diagnosis.sections:
        console.print(f"[bold]{section.title}[/]")
        for finding in section.findings:
            for line in _lines(finding, column, console.width):
                console.print(line, soft_wrap=True)
        console.print()


def _lines(finding: Finding, column: int, width: int) -> Iterator[str]:
    """A finding in rich's markup; the command below it is never wrapped: it is to be copied."""
    from textwrap import wrap

    from rich.markup import escape

    indent = 2 + 4 + 2 + column + 2
    first, *others = wrap(
        finding.message, max(30, width - indent), break_long_words=False, break_on_hyphens=False
    ) or [""]
    yield f"  {_MARKS[finding.status]}  {escape(finding.name):{column}}  {escape(first)}"
    for line in others:
        yield f"{'':{indent}}{escape(line)}"
    if finding.fix:
        yield f"{'':{indent}}[cyan]$[/] {escape(finding.fix)}"


def _counted(number: int, word: str) -> str:
    return f"{number or 'no'} {word}{'' if number == 1 else 's'}"
