"""The network families that a checkpoint can be recognised as.

A new family is one module with a `FAMILY`, plus its line in `FAMILY_MODULES`.
"""

from __future__ import annotations

from importlib import import_module

from convert.family import Family
from models.errors import UsageError
from models.extras import extra

FAMILY_MODULES: dict[str, str] = {
    "pp-tsmv2": "convert.families.pptsm_v2",
    "pp-tsm": "convert.families.pptsm_resnet",
}
"""Family name as used by `--family`, and the module that defines it."""


def family_named(name: str) -> Family:
    """Load one family; this imports PaddlePaddle.

    Raises:
        UsageError: There is no such family.
        MissingExtra: PaddlePaddle is not installed.
    """
    if name not in FAMILY_MODULES:
        raise UsageError(
            f"There is no family '{name}'.", hint=f"Known families: {', '.join(FAMILY_MODULES)}"
        )
    with extra("convert", "Building a Paddle network"):
        module = import_module(FAMILY_MODULES[name])
    family: Family = module.FAMILY
    return family


def all_families() -> tuple[Family, ...]:
    """Every family, in the order in which they are tried; this imports PaddlePaddle."""
    return tuple(family_named(name) for name in FAMILY_MODULES)
