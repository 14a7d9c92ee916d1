"""`card.json`, the single source of truth of a bundle.

A bundle is a folder::

    BUNDLE/
      card.json    what the model is, how to feed it, proof that it is right
      model.onnx   dynamic batch, preprocessing also in its metadata
      probe.npz    inputs and the logits that the reference gave for them

The card holds no date and no path, so that the same checkpoint gives the same bytes.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, ValidationError, model_validator

from models.bundle_file import FROZEN as _FROZEN
from models.bundle_file import BundleFile as BundleFile
from models.bundle_file import FileName as FileName
from models.bundle_file import Line as Line
from models.bundle_file import Sha256 as Sha256
from models.bundle_file import sha256_of as sha256_of
from models.errors import BundleError, SchemaTooNew
from models.spec import ClipSpec
from models.stages import MAX_STAGES, Stage, Temporal, check_stages

SCHEMA_VERSION: Literal[1] = 1
CARD_NAME = "card.json"
METADATA_PREFIX = "edgecls."
"""Prefix of the keys under which `model.onnx` repeats parts of the card."""

NAME_LENGTH = 200


class VariantCheck(BaseModel):
    """How far a variant is from the fp32 graph, over the clips of the parity check.

    Of an INT8 graph it is how far it is from the reference, over the stored clips of the probe, and
    the worst of the engines that run it.

    Attributes:
        clips: Number of clips compared.
        max_rel_diff: Largest difference of a logit, over the range of the fp32 logits.
        max_probability_diff: Largest difference of a class's probability, 0 to 1.
        top1_agreement: Share of clips whose best class is the same, 0 to 1.
    """

    model_config = _FROZEN

    clips: Annotated[int, Field(ge=1)]
    max_rel_diff: float
    max_probability_diff: float
    top1_agreement: float


class Int8(BaseModel):
    """How an INT8 graph was made, and what it costs and gains; the report has the rest.

    Attributes:
        writer: What quantized it, e.g. "onnxruntime 1.31.1".
        method: How ranges were read off the values seen.
        granularity: Whether each output channel of a weight has its own scale.
        activations: Unsigned with a zero point, or signed and symmetric.
        reduced_range: Weights use 7 of 8 bits.
        fp32_layers: Layers with weights that stayed fp32.
        samples: Clips that ranges were read off.
        random_data: The clips were noise: accuracy on real video is unknown.
        held_out: Other clips, on which it was compared with fp32.
        top1_agreement: Share of these whose best class is the same, 0 to 1.
        accuracy_drop_points: Points of top-1 accuracy lost on these (negative when it gained);
            None without labels.
        speedup: Time of fp32 over that of INT8 by backend, on the machine that calibrated.
        failed_on: Backends on which it misses its budget, although it runs there.
        staged_on: Backends on which its stages said what the whole graph says.
    """

    model_config = _FROZEN

    writer: str
    method: Literal["minmax", "entropy", "percentile"]
    granularity: Literal["per_channel", "per_tensor"]
    activations: Literal["u8", "s8"]
    reduced_range: bool
    fp32_layers: tuple[str, ...]
    samples: Annotated[int, Field(ge=1)]
    random_data: bool
    held_out: Annotated[int, Field(ge=1)]
    top1_agreement: float
    accuracy_drop_points: float | None
    speedup: dict[str, float]
    failed_on: tuple[str, ...] = ()
    staged_on: tuple[str, ...] = ()


class Variant(BundleFile):
    """One graph of the model.

    Attributes:
        precision: Numeric precision of weights and arithmetic; input and output stay float32.
        batch: Fixed batch size, every shape of the graph being static; None when it is free.
        check: Comparison with the fp32 graph; None for the fp32 graph itself.
        engine: `any`, or the only backend that runs this file.
        weights: Second file of a graph that has its weights apart (OpenVINO's IR).
        int8: How an INT8 graph was made; None for others.
        stages: The same graph cut into stages, for clips that overlap; empty where it was not.
    """

    precision: Literal["fp32", "fp16", "int8"]
    batch: Annotated[int, Field(ge=1)] | None = None
    check: VariantCheck | None = None
    engine: Literal["any", "openvino"] = "any"
    weights: BundleFile | None = None
    int8: Int8 | None = None
    stages: Annotated[tuple[Stage, ...], Field(max_length=MAX_STAGES)] = ()

    @model_validator(mode="after")
    def _check(self) -> Variant:
        check_stages(self.stages)
        return self

    @property
    def title(self) -> str:
        """E.g. "fp32", "fp32, batch 1" where the batch size is fixed, "int8, openvino only"."""
        batch = "" if self.batch is None else f", batch {self.batch}"
        return f"{self.precision}{batch}{'' if self.engine == 'any' else f', {self.engine} only'}"

    @property
    def files(self) -> tuple[BundleFile, ...]:
        """The graph, its weights where they are a file of their own, and its stages."""
        weights = () if self.weights is None else (self.weights,)
        return (self, *weights, *self.stages)


class GraphFacts(BaseModel):
    """What the fp32 graph consists of.

    Attributes:
        macs: Multiply-accumulates of one clip: those of Conv, ConvTranspose, Gemm and MatMul,
            counted from the shapes of the graph; bias, activations and pooling are not counted.
        nodes: Number of nodes by operator, the most frequent first.
        uncounted: Nodes by operator that multiply and accumulate (or might), but whose work could
            not be counted; `macs` is a lower bound when there are any.
    """

    model_config = _FROZEN

    macs: Annotated[int, Field(ge=0)]
    nodes: dict[Line, int]
    uncounted: dict[Line, int] = {}


class ParityCase(BaseModel):
    """One comparison of the reference and ONNX Runtime.

    Attributes:
        clip: Kind of input.
        order: Order of the frames of the first clip; the others of the batch have other orders.
        batch: Clips in the batch.
        max_abs_diff: Largest absolute difference of any logit.
        max_rel_diff: `max_abs_diff` over the range of the reference logits.
        top1_agreement: Share of clips whose best class is the same, 0 to 1.
    """

    model_config = _FROZEN

    clip: Literal["random", "natural"]
    order: Literal["in_order", "reversed", "shuffled"]
    batch: int
    max_abs_diff: float
    max_rel_diff: float
    top1_agreement: float


class Certificate(BaseModel):
    """Proof of parity, written only when it holds.

    Attributes:
        reference: What the graph was compared with, e.g. "paddlepaddle 3.3.1".
        proves: `training` when the reference is the framework that the model was trained in;
            `graph` when it is the ONNX file that was given, so that nothing is known about how
            faithful that file is.
        engine: What ran the graph, e.g. "onnxruntime 1.23.2 (CPUExecutionProvider)".
        tolerance: Largest `max_rel_diff` that passes: 1e-4, or more for a network that amplifies
            rounding so much that the reference does not hold still either.
        logit_range: Range (max - min) of all reference logits of all cases.
        max_abs_diff: Worst case.
        max_rel_diff: Worst case.
        top1_agreement: Share of all compared clips.
        order_sensitivity: Largest change of the reference logits when the frames of a natural
            clip are reversed, over their range: 0 for a network without temporal mixing.
        cases: Every comparison made.
        repairs: Exporter defects mended after export, one sentence each.
        versions: Version of every library involved.
    """

    model_config = _FROZEN

    reference: Line
    proves: Literal["training", "graph"] = "training"
    engine: Line
    tolerance: float
    logit_range: float
    max_abs_diff: float
    max_rel_diff: float
    top1_agreement: float
    order_sensitivity: float
    cases: tuple[ParityCase, ...]
    repairs: tuple[Line, ...] = ()
    versions: dict[Line, Line]


class Provenance(BaseModel):
    """Where the weights came from.

    Attributes:
        source: Name of the file converted (no folder).
        source_sha256: Its digest.
        source_kind: `pdparams`, `pdmodel`, `pir` or `onnx`.
        converter: "edgecls X.Y.Z".
    """

    model_config = _FROZEN

    source: Line
    source_sha256: Sha256
    source_kind: Literal["pdparams", "pdmodel", "pir", "onnx"]
    converter: Line


class Probe(BundleFile):
    """Stored inputs and reference logits, so that any device can prove itself without Paddle.

    The file is an `.npz` of `seeds`, float32 [P, T, 3, h, w], each value to be repeated
    `repeat` times along both image axes to give the input, and `logits`, float32 [P, classes].
    """

    repeat: Annotated[int, Field(ge=1, le=256)]


class ModelCard(BaseModel):
    """All that is known about a bundle.

    Attributes:
        schema_version: Layout of this file.
        name: Short name shown to people.
        family: Network family, e.g. "pp-tsmv2".
        labels: One name per class, in the order of the logits.
        clip: Preprocessing and sampling.
        output: What the graph's output is: logits, to which softmax is applied once, or the
            probabilities of a model from elsewhere that ends in a softmax of its own.
        opset: ONNX opset of the default domain.
        parameters: Number of weights in the fp32 graph.
        graph: What the fp32 graph consists of.
        temporal: Where it mixes frames, and what clips that overlap may share; None where that
            was not looked at.
        variants: Graphs by precision and batch size; the first is fp32 with a free batch size
            (or with that of the source, where it is fixed).
        settings: Options of backends by the name of the backend, under those of the command line,
            e.g. `{"tensorrt": {"workspace_mib": "1024"}}`.
        probe: Stored inputs for `edgecls verify`.
        certificate: Proof of parity.
        provenance: Where the weights came from.
    """

    model_config = _FROZEN

    schema_version: Literal[1] = SCHEMA_VERSION
    name: Annotated[Line, Field(min_length=1, max_length=NAME_LENGTH)]
    family: Line
    labels: Annotated[tuple[Line, ...], Field(min_length=1)]
    clip: ClipSpec
    output: Literal["logits", "probabilities"] = "logits"
    opset: int
    parameters: int
    graph: GraphFacts | None = None
    temporal: Temporal | None = None
    variants: Annotated[tuple[Variant, ...], Field(min_length=1)]
    settings: dict[Line, dict[Line, Line]] = {}
    probe: Probe
    certificate: Certificate
    provenance: Provenance

    @model_validator(mode="after")
    def _check(self) -> ModelCard:
        titles = [variant.title for variant in self.variants]
        first = self.variants[0]
        if (first.precision, first.engine) != ("fp32", "any") or len(set(titles)) != len(titles):
            raise ValueError(f"variants must start with fp32 and be distinct, got {titles}")
        return self

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.labels)

    def variant(
        self, precision: str, *, batch: int | None = None, backend: str | None = None
    ) -> Variant:
        """Look a graph up.

        Args:
            precision: Its numeric precision.
            batch: Its fixed batch size; None for the first graph of that precision.
            backend: What is to run it: a graph made for that backend alone goes before one for
                any. None leaves those for one backend out, unless there is no other.

        Raises:
            BundleError: The bundle has no such variant.
        """
        found = [
            variant
            for variant in self.variants
            if variant.precision == precision
            and batch in (None, variant.batch)
            and (backend is None or variant.engine in ("any", backend))
        ]
        preferred = "any" if backend is None else backend
        for variant in sorted(found, key=lambda one: one.engine != preferred):
            return variant
        asked = precision if batch is None else f"{precision} for batches of {batch}"
        asked = asked if backend is None else f"{asked} (for {backend})"
        have = ", ".join(variant.title for variant in self.variants)
        hint = "Make one: edgecls calibrate BUNDLE --clips FOLDER" if precision == "int8" else ""
        raise BundleError(f"The bundle has no {asked} variant, only {have}.", hint=hint)

    def precision_of(self, file: str) -> str:
        """Of a graph by its name; fp32 of one not listed, as while a bundle is being made."""
        return next((one.precision for one in self.variants if one.file == file), "fp32")

    def to_json(self) -> str:
        """Serialise; the same card always gives the same text."""
        unset = set() if self.settings else {"settings"}  # older versions know no such field
        facts = self.model_dump(mode="json", exclude=unset)
        return json.dumps(facts, indent=2, ensure_ascii=False) + "\n"


def printable(text: str) -> str:
    """A text that a card may hold as its name: one line, 200 characters at most, encodable."""
    shown = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(shown.split())[:NAME_LENGTH].strip() or "unnamed"


def card_from_json(text: str, *, origin: str) -> ModelCard:
    """Read a card.

    Args:
        text: Content of `card.json`.
        origin: Path shown in errors.

    Raises:
        SchemaTooNew: The schema version is above `SCHEMA_VERSION`.
        BundleError: Not JSON, or not a card.
    """
    try:
        raw: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BundleError(
            f"{origin} is not JSON: {error}.", hint="Convert the model again: edgecls convert"
        ) from error
    version = raw.get("schema_version") if isinstance(raw, dict) else None
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise SchemaTooNew(
            f"{origin} has schema version {version}; this edgecls reads up to {SCHEMA_VERSION}.",
            hint="pip install --upgrade edgecls",
        )
    try:
        return ModelCard.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "card"
        raise BundleError(
            f"{origin} is not a valid card: {where}: {first['msg']}"
            f" ({error.error_count()} problem(s) in all).",
            hint="Convert the model again: edgecls convert",
        ) from error
