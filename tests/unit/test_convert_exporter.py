"""Where the exporter does not exist, the error says where it does."""

from __future__ import annotations

import subprocess
import sys

import pytest

from convert.to_onnx import require_exporter
from models.errors import MissingExtra


def test_absent_exporter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "paddle2onnx", None)
    with pytest.raises(MissingExtra) as caught:
        require_exporter()
    if sys.version_info >= (3, 13):
        assert "no release for Python 3.13" in caught.value.message
        assert "Convert with Python 3.10 to 3.12" in caught.value.hint
    else:
        assert caught.value.hint == "pip install 'edgecls[convert]'"


def test_importing_convert_loads_no_framework() -> None:
    code = (
        "import sys, convert.pipeline, convert.isolated, convert.families;"
        "heavy = {'paddle', 'paddle2onnx', 'onnx', 'onnxruntime', 'yaml'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
