"""The road from a checkpoint to a bundle, in the order in which it is walked."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from convert.bundle_writer import staged_bundle
from convert.graph import (
    embed,
    fold_constants,
    name_by_position,
    name_ends,
    parameter_count,
    save,
)
from convert.labels import checked_labels, default_labels, read_labels
from convert.loaded import LoadedModel, load
from convert.locate import Located, locate
from convert.paddlex_config import PaddleXConfig, read_paddlex_config
from convert.parity import certify, compare, library_versions, onnx_logits
from convert.parity_clips import block_side, noise_seeds
from convert.repairs import repair_leaky_relu
from convert.request import ConvertRequest
from convert.to_onnx import onnx_from_program, require_exporter
from models.bundle import expand_probe
from models.card import CARD_NAME, BundleFile, ModelCard, Probe, Provenance, Variant, sha256_of
from models.version import edgecls_version

MODEL_NAME, PROBE_NAME = "model.onnx", "probe.npz"
PROBE_CLIPS, PROBE_SEED = 3, 7

OnStep = Callable[[str, int, int], None]
"""Told the title of the step under way, how much of it is done, and of how much."""

STEPS = (
    "Read the source",
    "Export to ONNX",
    "Fold constants and batch norms",
    "Compare with Paddle",
    "Write the bundle",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """The outcome of a conversion.

    Attributes:
        path: The bundle.
        card: Its card.
        notes: What was assumed or repaired on the way, one sentence each.
    """

    path: Path
    card: ModelCard
    notes: tuple[str, ...]


def _silent(title: str, done: int, total: int) -> None:
    del title, done, total


def convert(request: ConvertRequest, on_step: OnStep = _silent) -> Converted:
    """Convert, verify, and only then write.

    Args:
        request: What to convert.
        on_step: Progress.

    Raises:
        EdgeclsError: Any of the errors drawn in `models.errors`; nothing is left on disk.
    """
    on_step(STEPS[0], 0, 1)
    located = locate(request.source)
    config = read_paddlex_config(located.config) if located.config else None
    require_exporter()
    with (
        staged_bundle(request.output, force=request.force) as staging,
        tempfile.TemporaryDirectory(prefix="edgecls-") as scratch,
    ):
        card, notes = _fill(
            staging, Path(scratch), request, located=located, config=config, on_step=on_step
        )
    return Converted(path=request.output, card=card, notes=notes)


def _fill(
    staging: Path,
    scratch: Path,
    request: ConvertRequest,
    *,
    located: Located,
    config: PaddleXConfig | None,
    on_step: OnStep,
) -> tuple[ModelCard, tuple[str, ...]]:
    model = load(request, located, config, scratch)
    labels, notes = _labels(request, config, model.classes)

    on_step(STEPS[1], 0, 1)
    graph = onnx_from_program(
        model.program.model, model.program.weights, opset=request.opset, folder=scratch
    )
    repair = repair_leaky_relu(graph, model.program.leaky_slopes)
    repairs = (repair,) if repair else ()

    on_step(STEPS[2], 0, 1)
    name_ends(graph, model.clip, model.classes)
    graph = fold_constants(graph, scratch)
    name_by_position(graph)
    embed(graph, {"clip": model.clip.model_dump(mode="json"), "labels": list(labels)})
    save(graph, staging / MODEL_NAME)

    compared = compare(
        model.program.reference,
        onnx_logits(staging / MODEL_NAME),
        model.clip,
        on_case=lambda done, total: on_step(STEPS[3], done, total),
    )
    certificate = certify(compared, repairs=repairs, versions=library_versions())

    on_step(STEPS[4], 0, 1)
    card = ModelCard(
        name=request.name or model.title,
        family=model.family,
        labels=labels,
        clip=model.clip,
        opset=request.opset,
        parameters=parameter_count(graph),
        variants=(Variant(precision="fp32", **BundleFile.of(staging / MODEL_NAME).model_dump()),),
        probe=_write_probe(staging / PROBE_NAME, model),
        certificate=certificate,
        provenance=Provenance(
            source=located.path.name,
            source_sha256=sha256_of(located.weights),
            source_kind=located.kind,
            converter=f"edgecls {edgecls_version()}",
        ),
    )
    (staging / CARD_NAME).write_text(card.to_json(), encoding="utf-8")
    on_step(STEPS[4], 1, 1)
    return card, (*notes, *repairs)


def _labels(
    request: ConvertRequest, config: PaddleXConfig | None, classes: int
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Labels, and what had to be assumed."""
    if request.labels is not None:
        return read_labels(request.labels, classes), ()
    if config is not None and config.labels is not None:
        return checked_labels(config.labels, classes, origin="inference.yml"), ()
    names, note = default_labels(classes)
    return names, (note,)


def _write_probe(path: Path, model: LoadedModel) -> Probe:
    """Store a few inputs with Paddle's logits, for proof on devices that have no Paddle."""
    repeat = block_side(model.clip.crop)
    seeds = noise_seeds(model.clip, PROBE_CLIPS, PROBE_SEED)
    clips = expand_probe(seeds, repeat)
    logits = np.concatenate([model.program.reference(one[None].copy()) for one in clips])
    np.savez(path, seeds=seeds, logits=logits.astype(np.float32))
    return Probe(repeat=repeat, **BundleFile.of(path).model_dump())
