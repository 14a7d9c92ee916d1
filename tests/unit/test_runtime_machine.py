"""The machine, where the user has no home folder."""

from __future__ import annotations

import platformdirs
import pytest

from runtime.choice_cache import Outcome
from runtime.machine import Machine


def test_a_user_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object, **__: object) -> None:
        raise RuntimeError("could not determine the home directory")

    monkeypatch.setattr(platformdirs, "user_cache_path", none)
    cache = Machine().cache
    cache.put("key", Outcome(backend="cpu", file="model.onnx", speedup=None))
    assert cache.get("key") is None
