from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import OutputError, UsageError
from runtime.serve.access import TOKEN_VARIABLE, Access, readable_by_others, token_from
from runtime.serve.address import LOOPBACK, address_from_text, is_loopback, listening_socket

TOKEN = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("text", "ip", "port", "loopback"),
    [
        (":8088", LOOPBACK, 8088, True),
        ("8088", LOOPBACK, 8088, True),
        (":0", LOOPBACK, 0, True),
        ("127.0.0.1:80", "127.0.0.1", 80, True),
        ("127.3.2.1:80", "127.3.2.1", 80, True),
        ("[::1]:8088", "::1", 8088, True),
        ("0.0.0.0:8088", "0.0.0.0", 8088, False),
        ("[::]:8088", "::", 8088, False),
        ("192.168.1.5:65535", "192.168.1.5", 65535, False),
        ("[::ffff:127.0.0.1]:1", "::ffff:127.0.0.1", 1, True),
    ],
)
def test_addresses(text: str, ip: str, port: int, loopback: bool) -> None:
    address = address_from_text(text)
    assert (address.ip, address.port, address.loopback) == (ip, port, loopback)


@pytest.mark.parametrize(
    "text",
    [
        "", ":", "host", ":65536", ":-1", "1.2.3.4", "a:b:c", "::1:80", ":80/", "http://x:80",
        ":8 8", "no-such-host.invalid:80", "[::1]", "[x]:80", "\x00:80", "a" * 300 + ":80",
        "..:80", ":٨٠٨٨",
    ],
)  # fmt: skip
def test_no_addresses(text: str) -> None:
    with pytest.raises(UsageError, match="--serve"):
        address_from_text(text)


@given(st.text(alphabet=":0123456789 []", max_size=12))
def test_any_text_is_an_address_or_a_usage_error(text: str) -> None:
    with contextlib.suppress(UsageError):
        assert 0 <= address_from_text(text).port <= 65535


def test_a_taken_port() -> None:
    with listening_socket(address_from_text(":0")) as first:
        port = first.getsockname()[1]
        with pytest.raises(OutputError, match=f"port {port}: Address already in use"):
            listening_socket(address_from_text(f":{port}"))


def test_without_a_token_only_names_of_this_machine_are_known() -> None:
    access = Access(token=None, port=1)
    for host in (
        "localhost",
        "LOCALHOST:8088",
        "127.0.0.1:9",
        "[::1]:8088",
        "[::1]",
        "a.localhost",
    ):
        assert access.knows_host(host), host
    for host in ("", "evil.example", "evil.example:8088", "localhost.evil.example", "192.168.1.5",
                 "127.0.0.1.evil.example", "::1:80", "localhost@evil"):  # fmt: skip
        assert not access.knows_host(host), host
    assert Access(token=TOKEN, port=1).knows_host("camera.example")


def test_the_token_opens() -> None:
    access = Access(token=TOKEN, port=8088)
    assert access.allows({"authorization": f"Bearer {TOKEN}"})
    assert access.allows({"authorization": f"bearer  {TOKEN} "})
    assert access.allows({"cookie": f"a=b; {access.cookie_name}={access.cookie_value}; c"})
    assert Access(token=None, port=1).allows({})


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": ""},
        {"authorization": "Bearer"},
        {"authorization": f"Bearer {TOKEN}x"},
        {"authorization": f"Bearer {TOKEN[:-1]}"},
        {"authorization": f"Basic {TOKEN}"},
        {"authorization": TOKEN},
        {"authorization": "Bearer \xff\xfe"},
        {"cookie": f"edgecls_8088={TOKEN}"},
        {"cookie": "edgecls_8088="},
        {"cookie": f"token={TOKEN}"},
        {"cookie": '"' * 5000 + "\\" * 5000},
    ],
)
def test_what_does_not_open(headers: dict[str, str]) -> None:
    assert not Access(token=TOKEN, port=8088).allows(headers)


def test_neither_words_nor_cookie_tell_the_token() -> None:
    access = Access(token=TOKEN, port=1)
    assert TOKEN not in repr(access)
    assert TOKEN not in access.cookie_value
    other = Access(token=TOKEN + "x", port=1)
    assert other.cookie_value != access.cookie_value
    assert access.cookie_name != Access(token=TOKEN, port=2).cookie_name


def test_a_token_file_is_made_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "token"
    token = token_from(path, {})
    assert token is not None
    assert len(token) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not readable_by_others(path)
    assert token_from(path, {}) == token
    path.chmod(0o644)
    assert readable_by_others(path)


def test_the_variable_and_no_token() -> None:
    assert token_from(None, {}) is None
    assert token_from(None, {TOKEN_VARIABLE: " "}) is None
    assert token_from(None, {TOKEN_VARIABLE: TOKEN}) == TOKEN


@pytest.mark.parametrize("text", ["", "fifteen_letters", "with spaces in it ", "é" * 20, "x" * 513])
def test_bad_tokens(text: str, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        token_from(path, {})
    assert not text.strip() or text.strip() not in caught.value.message


def test_a_binary_or_absent_token_file(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_bytes(bytes(range(256)))
    with pytest.raises(UsageError):
        token_from(path, {})
    with pytest.raises(OutputError, match="Is a directory"):
        token_from(tmp_path, {})
    with pytest.raises(OutputError, match="No such file"):
        token_from(tmp_path / "no" / "token", {})


@pytest.mark.skipif(os.name != "posix", reason="addresses with a zone")
def test_loopback_addresses() -> None:
    assert is_loopback("::1%lo")
    assert not is_loopback("fe80::1%eth0")
    assert not is_loopback("localhost")
