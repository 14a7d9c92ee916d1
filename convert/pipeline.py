"""The road from a checkpoint to a bundle, in the order in which it is walked."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from convert.batch_norms import fold_batch_norms
from convert.bundle_writer import staged_bundle
from convert.ends import Ends
from convert.graph import embed, fold_constants, name_by_position, parameter_count, save
from convert.graph_facts import graph_facts
from convert.labels import checked_labels, default_labels, read_labels
from convert.load import load
from convert.loaded import Exported, LoadedModel
from convert.locate import Located, locate
from convert.paddlex_config import PaddleXConfig, read_paddlex_config
from convert.parity import (
    BATCHES,
    TOLERANCE,
    Comparison,
    certify,
    compare,
    library_versions,
    onnx_logits,
    rounding_noise,
)
from convert.parity_clips import block_side, noise_seeds, random_clips
from convert.request import ConvertRequest
from convert.stages import with_stages
from convert.to_onnx import require_exporter
from convert.variants import check_variant, make_variant, wanted_variants
from models.bundle import expand_probe
from models.card import (
    CARD_NAME,
    BundleFile,
    ModelCard,
    Probe,
    Provenance,
    Variant,
    printable,
    sha256_of,
)
from models.errors import ConversionError
from models.extras import extra
from models.version import edgecls_version

if TYPE_CHECKING:
    from onnx import ModelProto

MODEL_NAME, PROBE_NAME = "model.onnx", "probe.npz"
PROBE_CLIPS, PROBE_SEED = 3, 7

OnStep = Callable[[str, int, int], None]
"""Told the title of the step under way, how much of it is done, and of how much."""

STEPS = (
    "Read the source",
    "Export to ONNX",
    "Fold constants and batch norms",
    "Compare with the reference",
    "Cut and check stage graphs",
    "Write the bundle",
)
VARIANT_STEP = "Make and check variants"
"""Comes behind the fourth of `STEPS`, when variants are asked for."""


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
    if located.kind == "onnx":
        with extra("convert", "Converting an ONNX model"):
            import onnx  # noqa: F401
    else:
        require_exporter()
    on_step(STEPS[0], 1, 2)  # the libraries are loaded; what follows is up to the source
    config = read_paddlex_config(located.config) if located.config else None
    with (
        staged_bundle(request.output, force=request.force) as staging,
        tempfile.TemporaryDirectory(prefix="edgecls-") as scratch,
    ):
        job = _Job(request=request, staging=staging, scratch=Path(scratch), on_step=on_step)
        model = load(request, located, config, job.scratch)
        labels, label_notes = _labels(request, config, model.ends.classes)
        card, notes = _fill(job, located, model, labels)
    return Converted(
        path=request.output,
        card=card,
        notes=(*located.notes, *model.notes, *label_notes, *notes, *_limits(card)),
    )


def _limits(card: ModelCard) -> tuple[str, ...]:
    """What is special about the model itself, one sentence each."""
    notes = []
    if card.variants[0].batch is not None:
        notes.append(f"the model takes {card.variants[0].batch} clip(s) at a time, no other number")
    if card.certificate.tolerance > TOLERANCE:
        notes.append(
            f"parity: this network amplifies rounding, so that {card.certificate.tolerance:.1e} of"
            f" the logit range was allowed instead of {TOLERANCE:g}"
        )
    if card.output == "probabilities":
        notes.append("the model puts out probabilities: softmax is not applied to them again")
    return tuple(notes)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """Where a conversion works: its request, the bundle in the making, a scratch folder."""

    request: ConvertRequest
    staging: Path
    scratch: Path
    on_step: OnStep


def _fill(
    job: _Job, located: Located, model: LoadedModel, labels: tuple[str, ...]
) -> tuple[ModelCard, tuple[str, ...]]:
    """Make everything that a bundle holds, and prove it; the card, and what is to be noted."""
    job.on_step(STEPS[1], 0, 1)
    exported = model.export(model.opset, job.scratch)

    job.on_step(STEPS[2], 0, 1)
    metadata = {"clip": model.ends.clip.model_dump(mode="json"), "labels": list(labels)}
    graph, ends = _finished(exported, model, job.scratch)
    embed(graph, metadata)
    save(graph, job.staging / MODEL_NAME)

    job.on_step(STEPS[3], 0, 1)
    compared = compare(
        model.reference,
        onnx_logits(job.staging / MODEL_NAME, batch=ends.batch),
        ends.clip,
        batches=BATCHES if ends.batch is None else (1,),
        on_case=lambda done, total: job.on_step(STEPS[3], done, total),
    )
    certificate = certify(
        compared,
        model.witness,
        repairs=exported.repairs,
        versions=library_versions(model.libraries),
        noise=lambda: rounding_noise(model.reference, ends.clip),
    )
    variants = _variants(job, graph, ends, compared)

    card = ModelCard(
        name=printable(job.request.name or model.title),
        family=model.family,
        labels=labels,
        clip=ends.clip,
        output=compared.output,
        opset=model.opset,
        parameters=parameter_count(graph),
        graph=graph_facts(graph),
        variants=variants,
        probe=_write_probe(job.staging / PROBE_NAME, model),
        certificate=certificate,
        provenance=Provenance(
            source=printable(located.path.name),
            source_sha256=sha256_of(located.weights),
            source_kind=located.kind,
            converter=f"edgecls {edgecls_version()}",
        ),
    )
    card, stage_notes = with_stages(
        card,
        graph,
        job.staging,
        wanted=job.request.stages,
        on_step=lambda done, total: job.on_step(STEPS[4], done, total),
    )

    job.on_step(STEPS[5], 0, 1)
    (job.staging / CARD_NAME).write_text(card.to_json(), encoding="utf-8")
    job.on_step(STEPS[5], 1, 1)
    return card, (*exported.repairs, *stage_notes)


def _finished(exported: Exported, model: LoadedModel, scratch: Path) -> tuple[ModelProto, Ends]:
    """The smallest graph with our ends; for any batch size unless the model does not allow it."""
    name_by_position(exported.graph)
    if model.fixed_rows is None:
        return _with_ends(exported.graph, model.ends, model.opset, scratch), model.ends
    freed = type(exported.graph)()
    freed.CopyFrom(exported.graph)
    with suppress(ConversionError):  # its own batch size is in the way
        graph = _with_ends(freed, model.ends, model.opset, scratch)
        if _serves_batches(graph, model, scratch):
            return graph, model.ends
    pictures = model.fixed_rows % model.ends.rows
    if pictures:
        raise ConversionError(
            f"The model takes {model.fixed_rows} pictures at a time, which do not divide into clips"
            f" of {model.ends.clip.frames} frames.",
            hint="Export it with a free batch size.",
        )
    ends = replace(model.ends, batch=model.fixed_rows // model.ends.rows)
    return _with_ends(exported.graph, ends, model.opset, scratch), ends


def _with_ends(graph: ModelProto, ends: Ends, opset: int, scratch: Path) -> ModelProto:
    ends.attach(graph, opset=opset)
    fold_batch_norms(graph)
    folded = fold_constants(graph, scratch)
    name_by_position(folded)
    return folded


def _serves_batches(graph: ModelProto, model: LoadedModel, scratch: Path) -> bool:
    """Whether a graph made for one batch size works for another: it may have frozen its own."""
    path = scratch / "freed.onnx"
    save(graph, path)
    clips = random_clips(model.ends.clip, 2, PROBE_SEED)
    truth = model.reference(clips)
    try:
        made = onnx_logits(path)(clips)
    except Exception:  # whatever the engine says, the answer is no
        return False
    return made.shape == truth.shape and bool(
        np.abs(made - truth).max() <= TOLERANCE * np.ptp(truth)
    )


def _variants(
    job: _Job, graph: ModelProto, ends: Ends, compared: Comparison
) -> tuple[Variant, ...]:
    """The fp32 graph, and those that were asked for beside it."""
    file = BundleFile.of(job.staging / MODEL_NAME)
    variants = [Variant(precision="fp32", batch=ends.batch, **file.model_dump())]
    asked = job.request.static_batch
    wanted = wanted_variants(
        fp16=job.request.fp16, static_batch=None if asked == ends.batch else asked
    )
    for number, one in enumerate(wanted):
        job.on_step(VARIANT_STEP, number, len(wanted))
        path = make_variant(graph, one, folder=job.staging, scratch=job.scratch)
        variants.append(check_variant(path, one, ends.clip, compared))
    return tuple(variants)


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
    """Store a few inputs with the reference's logits, for proof on devices that cannot ask it."""
    clip = model.ends.clip
    repeat = block_side(clip.crop)
    seeds = noise_seeds(clip, PROBE_CLIPS, PROBE_SEED)
    clips = expand_probe(seeds, repeat)
    logits = np.concatenate([model.reference(one[None].copy()) for one in clips])
    np.savez(path, seeds=seeds, logits=logits.astype(np.float32))
    return Probe(repeat=repeat, **BundleFile.of(path).model_dump())
