"""Make a model repository: the graph, its configuration, and what a client needs to know."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from convert.bundle_writer import FolderKind, staged_folder
from convert.serving import ovms, triton
from convert.serving.guide import guide
from convert.serving.request import ExportRequest
from convert.serving.served_graph import ServedGraph, in_onnxruntime, in_openvino
from models.bundle import Bundle
from models.card import Variant
from models.errors import BackendError, OutputError, ParityError
from models.version import edgecls_version
from runtime.batches import in_fixed_batches
from runtime.comparison import relative_difference, tolerance
from runtime.graphs import check_asked, competing
from runtime.session import Tensor

FACTS = "export.json"
REPOSITORY = FolderKind(noun="model repository of edgecls export", marker=FACTS, placeholder="DIR")

MODELS = "models"
"""Folder that the server is given; what is beside it is for people and clients."""

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """The stored clips in the engine of the server, compared with the stored reference.

    Attributes:
        engine: What ran.
        clips: Number of clips.
        max_rel_diff: Largest difference of a logit, over the range of the reference.
        tolerance: Largest that passes.
    """

    engine: str
    clips: int
    max_rel_diff: float
    tolerance: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """A model repository that was made.

    Attributes:
        path: The folder.
        files: Names of its files, from the folder.
        graph: The graph in the engine of the server.
        checked: What it computes there.
    """

    path: Path
    files: tuple[str, ...]
    graph: ServedGraph
    checked: Checked


def export(bundle: Bundle, request: ExportRequest) -> Exported:
    """Make a model repository of a bundle, if the server's engine computes what it should.

    Args:
        bundle: The model.
        request: Which server, and how it is to run it.

    Raises:
        UsageError: The bundle has no such graph.
        BackendError: It has, but not for this server or accelerator, or the engine does not run it.
        ParityError: The engine computes something else.
        OutputError: The folder exists or cannot be written.
        BundleError: The bundle was altered.
        MissingExtra: The engine is not installed.
    """
    backend = "cpu" if request.server == "triton" else "openvino"
    check_asked(bundle.card, request.precision, backend=backend)
    variant = _quickest(competing(bundle.card, request.precision, backend), backend)
    if request.accelerator == "tensorrt":
        _refuse_unsigned(variant)
    _refuse_additions(request.output)
    source = bundle.graph_path(variant)
    graph = _loaded(source, bundle, request)
    checked = _checked(graph, bundle, variant, request)
    with staged_folder(request.output, REPOSITORY, force=request.force) as folder:
        _write_models(folder / MODELS, bundle, request, graph, variant)
        (folder / "README.md").write_text(
            guide(request, bundle.card, graph, checked_line(checked)), encoding="utf-8"
        )
        shutil.copyfile(Path(__file__).with_name("client.py"), folder / "client.py")
        files = tuple(sorted([*_files(folder), FACTS]))
        facts = _facts(bundle, request, graph, checked) | {"files": files}
        (folder / FACTS).write_text(_json(facts), encoding="utf-8")
    return Exported(path=request.output, files=files, graph=graph, checked=checked)


def checked_line(checked: Checked) -> str:
    """E.g. "3 stored clips on openvino 2026.4.1 CPU, at most 2e-07 of the logit range off ..."."""
    return (
        f"{checked.clips} stored clips on {checked.engine}, at most {checked.max_rel_diff:.1e} of"
        f" the logit range off (allowed {checked.tolerance:g})"
    )


def _quickest(variants: tuple[Variant, ...], backend: str) -> Variant:
    """Of several INT8 graphs, the one that was quickest when they were calibrated."""
    return max(variants, key=lambda one: one.int8.speedup.get(backend, 0.0) if one.int8 else 0.0)


def _refuse_unsigned(variant: Variant) -> None:
    """Refuse an INT8 graph that TensorRT would leave to others: its scales have no zero points.

    Raises:
        BackendError: The activations are unsigned.
    """
    if variant.int8 is not None and variant.int8.activations == "u8":
        raise BackendError(
            "TensorRT takes signed INT8 only, and the activations of this graph are unsigned.",
            hint="edgecls calibrate BUNDLE --clips FOLDER --target onnx --activations s8",
        )


def _loaded(path: Path, bundle: Bundle, request: ExportRequest) -> ServedGraph:
    if request.server == "triton":
        return in_onnxruntime(path)
    shape = ovms.ovms_shape(request, bundle.card)
    # The check runs on the CPU, which needs to be told what some devices leave no choice of.
    settings = ovms.plugin_config(request) | {"INFERENCE_PRECISION_HINT": "f32"}
    return in_openvino(path, shape, settings)


def _checked(
    graph: ServedGraph, bundle: Bundle, variant: Variant, request: ExportRequest
) -> Checked:
    """Run the stored clips, one at a time and as many at once as the server would.

    Raises:
        BackendError: The engine fails.
        ParityError: It computes something else.
    """
    clips, reference = bundle.probe()
    at_once = graph.batch or min(request.most_clips, len(clips))
    try:
        if graph.batch is not None:
            runs = [in_fixed_batches(clips, graph.batch, graph.run)]
        else:
            runs = [_in_turn(graph, clips, size) for size in sorted({1, at_once})]
    except Exception as error:  # engines raise whatever they like
        raise BackendError(
            f"{graph.engine} does not run the {variant.title} graph: {error}.",
            hint="Check the bundle: edgecls verify",
        ) from error
    worst = max(relative_difference(logits, reference) for logits in runs)
    allowed = tolerance(variant)
    if not worst <= allowed:  # NaN included
        raise ParityError(
            f"{graph.engine} computes logits of the {variant.title} graph that are {worst:.2g} of"
            f" their range off the reference; allowed is {allowed:.2g}.",
            hint="Check the bundle: edgecls verify",
        )
    return Checked(
        engine=graph.engine, clips=len(clips), max_rel_diff=float(worst), tolerance=allowed
    )


def _in_turn(graph: ServedGraph, clips: Tensor, size: int) -> Tensor:
    """Logits of all clips, so many at once."""
    parts = [graph.run(clips[at : at + size]) for at in range(0, len(clips), size)]
    return np.concatenate(parts)


def _write_models(
    folder: Path, bundle: Bundle, request: ExportRequest, graph: ServedGraph, variant: Variant
) -> None:
    """Write what the server is given."""
    model = folder / request.name
    version = model / "1"
    version.mkdir(parents=True)
    source = bundle.graph_path(variant)
    shutil.copyfile(source, version / f"model{source.suffix}")
    if variant.weights is not None:
        shutil.copyfile(bundle.checked(variant.weights), version / "model.bin")
    if request.server == "triton":
        config = triton.triton_config(request, bundle.card, graph)
        (model / triton.CONFIG).write_text(config, encoding="utf-8")
        labels = "".join(f"{label}\n" for label in bundle.card.labels)
        (model / triton.LABELS).write_text(labels, encoding="utf-8")
    else:
        config = ovms.ovms_config(request, bundle.card, fixed_batch=graph.batch is not None)
        (folder / ovms.CONFIG).write_text(config, encoding="utf-8")


def _facts(
    bundle: Bundle, request: ExportRequest, graph: ServedGraph, checked: Checked
) -> dict[str, object]:
    """What a client has to know, and the card."""
    return {
        "schema_version": SCHEMA_VERSION,
        "made_by": f"edgecls {edgecls_version()}",
        "server": request.server,
        "model": request.name,
        "precision": request.precision,
        "input": graph.input,
        "output": graph.output,
        "batch": graph.batch,
        "max_batch": graph.batch or request.most_clips,
        "checked": {
            "engine": checked.engine,
            "clips": checked.clips,
            "max_rel_diff": checked.max_rel_diff,
            "tolerance": checked.tolerance,
        },
        "card": json.loads(bundle.card.to_json()),
    }


def _refuse_additions(folder: Path) -> None:
    """Refuse to replace a repository that holds more than an export put there.

    Raises:
        OutputError: There are other files, e.g. another model.
    """
    try:
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        made = set(facts["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return  # no repository of ours: whether it may be replaced is decided when it is written
    added = sorted(set(_files(folder)) - made)
    if added:
        more = f" and {len(added) - 1} more" if len(added) > 1 else ""
        raise OutputError(
            f"{folder} holds {added[0]}{more}, which no export made; it is left alone.",
            hint="Choose another -o, and move the model over",
        )


def _files(folder: Path) -> list[str]:
    """Files below a folder, from the folder."""
    found = (path for path in folder.rglob("*") if not path.is_dir())
    return [path.relative_to(folder).as_posix() for path in found]


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
