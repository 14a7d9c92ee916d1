"""No test leaves anything in the cache of its user, or fails because the machine was busy."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.pauses import Pauses

# Examples have no deadline: a pause of the machine is no failure. What must be quick says so.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Engines race once for every model in all these tests, and never remember it beyond them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def pauses() -> Iterator[Pauses]:
    """What the machine takes from this test."""
    with Pauses() as counted:
        yield counted
