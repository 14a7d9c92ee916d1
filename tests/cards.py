"""Cards without bundles, for what reads nothing but cards."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from models.card import ModelCard

_DIGESTS = st.sampled_from([digit * 64 for digit in "0123"])
_SIZES = st.sampled_from([0, 999, 2_906_477, 2_906_478])
_FIGURES = st.sampled_from([0.0, 1e-7, 1.00001e-7, 0.5, float("nan")])
_SHARES = st.sampled_from([0.0, 0.9999, 0.99991, 1.0])
_COUNTS = st.integers(1, 3)
_WORDS = st.sampled_from(["", "a", "b", "A long sentence about the exporter, with a comma."])


def a_card(**changes: Any) -> ModelCard:
    """A card as a conversion writes it, with some of its outermost fields replaced."""
    return ModelCard.model_validate({**_base(), **changes})


def _base() -> dict[str, Any]:
    return {
        "name": "tiny",
        "family": "pp-tsm",
        "labels": ["still", "pan left"],
        "clip": {"frames": 8},
        "opset": 17,
        "parameters": 24_320_240,
        "graph": {"macs": 34_615_033_856, "nodes": {"Conv": 55, "LeakyRelu": 51, "Gemm": 1}},
        "variants": [variant()],
        "probe": {"file": "probe.npz", "sha256": "1" * 64, "size_bytes": 5224, "repeat": 16},
        "certificate": certificate(),
        "provenance": {
            "source": "r50.pdparams",
            "source_sha256": "2" * 64,
            "source_kind": "pdparams",
            "converter": "edgecls 0.1.0",
        },
    }


def variant(**changes: Any) -> dict[str, Any]:
    """An fp32 graph of 97 MB."""
    file = {"file": "model.onnx", "sha256": "3" * 64, "size_bytes": 97_300_000}
    return {**file, "precision": "fp32", **changes}


CHECK = {
    "clips": 18,
    "max_rel_diff": 2.1e-3,
    "max_probability_diff": 0.00123,
    "top1_agreement": 1.0,
}
"""Comparison of a variant with the fp32 graph."""


def certificate(**changes: Any) -> dict[str, Any]:
    """Two comparisons against Paddle."""
    figures = {"max_abs_diff": 1e-5, "max_rel_diff": 1e-6, "top1_agreement": 1.0}
    return {
        "reference": "paddlepaddle 3.3.1",
        "engine": "onnxruntime 1.23.2 (CPUExecutionProvider)",
        "tolerance": 1e-4,
        "logit_range": 12.7,
        **figures,
        "order_sensitivity": 0.25,
        "cases": [
            {"clip": "random", "order": "in_order", "batch": batch, **figures} for batch in (1, 2)
        ],
        "versions": {"paddlepaddle": "3.3.1", "numpy": "2.2.0"},
        **changes,
    }


@st.composite
def cards(draw: st.DrawFn) -> ModelCard:
    """Cards that differ here and there, from few values, so that two often agree in a field."""
    graph = st.fixed_dictionaries(
        {
            "macs": st.sampled_from([0, 4_741_275_648, 4_741_275_649]),
            "nodes": st.dictionaries(st.sampled_from(["Conv", "Relu", "a.b.Conv"]), _COUNTS),
            "uncounted": st.dictionaries(st.sampled_from(["Einsum", "MatMul"]), _COUNTS),
        }
    )
    figures = {
        "max_abs_diff": _FIGURES,
        "max_rel_diff": _FIGURES,
        "top1_agreement": _SHARES,
    }
    case = st.fixed_dictionaries(
        {
            "clip": st.sampled_from(["random", "natural"]),
            "order": st.sampled_from(["in_order", "shuffled"]),
            "batch": _COUNTS,
            **figures,
        }
    )
    clip = st.fixed_dictionaries(
        {
            "frames": st.sampled_from([8, 16]),
            "resize": st.fixed_dictionaries(
                {
                    "policy": st.sampled_from(["fixed_4_3", "stretch"]),
                    "skip_if_short_side_fits": st.booleans(),
                }
            ),
            "mean": st.sampled_from([[0.5, 0.5, 0.5], [0.5, 0.5, 0.50001]]),
            "clip_length_s": st.sampled_from([1.0, 1.0000001, 10.0]),
        }
    )
    return a_card(
        name=draw(st.sampled_from(["one", "other"])),
        family=draw(_WORDS),
        labels=draw(st.lists(st.sampled_from("abc"), min_size=1, max_size=7)),
        clip=draw(clip),
        opset=draw(_COUNTS),
        parameters=draw(st.sampled_from([1000, 1001])),
        graph=draw(st.none() | graph),
        temporal=draw(st.none() | _temporals()),
        variants=draw(_variants()),
        certificate=certificate(
            reference=draw(_WORDS),
            proves=draw(st.sampled_from(["training", "graph"])),
            repairs=draw(st.lists(_WORDS, max_size=2)),
            cases=draw(st.lists(case, max_size=3)),
            versions=draw(st.dictionaries(st.sampled_from(["numpy", "onnx"]), _WORDS)),
            **draw(st.fixed_dictionaries(figures)),
        ),
    )


def stages() -> list[dict[str, Any]]:
    """A frame stage and a window stage."""
    maps = {"name": "maps", "dtype": "float32", "shape": [256, 14, 14]}
    file = {"sha256": "4" * 64, "size_bytes": 561_170, "macs": 203_664_384}
    return [
        {**file, "file": "stream.frame.onnx", "kind": "frame", "outputs": [maps]},
        {**file, "file": "stream.window.onnx", "kind": "window", "inputs": [maps]},
    ]


def temporal(**changes: Any) -> dict[str, Any]:
    """A shift after a third of the work, and the mean."""
    return {
        "mixing": [
            {"node": "Concat_0", "kind": "shift", "reach": 1, "macs_before": 1_619_279_872},
            {"node": "ReduceMean_0", "kind": "mean", "macs_before": 4_740_763_648},
        ],
        "macs_per_clip": 4_741_275_648,
        "macs_per_step": 1_370_969_600,
        "reason": "Before the shift every frame is computed once.",
        **changes,
    }


@st.composite
def _temporals(draw: st.DrawFn) -> dict[str, Any]:
    mixing = st.fixed_dictionaries(
        {
            "node": st.sampled_from(["Concat_0", "Gemm_0"]),
            "kind": st.sampled_from(["shift", "mean", "other"]),
            "reach": st.integers(0, 1),
            "macs_before": st.sampled_from([0, 10, 11]),
        }
    )
    return temporal(
        mixing=draw(st.lists(mixing, max_size=5)),
        macs_per_clip=draw(st.sampled_from([0, 4_741_275_648, 4_741_275_649])),
        macs_per_step=draw(st.sampled_from([0, 1_370_969_600])),
        reason=draw(_WORDS),
    )


@st.composite
def _variants(draw: st.DrawFn) -> list[dict[str, Any]]:
    kinds = [("fp32", 1), ("fp16", None), ("fp16", 1)]
    chosen = draw(st.lists(st.sampled_from(kinds), unique=True))
    return [
        variant(
            precision=precision,
            batch=batch,
            sha256=draw(_DIGESTS),
            size_bytes=draw(_SIZES),
            check=draw(st.none() | st.just(CHECK)),
            stages=draw(st.sampled_from([[], stages()])),
        )
        for precision, batch in [("fp32", None), *chosen]
    ]
