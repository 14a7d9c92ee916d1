"""The page of a calibration, from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("nncf", reason="needs the `int8` extra")
pytest.importorskip("ml_dtypes", reason="needs the `int8` extra")

from tests.cli.command import NEEDS_ENGINES, failing
from tests.cli.in_process import called
from tests.html_page import Page
from tests.int8_models import SENSITIVE, write_int8_bundle

pytestmark = NEEDS_ENGINES


def test_calibrate_writes_a_page_and_inspect_writes_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_int8_bundle(tmp_path / "b", "sensitive").path
    again = tmp_path / "sent" / "page.html"
    assert "no report" in failing("inspect", folder, "--page", again, code=8)[0]
    assert not again.exists()

    words = ("--clips", "random", "--samples", 8, "--held-out", 40, "--method", "minmax")
    asked = ("calibrate", folder, *words, "--target", "onnx", "--budget", 30)
    done = called(*asked, monkeypatch=monkeypatch)
    assert done.code == 0, done.err
    path = folder / "calibration" / "report.html"
    assert f"{path} and .json" in done.out
    page = Page(path.read_text(encoding="utf-8"))
    assert f"{SENSITIVE} fp32 again" in page.text
    assert "with 1 layer back in fp32" in page.text
    assert "noise clips" in page.text

    assert called("inspect", folder, "--page", again, monkeypatch=monkeypatch).out == f"{again}\n"
    assert again.read_bytes() == path.read_bytes()
    assert "cannot be written" in failing("inspect", folder, "--page", tmp_path, code=10)[0]
    assert "--page" in failing("inspect", folder, "--page", again, "--json", code=2)[0]
