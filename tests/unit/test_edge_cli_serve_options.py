from __future__ import annotations

from pathlib import Path

import pytest

from edge_cli.serve_options import serve_asked
from models.errors import UsageError
from runtime.serve.access import TOKEN_VARIABLE

TOKEN = "0123456789abcdef0123456789abcdef"


@pytest.fixture(autouse=True)
def no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)


def test_no_page() -> None:
    assert serve_asked(None, None) is None


def test_this_machine_needs_no_token() -> None:
    asked = serve_asked(":8088", None)
    assert asked is not None
    assert (asked.address.ip, asked.token) == ("127.0.0.1", None)


def test_a_token_without_a_page(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="was not asked for"):
        serve_asked(None, tmp_path / "token")
    assert not (tmp_path / "token").exists()


def test_the_network_needs_a_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="needs a token") as caught:
        serve_asked("0.0.0.0:8088", None)
    assert "--serve-token FILE" in caught.value.hint
    made = serve_asked("0.0.0.0:8088", tmp_path / "token")
    assert made is not None
    assert made.token == (tmp_path / "token").read_text().strip()
    assert made.token not in repr(made)
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
    asked = serve_asked("0.0.0.0:8088", None)
    assert asked is not None
    assert asked.token == TOKEN


def test_a_token_that_others_can_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "token"
    path.write_text(TOKEN)
    path.chmod(0o644)
    serve_asked(":8088", path)
    assert "chmod 600" in capsys.readouterr().err
    path.chmod(0o600)
    serve_asked(":8088", path)
    assert capsys.readouterr().err == ""
