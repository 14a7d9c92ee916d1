"""Leave out of a report what tells who and where: names, home folders, keys, serial numbers."""

from __future__ import annotations

import contextlib
import getpass
import os
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

USER, HOST, KEY = "[user]", "[host]", "[key]"

_NOBODY = frozenset(
    (
        *("root", "user", "admin", "nobody", "runner", "ubuntu", "debian", "vagrant", "ec2-user"),
        *("pi", "raspberrypi", "jetson", "nvidia", "nano", "localhost", "docker"),
        *("python", "edgecls", "intel", "linux"),
    )
)
"""Names of accounts and hosts that tell nothing, and that reports need as words."""

_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?<=://)[^\s/@]+@"), f"{KEY}@"),
    (
        re.compile(
            r"(?P<name>(?:api[-_]?key|access[-_]?key|secret|token|passw(?:or)?d|auth(?:orization)?)"
            r"\w*[\"']?\s*[=:]\s*[\"']?(?:(?:bearer|basic)\s+)?)"
            r"(?!(?:bearer|basic)\s)[^\s\"'&;,\[]+",
            re.IGNORECASE,
        ),
        rf"\g<name>{KEY}",
    ),
    (re.compile(r"\b(bearer\s+)[\w.~+/=-]{8,}", re.IGNORECASE), rf"\g<1>{KEY}"),
    (
        re.compile(
            r"\b(?:gh[opsu]_|github_pat_|glpat-|hf_|sk-|pypi-|xox[abpr]-|AKIA|ASIA|eyJ)[\w.-]{10,}"
        ),
        KEY,
    ),
    (
        re.compile(
            r"(?P<name>\b(?:serial|s/n|sn)(?:\s*(?:number|no\.?))?\s*[=:#]?\s*)[\w-]*\d[\w-]{3,}",
            re.IGNORECASE,
        ),
        rf"\g<name>{KEY}",
    ),
    (re.compile(r"\b(?:GPU-|MIG-)?[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b"), KEY),
    (re.compile(r"\b(?:[0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}\b"), KEY),
    (re.compile(r"\b(?=\w*\d)(?=\w*[a-zA-Z])[0-9a-zA-Z_]{40,}\b"), KEY),
    (re.compile(r"(?P<start>(?:/home|/Users|/var/home)/)(?!\[)[^/\s:\"']+"), rf"\g<start>{USER}"),
    (re.compile(r"(?P<start>[A-Za-z]:\\Users\\)(?!\[)[^\\\s\"']+"), rf"\g<start>{USER}"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Redaction:
    """What is to be left out.

    Attributes:
        users: Names of this user.
        hosts: Names of this machine.
        homes: Home folders of this user; they become `~`.
    """

    users: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    homes: tuple[str, ...] = ()

    def text(self, words: str) -> str:
        """A text without names, keys and serial numbers; the same again for its own result."""
        for home in sorted({one.rstrip("/\\") for one in self.homes}, key=len, reverse=True):
            if len(home) > 1:
                words = re.sub(rf"(?<![\w.~-]){re.escape(home)}(?![\w.-])", "~", words)
        for pattern, instead in _PATTERNS:
            words = pattern.sub(instead, words)
        for names, instead in ((self.users, USER), (self.hosts, HOST)):
            for name in sorted(set(names), key=len, reverse=True):
                if len(name) > 1 and name.lower() not in _NOBODY:
                    words = _whole(name).sub(instead, words)
        return words

    def value(self, value: Any) -> Any:
        """The same of a value of JSON; names of fields stay."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {key: self.value(one) for key, one in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(one) for one in value]
        return value


def _whole(name: str) -> re.Pattern[str]:
    """A name as a word of its own, not one that stands in brackets for a name already."""
    return re.compile(rf"(?<![A-Za-z0-9\[]){re.escape(name)}(?![A-Za-z0-9\]])", re.IGNORECASE)


def own_redaction() -> Redaction:
    """That of this user on this machine."""
    users = [os.environ.get(name, "") for name in ("USER", "LOGNAME", "SUDO_USER", "USERNAME")]
    homes = [os.environ.get(name, "") for name in ("HOME", "USERPROFILE")]
    with contextlib.suppress(Exception):  # there may be no entry for this user at all
        users.append(getpass.getuser())
    with contextlib.suppress(RuntimeError):
        homes.append(str(Path.home()))
        homes.append(str(Path.home().resolve()))
    host = platform.node()
    return Redaction(
        users=tuple(name for name in users if name),
        hosts=tuple(name for name in (host, host.split(".")[0]) if name),
        homes=tuple(home for home in homes if home),
    )
