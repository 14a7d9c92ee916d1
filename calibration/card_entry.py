"""What the card of the bundle says of a new INT8 graph."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from calibration.bundle_change import NewGraph
from calibration.clip_set import ClipSet
from calibration.layers import Layers
from calibration.openvino_target import Entrant
from calibration.report import TargetReport
from calibration.stages import Staged
from models.bundle import Bundle
from models.card import Int8, Variant, VariantCheck
from models.errors import BackendError
from runtime.backends import BACKENDS
from runtime.comparison import both_ways, relative_difference
from runtime.decode import probabilities
from runtime.session import SessionOptions

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class CardEntries:
    """Makes the entries of the graphs of one calibration.

    Attributes:
        bundle: That they are added to.
        clips: Of the calibration.
        layers: Of the fp32 graph.
        random_data: The clips are noise.
    """

    bundle: Bundle
    clips: ClipSet
    layers: Layers
    random_data: bool

    def of(
        self,
        entrant: Entrant,
        report: TargetReport,
        *,
        failed_on: tuple[str, ...],
        staged: Staged | None = None,
    ) -> NewGraph:
        """The entry of a graph; the names of its files are filled in later.

        Args:
            entrant: The graph.
            report: Of the same graph.
            failed_on: Backends on which it misses its budget, although it runs there.
            staged: Its stage graphs, if it has any.

        Raises:
            BundleError: The stored clips of the bundle are altered.
        """
        passed, gate = entrant.passed, entrant.passed.gate
        weighted = set(self.layers.weighted)
        engine: Literal["any", "openvino"] = "any" if report.target == "onnx" else "openvino"
        return NewGraph(
            path=passed.path,
            weights=weights_of(passed.path),
            stages=() if staged is None else staged.paths,
            variant=Variant(
                file="filled_in",
                sha256=report.sha256,
                size_bytes=0,
                precision="int8",
                batch=self.bundle.card.variants[0].batch,
                check=probe_check(self.bundle, passed.path, engine=engine),
                engine=engine,
                stages=() if staged is None else staged.stages,
                int8=Int8(
                    writer=entrant.writer,
                    method=passed.recipe.method,
                    granularity=passed.recipe.granularity,
                    activations=passed.recipe.activations,
                    reduced_range=passed.recipe.reduce_range,
                    fp32_layers=tuple(n for n in passed.recipe.fp32_layers if n in weighted),
                    samples=len(self.clips.calibration),
                    random_data=self.random_data,
                    held_out=len(self.clips.held_out),
                    top1_agreement=gate.top1_agreement,
                    accuracy_drop_points=None if gate.fp32_top1 is None else gate.lost_points,
                    speedup={one.backend: round(one.ratio, 3) for one in report.races},
                    failed_on=failed_on,
                    staged_on=() if staged is None else staged.backends,
                ),
            ),
        )


def probe_check(bundle: Bundle, path: Path, *, engine: str) -> VariantCheck | None:
    """Run the stored clips as `edgecls verify` does, and keep the worst over the engines here.

    Args:
        bundle: Holds the clips and the logits of the reference.
        path: The graph.
        engine: `any`, or the only backend that runs it.

    Returns:
        None when no engine runs it here, or the difference is no finite number.

    Raises:
        BundleError: The stored clips are altered.
    """
    clips, reference = bundle.probe()
    twice = np.concatenate([reference, reference])
    output = bundle.card.output
    found: list[tuple[float, float, float]] = []
    for backend in BACKENDS:
        if engine not in ("any", backend.name) or not backend.probe().ok:
            continue
        try:
            with backend.open(path, bundle.card, SessionOptions()) as session:
                logits = both_ways(session, clips, reference)
        except BackendError as error:
            logger.info("no check of %s on %s: %s", path.name, backend.name, error.message)
            continue
        shares = np.abs(probabilities(logits, output) - probabilities(twice, output))
        same = logits.argmax(axis=1) == twice.argmax(axis=1)
        found.append((relative_difference(logits, twice), float(shares.max()), float(same.mean())))
    if not found or not all(math.isfinite(figure) for row in found for figure in row):
        return None
    differences, shares_off, agreements = zip(*found, strict=True)
    return VariantCheck(
        clips=len(clips),
        max_rel_diff=max(differences),
        max_probability_diff=max(shares_off),
        top1_agreement=min(agreements),
    )


def weights_of(path: Path) -> Path | None:
    """The file beside OpenVINO's IR that holds its weights; None for other graphs."""
    weights = path.with_suffix(".bin")
    return weights if path.suffix == ".xml" and weights.is_file() else None
