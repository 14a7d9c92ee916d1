"""Where the exporter does not exist, or gives up, the error says so and what to do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from convert.to_onnx import onnx_from_program, require_exporter
from models.errors import ConversionError, MissingExtra


def test_absent_exporter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "paddle2onnx", None)
    with pytest.raises(MissingExtra) as caught:
        require_exporter()
    if sys.version_info >= (3, 13):
        assert "no release for Python 3.13" in caught.value.message
        assert "Convert with Python 3.10 to 3.12" in caught.value.hint
    else:
        assert caught.value.hint == "pip install 'edgecls[convert]'"


@pytest.mark.parametrize(
    ("number", "reason"),
    [("momentum", "could not convert string to float: 'momentum'"), ("1", "it produced no graph")],
)
def test_an_exporter_that_exits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: str, reason: str
) -> None:
    """Paddle2ONNX 2.1 logs what went wrong and calls `sys.exit`."""
    paddle2onnx = pytest.importorskip("paddle2onnx", reason="needs the `convert` extra")

    def gives_up(*_: object, **__: object) -> None:
        try:
            float(number)
        except ValueError:
            sys.exit(-1)
        sys.exit(-1)

    monkeypatch.setattr(paddle2onnx, "export", gives_up)
    model = tmp_path / "m.json"
    with pytest.raises(ConversionError, match=rf"cannot convert m\.json at opset 17: {reason}\."):
        onnx_from_program(model, model.with_suffix(".pdiparams"), opset=17, folder=tmp_path)


def test_importing_convert_loads_no_framework() -> None:
    code = (
        "import sys, convert.pipeline, convert.isolated, convert.families;"
        "heavy = {'paddle', 'paddle2onnx', 'onnx', 'onnxruntime', 'yaml'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
