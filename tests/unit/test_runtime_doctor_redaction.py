"""What must not be in a report that is pasted somewhere."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.doctor.diagnosis import Diagnosis, Section, redacted
from runtime.doctor.environment import TOLD, environment_findings
from runtime.doctor.finding import Finding
from runtime.doctor.redaction import HOST, KEY, USER, Redaction, own_redaction

ALICE = Redaction(
    users=("alice", "alice"), hosts=("gate-7.example.org", "gate-7"), homes=("/home/alice", "/root")
)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("/home/alice/.venv/bin/python -m pip", "~/.venv/bin/python -m pip"),
        ("/home/alice", "~"),
        ("/home/alices/x and /home/bob/x", f"/home/{USER}/x and /home/{USER}/x"),
        ("/root/a but not /roots or /x/root/a", "~/a but not /roots or /x/root/a"),
        ("/Users/carol/Library", f"/Users/{USER}/Library"),
        (r"C:\Users\carol\x", rf"C:\Users\{USER}\x"),
        ("owned by alice, Alice and malice", f"owned by {USER}, {USER} and malice"),
        ("gate-7.example.org refused GATE-7", f"{HOST} refused {HOST}"),
        ("rtsp://admin:hunter2@10.0.0.7/live", f"rtsp://{KEY}@10.0.0.7/live"),
        ("https://x.org/a?token=abc123&b=1", f"https://x.org/a?token={KEY}&b=1"),
        ("API_KEY=abcdef next", f"API_KEY={KEY} next"),
        ('{"password": "hunter2"}', f'{{"password": "{KEY}"}}'),
        ("Authorization: Bearer abc.def-123", f"Authorization: Bearer {KEY}"),
        ("hf_abcdefghijklmnop", KEY),
        ("ghp_0123456789abcdef0123", KEY),
        ("AKIAIOSFODNN7EXAMPLE", KEY),
        ("Serial Number: 1422019103712", f"Serial Number: {KEY}"),
        ("GPU-5d6f3f3e-1b1c-4b6a-9a51-0a8d2f1e7c11", KEY),
        ("00:1a:2B:3c:4d:5e up", f"{KEY} up"),
        ("9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", KEY),
    ],
)
def test_what_is_left_out(words: str, expected: str) -> None:
    assert ALICE.text(words) == expected
    assert ALICE.text(expected) == expected


@pytest.mark.parametrize(
    "words",
    [
        "CPython 3.11.7, 64 bit",
        "openvino 2026.4.1 CPU computes the known answer (off by 2e-07 of the range)",
        "python -m pip install --no-deps onnxruntime==1.31.1 --index-url https://example.org/jp6",
        "libcublasLt.so.12 is missing",
        "Linux 6.8.0-1015-tegra, aarch64, glibc 2.35",
        'sudo usermod -aG video "$USER"  # then log in again',
        "NVIDIA RTX A2000 (12 GiB), driver 550.54.15",
        "opencv-python 5.0.0.93, torch 2.13.0+cpu",
    ],
)
def test_what_stays(words: str) -> None:
    assert ALICE.text(words) == words


def test_accounts_that_tell_nothing_stay_words() -> None:
    plain = Redaction(users=("nvidia",), hosts=("ubuntu",), homes=("/home/nvidia",))
    assert plain.text("nvidia-smi on Ubuntu, /home/nvidia/x") == "nvidia-smi on Ubuntu, ~/x"


NAMES = st.from_regex(r"[a-z][a-z0-9_-]{3,11}[a-z0-9]", fullmatch=True)


@given(
    user=NAMES,
    host=NAMES,
    words=st.lists(st.sampled_from(("{u}", "{h}", "/home/{u}/x", "a", "://", "=", ":", " ", "/"))),
)
def test_no_name_survives(user: str, host: str, words: list[str]) -> None:
    mine = Redaction(users=(user,), hosts=(host,), homes=(f"/home/{user}",))
    text = " ".join(words).replace("{u}", user).replace("{h}", host)
    result = mine.text(text)
    for name in {user, host} - {"root", "python", "linux", "intel", "docker", "debian"}:
        stated = result.replace(USER, "").replace(HOST, "").replace(KEY, "")
        if name not in ("nvidia", "jetson", "ubuntu", "edgecls", "nobody", "runner", "admin"):
            assert not re.search(rf"(?<![a-z0-9]){re.escape(name)}(?![a-z0-9])", stated)


@given(st.text(max_size=80))
def test_twice_is_once(words: str) -> None:
    once = ALICE.text(words)
    assert ALICE.text(once) == once


def test_all_of_a_diagnosis() -> None:
    finding = Finding(
        name="x",
        status="warn",
        message="/home/alice is full",
        fix="chown alice\x1b[2J /home/alice",
        facts={"paths": ["/home/alice/a", {"deep": "gate-7"}], "number": 3, "none": None},
    )
    told = redacted(Diagnosis(sections=(Section(title="t", findings=(finding,)),)), ALICE)
    (only,) = told.sections[0].findings
    assert (only.message, only.fix) == ("~ is full", f"chown {USER} [2J ~")
    assert only.facts == {"paths": ["~/a", {"deep": HOST}], "number": 3, "none": None}
    json.dumps(dict(only.facts))


def test_own_names(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"HOME": "/home/dora", "USER": "dora", "SUDO_USER": "emil"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("platform.node", lambda: "box-9.lan")
    assert own_redaction().text("/home/dora/x emil box-9.lan box-9") == f"~/x {USER} {HOST} {HOST}"


def test_only_some_variables_are_told() -> None:
    secret = {"AWS_SECRET_ACCESS_KEY": "x", "MQTT_PASSWORD": "y", "LD_LIBRARY_PATH": "/opt/lib"}
    (finding,) = environment_findings(secret)
    assert finding.facts == {"LD_LIBRARY_PATH": "/opt/lib"}
    assert not any(word in name for name in TOLD for word in ("KEY", "SECRET", "PASS"))
    (hidden,) = environment_findings({"CUDA_VISIBLE_DEVICES": "-1"})
    assert (hidden.status, hidden.fix) == ("note", "unset CUDA_VISIBLE_DEVICES")
