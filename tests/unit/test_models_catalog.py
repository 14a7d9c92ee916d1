"""The catalog is consistent with itself and names families that exist."""

from __future__ import annotations

import pytest

from convert.families import FAMILY_MODULES
from models.catalog import CATALOG, SOURCES, Published, published
from models.errors import UsageError


def test_names_and_addresses_are_distinct() -> None:
    assert len({entry.name for entry in CATALOG}) == len(CATALOG)
    assert len({entry.url for entry in CATALOG}) == len(CATALOG)


@pytest.mark.parametrize("entry", CATALOG, ids=lambda entry: entry.name)
def test_entry(entry: Published) -> None:
    assert entry.url.startswith("https://")
    assert entry.file.endswith(".tar" if entry.kind == "inference" else ".pdparams")
    assert entry.frames == (25 if entry.family in {"tsn", "pp-tsn"} else entry.frames)
    assert entry.frames in {8, 16, 25}
    assert entry.family in FAMILY_MODULES
    assert f"{entry.frames}f" in entry.name
    assert 65 < entry.top1_percent < 80, "percent, not a share"
    assert entry.source in SOURCES
    assert ("paddlex" in entry.name) == (entry.source == "paddlex")


@pytest.mark.parametrize(
    ("name", "top1"),
    [
        ("pptsmv2-16f-dml", 75.16),
        ("pptsm-r50-8f", 74.54),
        ("pptsmv2-8f-paddlex", 71.71),
        ("pptsm-r101-8f-dense", 77.15),
        ("tsn-r50-25f", 69.81),
    ],
)
def test_published_numbers(name: str, top1: float) -> None:
    assert published(name).top1_percent == top1


def test_unknown_name_suggests_the_closest() -> None:
    with pytest.raises(UsageError, match="'pptsmv2-8'") as caught:
        published("pptsmv2-8")
    assert "pptsmv2-8f" in caught.value.hint
    with pytest.raises(UsageError) as caught:
        published("zzz")
    assert all(entry.name in caught.value.hint for entry in CATALOG)
