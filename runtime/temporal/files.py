"""Stage graphs as files of a bundle."""

from __future__ import annotations

from pathlib import Path

from models.bundle_file import BundleFile
from models.stages import Stage
from runtime.temporal.cut import Cut


def write_stages(cut: Cut, folder: Path, stem: str) -> tuple[Stage, ...]:
    """Write the stages of a graph; equal graphs give equal bytes.

    Args:
        cut: What became of the graph.
        folder: Where the files go.
        stem: What their names begin with: of `stream` come `stream.frame.onnx`,
            `stream.shift1.onnx`, `stream.window.onnx`.

    Returns:
        Their entries for the card.
    """
    stages = []
    for place, stage in enumerate(cut.stages):
        number = str(place) if stage.kind == "shifted" else ""
        path = folder / f"{stem}.{stage.name}{number}.onnx"
        path.write_bytes(stage.model.SerializeToString(deterministic=True))
        stages.append(
            Stage(
                kind=stage.kind,
                offsets=stage.offsets,
                inputs=stage.inputs,
                outputs=stage.outputs,
                macs=stage.macs,
                **BundleFile.of(path).model_dump(),
            )
        )
    return tuple(stages)
