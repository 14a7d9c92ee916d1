"""What the processor can do with INT8, and what follows for the weights."""

from __future__ import annotations

from pathlib import Path

from calibration.report import Activations, Processor
from runtime.cpu import CpuInfo, cpu_info, usable_cpus

_FLAGS: dict[str, str] = {
    "avx2": "avx2",
    "avx512bw": "avx512bw",
    "avx_vnni": "avx_vnni",
    "avx512_vnni": "avx512_vnni",
    "amx_int8": "amx_int8",
    "asimddp": "dotprod",
    "i8mm": "i8mm",
}
"""Flags of /proc/cpuinfo, and what reports call them."""

_FULL_PRODUCTS = frozenset(("avx_vnni", "avx512_vnni", "amx_int8"))


def processor(activations: Activations, *, root: Path = Path("/")) -> Processor:
    """Describe this machine, and decide whether weights must do with 7 bits.

    Args:
        activations: Type of the activations.
        root: Folder that holds `proc`; another one in tests.
    """
    return described(cpu_info(root=root), _features(root), activations, threads=usable_cpus())


def described(
    cpu: CpuInfo, features: tuple[str, ...], activations: Activations, *, threads: int
) -> Processor:
    """Decide by the processor's features.

    x86 without VNNI multiplies unsigned by signed bytes with `vpmaddubsw`, which adds two products
    into 16 bits and saturates: 2 * 255 * 127 does not fit, 2 * 255 * 64 does.

    Args:
        cpu: Who made it.
        features: Its INT8 features, as reports call them.
        activations: Type of the activations.
        threads: Threads of an engine.
    """
    saturates = "avx2" in features and not _FULL_PRODUCTS & set(features)
    reduce_range = saturates and activations == "u8"
    if reduce_range:
        why = (
            "Weights use 7 of 8 bits: this processor has no VNNI, and its sums of two products of"
            " unsigned and signed bytes saturate at 16 bits otherwise."
        )
    elif saturates:
        why = "Weights use all 8 bits: activations are signed, so nothing saturates."
    elif "avx2" in features:
        kind = next(name for name in features if name in _FULL_PRODUCTS)
        why = f"Weights use all 8 bits: {kind} adds products in 32 bits."
    else:
        why = "Weights use all 8 bits: the saturating product is one of x86 with AVX2 only."
    return Processor(
        vendor=cpu.vendor,
        model=cpu.model,
        int8_features=features,
        threads=threads,
        reduce_range=reduce_range,
        why=why,
    )


def _features(root: Path) -> tuple[str, ...]:
    """INT8 features of the first processor that /proc/cpuinfo lists."""
    try:
        lines = (root / "proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ()
    for line in lines:
        name, _, flags = line.partition(":")
        if name.strip().lower() in {"flags", "features"}:
            present = set(flags.lower().split())
            return tuple(ours for flag, ours in _FLAGS.items() if flag in present)
    return ()
