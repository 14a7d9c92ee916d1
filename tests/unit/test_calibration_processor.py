from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from calibration.agreement import answers, compared
from calibration.processor import described, processor
from runtime.cpu import CpuInfo

CPU = CpuInfo(vendor="intel", model="Some CPU")


@pytest.mark.parametrize(
    ("features", "activations", "reduced", "word"),
    [
        (("avx2",), "u8", True, "no VNNI"),
        (("avx2", "avx512bw"), "u8", True, "no VNNI"),
        (("avx2",), "s8", False, "signed"),
        (("avx2", "avx_vnni"), "u8", False, "avx_vnni"),
        (("avx2", "avx512bw", "avx512_vnni"), "u8", False, "avx512_vnni"),
        (("dotprod", "i8mm"), "u8", False, "x86"),
        ((), "u8", False, "x86"),
    ],
)
def test_weights_have_seven_bits_only_where_sums_saturate(
    features: tuple[str, ...], activations: str, reduced: bool, word: str
) -> None:
    here = described(CPU, features, activations, threads=2)  # type: ignore[arg-type]
    assert here.reduce_range is reduced
    assert word in here.why


def test_features_are_read_off_cpuinfo(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    info = tmp_path / "proc" / "cpuinfo"
    info.write_text("vendor_id : GenuineIntel\nmodel name : X\nflags : fpu avx2 avx512_vnni\n")
    here = processor("u8", root=tmp_path)
    assert here.int8_features == ("avx2", "avx512_vnni")
    assert (here.vendor, here.model) == ("intel", "X")
    info.write_text("Features : fp asimd asimddp i8mm\nCPU implementer : 0x41\n")
    assert processor("u8", root=tmp_path).int8_features == ("dotprod", "i8mm")
    info.unlink()
    assert processor("u8", root=tmp_path).int8_features == ()


def test_figures_of_an_agreement() -> None:
    fp32 = np.array([[3, 1, 0, 0, 0, 0], [0, 2, 0, 0, 0, 0], [0, 0, 9, 0, 0, 0]], np.float32)
    int8 = np.array([[1, 3, 0, 0, 0, 0], [0, 2, 0, 0, 0, 0], [0, 0, 9, 0, 0, 0]], np.float32)
    figures = compared(fp32, int8, labels=[0, None, 5], output="logits")
    assert figures.top1_agreement == pytest.approx(2 / 3)
    assert figures.labelled == 2
    assert (figures.fp32_top1, figures.int8_top1) == (0.5, 0.0)
    assert figures.lost_points == pytest.approx(50)
    assert figures.fp32_top5 == 0.5
    signal, noise = 9 + 1 + 4 + 81, 8
    assert figures.logit_snr_db == pytest.approx(10 * np.log10(signal / noise))
    same = compared(fp32, fp32, labels=[None] * 3, output="logits")
    assert same.logit_snr_db is None
    assert same.lost_points == 0
    assert same.fp32_top1 is None


def test_values_that_are_not_finite_are_wrong_answers() -> None:
    fp32 = np.array([[3, 1], [3, 1]], np.float32)
    int8 = np.array([[np.nan, 1], [np.inf, 1]], np.float32)
    figures = compared(fp32, int8, labels=[0, 0], output="logits")
    assert figures.top1_agreement == 0
    assert figures.max_probability_diff == 1
    listed = answers(fp32, int8, clips=[4, 5], names=("a", "b"), output="logits")
    assert [one.clip for one in listed] == [4, 5]
    assert listed[0].fp32 == "a"
