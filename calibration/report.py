"""`calibration/report.json` of a bundle: everything that a calibration did and found.

One file per bundle, that of the last calibration. It is complete: settings, every clip by name
and content, ranges, candidates, sensitivities, repairs, gate and speed, so that a page can be
made of it without reading anything else. Figures that do not exist (accuracy without labels) are
null, and so is a signal-to-noise ratio without noise; no figure is infinite.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from calibration.stage_facts import StreamStages

REPORT_SCHEMA_VERSION: Literal[1] = 1
REPORT_FOLDER = "calibration"
REPORT_NAME = "report.json"

_FROZEN = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

Target = Literal["onnx", "openvino"]
"""Kind of file that is made: ONNX with explicit Q/DQ nodes, or OpenVINO's IR."""

Method = Literal["minmax", "entropy", "percentile"]
"""How the range of an activation is read off the values seen."""

Activations = Literal["u8", "s8"]
"""Unsigned with a zero point (what x86 multiplies fastest), or signed and symmetric (TensorRT)."""

Granularity = Literal["per_channel", "per_tensor"]
"""Whether each output channel of a weight has its own scale."""

Share = Annotated[float, Field(ge=0, le=1)]


class Settings(BaseModel):
    """What was asked for.

    Attributes:
        sources: `--clips`, as given.
        labels: `--labels`, as given; None without.
        random_data: The clips are noise, asked for by name: accuracy on real video is unknown.
        method: `auto` or the method asked for.
        samples: Clips asked for to read ranges off.
        held_out: Clips asked for to compare fp32 and INT8 on.
        seed: Fixes the choice of clips.
        budget_points: Points (hundredths) of accuracy, or of agreement without labels, that
            INT8 may lose.
        targets: Files asked for.
    """

    model_config = _FROZEN

    sources: tuple[str, ...]
    labels: str | None
    random_data: bool
    method: Literal["auto", "minmax", "entropy", "percentile"]
    samples: int
    held_out: int
    seed: int
    budget_points: float
    targets: tuple[Target, ...]


class ClipUsed(BaseModel):
    """A clip that was looked at.

    Attributes:
        name: Video it was cut from, as listed, or "random 7".
        sha256: Digest of that video file; None for what is no file.
        start_s: Start within the video, seconds from its first frame.
        end_s: End, exclusive.
        label: Its class when known.
        part: Read ranges off it, or compared fp32 and INT8 on it; never both.
    """

    model_config = _FROZEN

    name: str
    sha256: str | None
    start_s: float
    end_s: float
    label: str | None
    part: Literal["calibration", "held_out"]


class Processor(BaseModel):
    """The machine that was calibrated on.

    Attributes:
        vendor: "intel", "amd", "arm" or "unknown".
        model: Name as the system reports it.
        int8_features: Those of avx2, avx512bw, avx_vnni, avx512_vnni, amx_int8, dotprod (asimddp)
            and i8mm that it has.
        threads: Threads of an engine.
        reduce_range: Weights use 7 of 8 bits.
        why: One sentence that explains `reduce_range`.
    """

    model_config = _FROZEN

    vendor: str
    model: str
    int8_features: tuple[str, ...]
    threads: int
    reduce_range: bool
    why: str


class Recipe(BaseModel):
    """How a graph was quantized.

    Attributes:
        method: Of the ranges.
        granularity: Of the weights.
        activations: Their type.
        reduce_range: Weights use 7 of 8 bits.
        skipped: Rules of the family's recipe that keep layers in fp32, e.g. "squeeze-excitation".
        fp32_layers: Layers that stay fp32, by those rules or put back by the gate.
    """

    model_config = _FROZEN

    method: Method
    granularity: Granularity
    activations: Activations
    reduce_range: bool
    skipped: tuple[str, ...]
    fp32_layers: tuple[str, ...]


class Agreement(BaseModel):
    """INT8 compared with fp32 on the same clips and the same engine.

    Attributes:
        clips: Number of clips.
        top1_agreement: Share of clips whose best class is the same.
        mean_probability_diff: Mean over clips of the largest difference of a class's probability.
        max_probability_diff: Largest difference of any probability of any clip.
        logit_snr_db: Signal-to-noise ratio of the logits, 10 log10(sum fp32² / sum (int8-fp32)²);
            None when they are equal.
        logit_cosine: Mean cosine of the two logit vectors of a clip.
        labelled: Clips with a known class; accuracy is counted on these.
        fp32_top1: Share of labelled clips that fp32 gets right; None without labels.
        int8_top1: The same of INT8.
        fp32_top5: Share of labelled clips whose class is among fp32's best five; None without
            labels or with fewer than six classes.
        int8_top5: The same of INT8.
    """

    model_config = _FROZEN

    clips: int
    top1_agreement: Share
    mean_probability_diff: float
    max_probability_diff: float
    logit_snr_db: float | None
    logit_cosine: float
    labelled: int = 0
    fp32_top1: Share | None = None
    int8_top1: Share | None = None
    fp32_top5: Share | None = None
    int8_top5: Share | None = None

    @property
    def lost_points(self) -> float:
        """Points of top-1 accuracy lost; of agreement where no label is known."""
        if self.fp32_top1 is None or self.int8_top1 is None:
            return 100.0 * (1.0 - self.top1_agreement)
        return 100.0 * (self.fp32_top1 - self.int8_top1)


