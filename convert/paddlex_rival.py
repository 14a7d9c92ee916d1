"""PaddleX as a rival of `edgecls bench --stream`: its model folder, and its process."""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec
from pathlib import Path

from convert.locate import CONFIG_NAME
from models.card import ModelCard
from models.errors import UsageError
from runtime.stream_bench import PADDLEX, Entry

_CHILD = Path(__file__).with_name("paddlex_child.py")
_MODELS = {
    ("pp-tsm", 8): "PP-TSM-R50_8frames_uniform",
    ("pp-tsmv2", 8): "PP-TSMv2-LCNetV2_8frames_uniform",
    ("pp-tsmv2", 16): "PP-TSMv2-LCNetV2_16frames_uniform",
}
"""The video classifiers of PaddleX 3.7, by family and frames."""


def paddlex_python(asked: Path | None) -> Path | None:
    """The interpreter that has PaddleX: the one asked for, this one, or None.

    Raises:
        UsageError: There is no such file.
    """
    if asked is not None:
        if not asked.is_file():
            raise UsageError(
                f"{asked} is not the Python interpreter of an environment.",
                hint="--paddlex VENV/bin/python, after VENV/bin/pip install paddlex paddlepaddle",
            )
        return asked.absolute()  # not resolved: an environment is told by this very path
    return Path(sys.executable) if find_spec("paddlex") is not None else None


def paddlex_entry(card: ModelCard, program: Path, *, clip: Path, python: Path) -> Entry | None:
    """PaddleX on a file of one window; None for a model that PaddleX does not have.

    It takes files only, so every window that is asked about has to be one: the time includes
    that it is decoded and prepared, not that it was encoded.

    Args:
        card: Of the bundle.
        program: Saved program, alone in its folder; the folder gets an `inference.yml`.
        clip: A video as long as a window.
        python: Interpreter of an environment with PaddleX.
    """
    name = _MODELS.get((card.family, card.clip.frames))
    if name is None:
        return None
    _write_config(card, name, program.parent / CONFIG_NAME)
    return Entry(
        backend=PADDLEX,
        precision="fp32",
        way="whole",
        command=[str(python), "-I", str(_CHILD)],
        order={"name": name, "model": str(program.parent.resolve()), "clip": str(clip.resolve())},
        folder=program.parent,
        note="predict() on a file of one window, its decoding included",
    )


def _write_config(card: ModelCard, name: str, path: Path) -> None:
    """The preprocessing of the card, in the words of PaddleX. JSON is YAML."""
    clip = card.clip
    read = {"num_seg": clip.frames, "seg_len": 1, "sample_type": "uniform"}
    operators = [
        {"ReadVideo": read},
        {"Scale": {"short_size": clip.resize.short_side}},
        {"CenterCrop": {"target_size": clip.crop}},
        {"Image2Array": {"data_format": "tchw"}},
        {"NormalizeVideo": {"mean": list(clip.mean), "std": list(clip.std)}},
    ]
    content = {
        "Global": {"model_name": name},
        "PreProcess": {"transform_ops": operators},
        "PostProcess": {"Topk": {"topk": 5, "label_list": list(card.labels)}},
    }
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")
