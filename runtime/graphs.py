"""Which graphs of a bundle an engine can run, and which compete when one is to be chosen."""

from __future__ import annotations

from models.card import ModelCard, Variant
from models.errors import BackendError, UsageError

_MAKE = {
    "int8": "edgecls calibrate BUNDLE --clips FOLDER",
    "fp16": "edgecls convert SRC -o BUNDLE --force --fp16",
}


def runnable(card: ModelCard, backend: str) -> tuple[Variant, ...]:
    """All graphs that are for any engine or for this one, in the order of the card."""
    return tuple(one for one in card.variants if one.engine in ("any", backend))


def short_title(variant: Variant) -> str:
    """E.g. "fp32", "fp32, batch 1", "int8", "int8 IR" for one in OpenVINO's own format."""
    batch = "" if variant.batch is None else f", batch {variant.batch}"
    return f"{variant.precision}{'' if variant.weights is None else ' IR'}{batch}"


def competing(card: ModelCard, precision: str, backend: str) -> tuple[Variant, ...]:
    """The graphs of which a backend runs the fastest.

    Where a precision comes with a free and with a fixed batch size, the batch size is that of
    the first graph of the card.

    Args:
        card: Of the bundle.
        precision: Asked for; `auto` gives fp32 and the INT8 graphs that may replace it.
        backend: Name of the engine.

    Returns:
        Empty when there is none.
    """
    if precision == "auto":
        quicker = [one for one in competing(card, "int8", backend) if not distrust(one, backend)]
        return (*competing(card, "fp32", backend), *quicker)
    found = [one for one in runnable(card, backend) if one.precision == precision]
    batch = card.variants[0].batch
    return tuple([one for one in found if one.batch == batch] or found[:1])


def distrust(variant: Variant, backend: str) -> str:
    """Why an INT8 graph is not taken unless it is asked for; empty when it may be.

    It is in the bundle because it held the budget of its calibration. A budget held on noise says
    nothing about video, and one held on an engine nothing about another where it did not.
    """
    if variant.int8 is None:
        return "nothing is known of its calibration"
    if variant.int8.random_data:
        return "calibrated on noise"
    return f"missed its budget on {backend}" if backend in variant.int8.failed_on else ""


def check_asked(card: ModelCard, precision: str, *, backend: str | None) -> None:
    """Refuse a precision that the bundle lacks, or lacks for the backend that was named.

    Raises:
        UsageError: The bundle has no graph of that precision.
        BackendError: It has, but not for that backend.
    """
    if precision == "auto":
        return
    have = [one for one in card.variants if one.precision == precision]
    if not have:
        raise UsageError(
            f"{card.name} has no {precision} graph, only"
            f" {', '.join(variant.title for variant in card.variants)}.",
            hint=f"Make one: {_MAKE.get(precision, 'edgecls convert')}",
        )
    if backend is not None and not competing(card, precision, backend):
        engines = " or ".join(dict.fromkeys(one.engine for one in have))
        raise BackendError(
            f"Backend {backend} cannot run the {precision} graph of {card.name}, which was made for"
            f" {engines} alone.",
            hint=f"--backend {have[0].engine}, or one for every engine: edgecls calibrate BUNDLE"
            " --clips FOLDER --target onnx",
        )


def record_in_words(variant: Variant, backend: str) -> str:
    """How far to trust an INT8 graph; empty for others.

    E.g. "agrees with fp32 on 99.2 % of 128 clips, calibrated on 128".
    """
    if variant.precision != "int8":
        return ""
    reason, record = distrust(variant, backend), variant.int8
    if reason or record is None:
        return f"{reason}: its accuracy on video is unknown"
    share = f"{record.top1_agreement * 100:.1f}".removesuffix(".0")
    clips = f"{record.held_out} clips, calibrated on {record.samples}"
    return f"agrees with fp32 on {share} % of {clips}"