class Candidate(BaseModel):
    """A recipe that was tried on some calibration clips.

    Attributes:
        recipe: It.
        agreement: What it reached.
        chosen: It went on to the gate.
    """

    model_config = _FROZEN

    recipe: Recipe
    agreement: Agreement
    chosen: bool


class Sensitivity(BaseModel):
    """What a layer alone costs: every other layer is fp32.

    Attributes:
        layer: Name of its node.
        operator: Its operator.
        logit_snr_db: SNR of the logits; the lowest is the most sensitive. None: no difference.
        top1_agreement: Share of the clips whose best class is the same.
        put_back: The gate needed it in fp32.
    """

    model_config = _FROZEN

    layer: str
    operator: str
    logit_snr_db: float | None
    top1_agreement: Share
    put_back: bool


class Repair(BaseModel):
    """A step of the gate.

    Attributes:
        put_back: Layers put back to fp32 in this step; empty for the graph as first quantized.
        lost_points: On the held-out clips afterwards.
        agreement: On the held-out clips afterwards.
    """

    model_config = _FROZEN

    put_back: tuple[str, ...]
    lost_points: float
    agreement: Agreement


class Answer(BaseModel):
    """What both graphs said of a held-out clip.

    Attributes:
        clip: Index into `Report.clips`.
        fp32: Best class of fp32.
        fp32_probability: Its probability.
        int8: Best class of INT8.
        int8_probability: Its probability.
    """

    model_config = _FROZEN

    clip: int
    fp32: str
    fp32_probability: float
    int8: str
    int8_probability: float


class TensorRange(BaseModel):
    """Values of an activation over the calibration clips, and the range that INT8 keeps.

    Attributes:
        tensor: Its name in the fp32 graph.
        operator: Operator that makes it; empty for the input.
        minimum: Smallest value seen.
        maximum: Largest value seen.
        low: Lower end of the range kept; smaller values are clipped.
        high: Upper end.
        shared_with: Tensors with the same range because they hold the same values (the temporal
            shift, reshapes), so that nothing is requantized between them.
        histogram: Counts of a sample of the values in equal bins from `minimum` to `maximum`.
    """

    model_config = _FROZEN

    tensor: str
    operator: str
    minimum: float
    maximum: float
    low: float
    high: float
    shared_with: tuple[str, ...]
    histogram: tuple[int, ...]


class Race(BaseModel):
    """fp32 and INT8 timed turn by turn on one engine, batch 1.

    Attributes:
        backend: Its name.
        engine: Engine, version and device.
        file: INT8 file that ran.
        runs: Timed runs of each.
        fp32_ms: Median.
        int8_ms: Median.
        ratio: `fp32_ms / int8_ms`; above 1 INT8 is faster.
    """

    model_config = _FROZEN

    backend: str
    engine: str
    file: str
    runs: int
    fp32_ms: float
    int8_ms: float
    ratio: float


class TargetReport(BaseModel):
    """Everything about one INT8 graph.

    Attributes:
        target: Kind of file.
        writer: What quantized it, e.g. "onnxruntime 1.31.1".
        engine: What ran it for the gate.
        file: File of the bundle.
        sha256: Its digest.
        size_bytes: Its length, with that of its weights if they are a file of their own.
        fp32_size_bytes: Length of the fp32 graph.
        recipe: As it was written.
        candidates: Recipes tried.
        repairs: Steps of the gate; the last is what was kept.
        sensitivity: Layers, most sensitive first; empty when no repair was needed.
        gate: On the held-out clips, as kept.
        answers: Of every held-out clip.
        ranges: Of the activations; empty where the writer does not tell (NNCF).
        races: Speed on each engine that runs the file.
        advice: What to make of the speed, one sentence.
        stages: Its stage graphs; None where there are none.
    """

    model_config = _FROZEN

    target: Target
    writer: str
    engine: str
    file: str
    sha256: str
    size_bytes: int
    fp32_size_bytes: int
    recipe: Recipe
    candidates: tuple[Candidate, ...]
    repairs: tuple[Repair, ...]
    sensitivity: tuple[Sensitivity, ...]
    gate: Agreement
    answers: tuple[Answer, ...]
    ranges: tuple[TensorRange, ...]
    races: tuple[Race, ...]
    advice: str
    stages: StreamStages | None = None


class Report(BaseModel):
    """A calibration.

    Attributes:
        schema_version: Layout of this file.
        edgecls: Version that wrote it.
        versions: Of the libraries involved.
        model: Name of the model.
        family: Its family.
        fp32_sha256: Digest of the fp32 graph that was quantized.
        settings: What was asked for.
        processor: The machine.
        clips: Every clip looked at, calibration first.
        targets: The INT8 graphs that were kept.
        notes: What else is worth knowing, one sentence each, e.g. why a faster file was dropped.
        duration_s: Time it took.
        peak_memory_mib: Largest resident memory of the process.
    """

    model_config = _FROZEN

    schema_version: Literal[1] = REPORT_SCHEMA_VERSION
    edgecls: str
    versions: dict[str, str]
    model: str
    family: str
    fp32_sha256: str
    settings: Settings
    processor: Processor
    clips: tuple[ClipUsed, ...]
    targets: tuple[TargetReport, ...]
    notes: tuple[str, ...]
    duration_s: float
    peak_memory_mib: float
