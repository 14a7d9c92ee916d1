"""Calibration reports made up for tests of the page: with everything in them, or with little."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from calibration.report import (
    Agreement,
    Answer,
    Candidate,
    ClipUsed,
    Processor,
    Race,
    Recipe,
    Repair,
    Report,
    Sensitivity,
    Settings,
    TargetReport,
    TensorRange,
)
from calibration.stage_facts import StageCheck, StreamStages

CLASSES = ("still", "pan left", "pan right", "zoom in")
_HELD_OUT = 8


def a_recipe(**changes: Any) -> Recipe:
    return Recipe(
        **{
            "method": "minmax",
            "granularity": "per_channel",
            "activations": "u8",
            "reduce_range": False,
            "skipped": ("squeeze-excitation",),
            "fp32_layers": ("Mul_0",),
            **changes,
        }
    )


def figures(*, agreement: float = 0.875, accuracy: float | None = 0.75) -> Agreement:
    """INT8 of that agreement and accuracy; without accuracy no clip has a label."""
    return Agreement(
        clips=_HELD_OUT,
        top1_agreement=agreement,
        mean_probability_diff=0.05,
        max_probability_diff=0.4,
        logit_snr_db=23.5,
        logit_cosine=0.998,
        labelled=0 if accuracy is None else _HELD_OUT,
        fp32_top1=None if accuracy is None else 0.875,
        int8_top1=accuracy,
    )


def a_range(tensor: str = "Relu_0.out", **changes: Any) -> TensorRange:
    return TensorRange(
        **{
            "tensor": tensor,
            "operator": "Relu",
            "minimum": -1.0,
            "maximum": 3.0,
            "low": -1.0,
            "high": 2.0,
            "shared_with": ("Reshape_0.out",),
            "histogram": (6, 0, 1, 1),
            **changes,
        }
    )


def a_target(classes: Sequence[str] = CLASSES, **changes: Any) -> TargetReport:
    """A graph for which two layers were put back; INT8 differs for the last held-out clip."""
    answers = tuple(
        Answer(
            clip=_HELD_OUT + place,
            fp32=classes[place % len(classes)],
            fp32_probability=0.9,
            int8=classes[(place + (place == _HELD_OUT - 1)) % len(classes)],
            int8_probability=0.6,
        )
        for place in range(_HELD_OUT)
    )
    return TargetReport(
        **{
            "target": "onnx",
            "writer": "onnxruntime 1.0",
            "engine": "onnxruntime 1.0 CPU",
            "file": "model.int8.onnx",
            "sha256": "ab" * 32,
            "size_bytes": 8_200_000,
            "fp32_size_bytes": 23_400_000,
            "recipe": a_recipe(),
            "candidates": (
                Candidate(recipe=a_recipe(), agreement=figures(), chosen=True),
                Candidate(recipe=a_recipe(skipped=()), agreement=figures(), chosen=False),
            ),
            "repairs": (
                Repair(put_back=(), lost_points=37.5, agreement=figures(accuracy=0.5)),
                Repair(put_back=("Conv_3",), lost_points=25, agreement=figures(accuracy=0.625)),
                Repair(put_back=("Conv_1", "Gemm_0"), lost_points=12.5, agreement=figures()),
            ),
            "sensitivity": tuple(
                Sensitivity(
                    layer=layer,
                    operator="Conv",
                    logit_snr_db=snr_db,
                    top1_agreement=0.9,
                    put_back=put_back,
                )
                for layer, snr_db, put_back in (
                    ("Conv_3", 12.0, True),
                    ("Conv_1", 20.0, True),
                    ("Conv_2", None, False),
                )
            ),
            "gate": figures(),
            "answers": answers,
            "ranges": (a_range(), a_range("Conv_9.out", histogram=())),
            "races": (a_race("cpu", 98.9, 44.9), a_race("openvino", 20.0, 40.0)),
            "advice": "INT8 is faster on this machine.",
            "stages": some_stages(),
            **changes,
        }
    )


def some_stages() -> StreamStages:
    return StreamStages(
        size_bytes=8_300_000,
        macs_per_clip=1000,
        macs_per_step=290,
        checks=tuple(
            StageCheck(backend=backend, clips=120, max_rel_diff=difference, tolerance=1e-4)
            for backend, difference in (("cpu", 0.0), ("openvino", 2e-6))
        ),
    )


def a_race(backend: str, fp32_ms: float, int8_ms: float) -> Race:
    return Race(
        backend=backend,
        engine=f"{backend} 1.0",
        file="model.int8.onnx",
        runs=40,
        fp32_ms=fp32_ms,
        int8_ms=int8_ms,
        ratio=fp32_ms / int8_ms,
    )


def a_clip(name: str, part: str, label: str | None) -> ClipUsed:
    return ClipUsed.model_validate(
        {
            "name": name,
            "sha256": None,
            "start_s": 0.0,
            "end_s": 2.5,
            "label": label,
            "part": part,
        }
    )


def a_report(*targets: TargetReport, classes: Sequence[str] = CLASSES, **changes: Any) -> Report:
    """A report of these graphs, on eight clips to calibrate on and eight held out."""
    clips = [
        a_clip(f"{part}/{place % 3}.mp4", part, classes[place % len(classes)])
        for part in ("calibration", "held_out")
        for place in range(_HELD_OUT)
    ]
    return Report(
        **{
            "edgecls": "0.1.0",
            "versions": {"numpy": "2.0", "onnx": "1.17"},
            "model": "camera motion",
            "family": "pp-tsmv2",
            "fp32_sha256": "cd" * 32,
            "settings": Settings(
                sources=("videos/",),
                labels=None,
                random_data=False,
                method="auto",
                samples=8,
                held_out=8,
                seed=0,
                budget_points=12.5,
                targets=("onnx", "openvino"),
            ),
            "processor": Processor(
                vendor="intel",
                model="Xeon",
                int8_features=("avx2", "avx512_vnni"),
                threads=2,
                reduce_range=False,
                why="Weights use all 8 bits: avx512_vnni adds products in 32 bits.",
            ),
            "clips": tuple(clips),
            "targets": targets,
            "notes": ("Race on OpenVINO: nncf 5.9 ms.",),
            "duration_s": 61.0,
            "peak_memory_mib": 512.0,
            **changes,
        }
    )
