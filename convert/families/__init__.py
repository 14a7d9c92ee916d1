"""The network families that a checkpoint can be recognised as.

A new family is one module with a `FAMILY`, plus its line in `FAMILY_MODULES`. `layers` and `resnet`
are no families: they hold what several share.
"""

from __future__ import annotations

from importlib import import_module

from convert.family import Family
from models.errors import FamilyError
from models.extras import extra

FAMILY_MODULES: dict[str, str] = {
    "pp-tsmv2": "convert.families.pptsm_v2",
    "pp-tsm": "convert.families.pptsm_resnet",
    "pp-tsm-mv2": "convert.families.pptsm_mobilenet_v2",
    "pp-tsm-mv3": "convert.families.pptsm_mobilenet_v3",
    "pp-tsn": "convert.families.pptsn_resnet",
    "tsm": "convert.families.tsm_resnet",
    "tsn": "convert.families.tsn_resnet",
}
"""Family name as used by `--family`, and the module that defines it."""


def check_family_name(name: str) -> None:
    """Refuse a name that no family has; loads nothing.

    Raises:
        FamilyError: There is no such family.
    """
    if name not in FAMILY_MODULES:
        raise FamilyError(
            f"There is no family '{name}'.", hint=f"Known families: {', '.join(FAMILY_MODULES)}"
        )


def family_named(name: str) -> Family:
    """Load one family; this imports PaddlePaddle.

    Raises:
        FamilyError: There is no such family.
        MissingExtra: PaddlePaddle is not installed.
    """
    check_family_name(name)
    with extra("convert", "Building a Paddle network"):
        module = import_module(FAMILY_MODULES[name])
    family: Family = module.FAMILY
    return family


def all_families() -> tuple[Family, ...]:
    """Every family, in the order in which they are tried; this imports PaddlePaddle."""
    return tuple(family_named(name) for name in FAMILY_MODULES)
