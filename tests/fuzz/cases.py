"""One case: which files there are, what is done with them, and what must not come of it."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Literal

import numpy as np

from tests.fuzz.byte_edits import edit_bytes
from tests.fuzz.message_edits import edit_message
from tests.fuzz.onnx_edits import edit_onnx
from tests.fuzz.pickle_edits import edit_pickle
from tests.fuzz.probe_edits import edit_probe
from tests.fuzz.seeds import FRAMES, SIZE, Seeds
from tests.fuzz.tree_edits import edit_tree, json_text
from tests.fuzz.weights_edits import edit_pdiparams, edit_safetensors
from tests.fuzz.xml_edits import edit_xml
from tests.fuzz.yaml_edits import edit_yaml
from tests.onnx_models import FRAMES as ONNX_FRAMES
from tests.onnx_models import SIZE as ONNX_SIZE

OUTSIDE = "outside.bin"
"""File beside the source's folder that no model may read; as large as any weight."""


@dataclass(frozen=True, slots=True, order=True)
class Case:
    """A case, from which everything follows.

    Attributes:
        kind: What is damaged, one of `KINDS`.
        run: Number of the run that it is part of.
        index: Its number in the run.
    """

    kind: str
    run: int
    index: int

    def __str__(self) -> str:
        return f"{self.kind}/{self.run}/{self.index}"

    @classmethod
    def parse(cls, text: str) -> Case:
        """Inverse of `str`."""
        kind, run, index = text.split("/")
        return cls(kind, int(run), int(index))


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """The files of a case.

    Attributes:
        path: What the command is given.
        flags: Further fields of the `ConvertRequest`.
        refused: Why nothing may come of it; empty when anything may.
    """

    path: Path
    flags: dict[str, Any] = field(default_factory=dict)
    refused: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """What the files of a case are made with.

    Attributes:
        rng: Decides everything.
        seeds: Valid files.
        folder: Where the files go; exists.
        canary: File that hostile content tries to make.
    """

    rng: Random
    seeds: Seeds
    folder: Path
    canary: Path

    def copy(self, kind: str) -> Path:
        """A copy of one of the valid files or folders, to be damaged."""
        source = self.rng.choice(self.seeds.files(kind))
        target = self.folder / source.name
        return Path(
            shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
        )

    def other(self, kind: str) -> bytes:
        """Some other valid file."""
        source = self.rng.choice(self.seeds.files(kind))
        return (source if source.is_file() else next(iter(sorted(source.iterdir())))).read_bytes()


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What is damaged.

    Attributes:
        share: Of all cases, relative to the other kinds.
        process: Who reads it: the child process of a conversion, or the user's own.
        write: Makes the files.
        needs_paddle: Its seeds or its reading need Paddle.
    """

    share: int
    process: Literal["conversion", "user"]
    write: Callable[[Workshop], Written]
    needs_paddle: bool = True


def write_case(case: Case, seeds: Seeds, folder: Path) -> Written:
    """Make the files of a case.

    Args:
        case: Which.
        seeds: Valid files.
        folder: Empty; gets a folder `source` with the files, and `OUTSIDE` beside it.
    """
    source = folder / "source"
    source.mkdir()
    (folder / OUTSIDE).write_bytes(np.linspace(-1, 1, 1 << 16, dtype=np.float32).tobytes())
    shop = Workshop(rng=Random(str(case)), seeds=seeds, folder=source, canary=folder / "canary")
    return KINDS[case.kind].write(shop)


_FLAGS = {"frames": FRAMES, "size": SIZE}


def _pdparams(shop: Workshop) -> Written:
    path = shop.copy("pdparams")
    damaged = edit_pickle(
        shop.rng, path.read_bytes(), other=shop.other("pdparams"), canary=shop.canary
    )
    path.write_bytes(damaged)
    return Written(path=path, flags={**_FLAGS, "part": shop.rng.choice(("auto",) * 4 + ("ema",))})


def _safetensors(shop: Workshop) -> Written:
    path = shop.copy("safetensors")
    path.write_bytes(edit_safetensors(shop.rng, path.read_bytes(), other=shop.other("pdparams")))
    return Written(path=path, flags=_FLAGS)


def _pdiparams(shop: Workshop) -> Written:
    folder = shop.copy(shop.rng.choice(("pir", "pdmodel")))
    path = folder / "inference.pdiparams"
    path.write_bytes(edit_pdiparams(shop.rng, path.read_bytes(), other=shop.other("pdparams")))
    return Written(path=folder)


def _program(shop: Workshop) -> Written:
    folder = shop.copy("pir")
    path = folder / "inference.json"
    if shop.rng.random() < 0.3:
        path.write_bytes(edit_bytes(shop.rng, path.read_bytes(), other=b'{"a": [1, 2, 3e9]}' * 20))
    else:
        tree = edit_tree(shop.rng, json.loads(path.read_text()))
        path.write_bytes(json_text(shop.rng, tree))
    return Written(path=folder)


def _pdmodel(shop: Workshop) -> Written:
    folder = shop.copy("pdmodel")
    path = folder / "inference.pdmodel"
    if shop.rng.random() < 0.4:
        path.write_bytes(edit_bytes(shop.rng, path.read_bytes(), other=shop.other("onnx")))
    else:
        from paddle.base.proto import framework_pb2

        program = framework_pb2.ProgramDesc()
        program.ParseFromString(path.read_bytes())
        edit_message(shop.rng, program)
        path.write_bytes(program.SerializePartialToString())
    return Written(path=folder)


def _config(shop: Workshop) -> Written:
    """Most have weights that are refused, which takes a twentieth of the time."""
    if shop.rng.random() < 0.1:
        folder = shop.copy("pir")
        (folder / "inference.yml").write_bytes(edit_yaml(shop.rng, shop.canary))
        return Written(path=folder)
    path = shop.folder / "v2.pdparams"
    whole = (shop.seeds.folder / "pdparams" / "v2.pdparams").read_bytes()
    path.write_bytes(whole if shop.rng.random() < 0.2 else whole[:-1])
    (shop.folder / "inference.yml").write_bytes(edit_yaml(shop.rng, shop.canary))
    return Written(path=path)


def _onnx(shop: Workshop) -> Written:
    folder = shop.copy("onnx")
    path = folder / "model.onnx"
    layout = folder.name.partition("-")[2]
    flags: dict[str, Any] = {"frames": ONNX_FRAMES, "layout": layout}
    if shop.rng.random() < 0.2:
        flags |= {"size": ONNX_SIZE, "fp16": True, "static_batch": 2}
    weights = folder / "weights.bin"
    if weights.exists() and shop.rng.random() < 0.3:
        weights.write_bytes(edit_bytes(shop.rng, weights.read_bytes(), other=b""))
        return Written(path=path, flags=flags)
    edited = edit_onnx(
        shop.rng,
        path.read_bytes(),
        other=shop.other("onnx"),
        outside=shop.folder.parent / OUTSIDE,
        endless=True,
    )
    path.write_bytes(edited.content)
    return Written(path=path, flags=flags, refused=edited.refused)


def _card(shop: Workshop) -> Written:
    folder = shop.copy("bundle")
    path = folder / "card.json"
    if shop.rng.random() < 0.25:
        path.write_bytes(edit_bytes(shop.rng, path.read_bytes(), other=b'{"name": 1}' * 9))
    else:
        tree = edit_tree(shop.rng, json.loads(path.read_text()))
        path.write_bytes(json_text(shop.rng, tree))
    return Written(path=folder)


def _graph(shop: Workshop) -> Written:
    """The card is made to match: the attacker wrote the whole bundle.

    That a graph computes for ever is left to its user, as with any program that is run.
    """
    folder = shop.copy("bundle")
    path = folder / "model.onnx"
    edited = edit_onnx(
        shop.rng,
        path.read_bytes(),
        other=shop.other("onnx"),
        outside=shop.folder.parent / OUTSIDE,
        endless=False,
    )
    path.write_bytes(edited.content)
    _match(folder, "model.onnx", shop.rng)
    return Written(path=folder, refused=edited.refused)


def _stage(shop: Workshop) -> Written:
    """One graph of a model in stages; the card is made to match."""
    folder = shop.copy("staged")
    path = shop.rng.choice(sorted(folder.glob("stream.*.onnx")))
    edited = edit_onnx(
        shop.rng,
        _without_spare_weights(path),
        other=shop.other("onnx"),
        outside=shop.folder.parent / OUTSIDE,
        endless=False,
    )
    path.write_bytes(edited.content)
    _match(folder, path.name, shop.rng)
    return Written(path=folder, refused=edited.refused)


def _without_spare_weights(path: Path) -> bytes:
    """An ONNX file in which every weight is read: engines never look at others."""
    import onnx

    model = onnx.load(str(path))
    read = {name for node in model.graph.node for name in node.input}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in read]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    return bytes(model.SerializeToString())


def _probe(shop: Workshop) -> Written:
    folder = shop.copy("bundle")
    path = folder / "probe.npz"
    damaged = edit_probe(shop.rng, path.read_bytes(), other=shop.other("onnx"), canary=shop.canary)
    path.write_bytes(damaged)
    _match(folder, "probe.npz", shop.rng)
    return Written(path=folder)


def _ir(shop: Workshop) -> Written:
    """The graph in OpenVINO's own format, or its weights."""
    folder = shop.copy("ir")
    name = shop.rng.choice(("model.int8.xml",) * 4 + ("model.int8.bin",))
    content = (folder / name).read_bytes()
    if name.endswith("xml") and shop.rng.random() < 0.7:
        content = edit_xml(shop.rng, content)
    else:
        content = edit_bytes(shop.rng, content, other=shop.other("onnx"))
    (folder / name).write_bytes(content)
    _match(folder, name, shop.rng)
    return Written(path=folder)


def _match(folder: Path, name: str, rng: Random) -> None:
    """Let the card state the digest of a damaged file; nearly always."""
    card = json.loads((folder / "card.json").read_text())
    content = (folder / name).read_bytes()
    graphs = card["variants"]
    weights = [graph["weights"] for graph in graphs if graph.get("weights")]
    stages = [stage for graph in graphs for stage in graph.get("stages", ())]
    entry = next(one for one in (card["probe"], *graphs, *weights, *stages) if one["file"] == name)
    if rng.random() < 0.95:
        entry |= {"sha256": hashlib.sha256(content).hexdigest(), "size_bytes": len(content)}
    if rng.random() < 0.1:
        card["probe"]["repeat"] = rng.choice((1, 2, 256))
    (folder / "card.json").write_text(json.dumps(card))


KINDS: dict[str, Kind] = {
    "pdparams": Kind(share=30, process="conversion", write=_pdparams),
    "safetensors": Kind(share=6, process="conversion", write=_safetensors),
    "pdiparams": Kind(share=24, process="conversion", write=_pdiparams),
    "inference.json": Kind(share=24, process="conversion", write=_program),
    "pdmodel": Kind(share=20, process="conversion", write=_pdmodel),
    "inference.yml": Kind(share=24, process="conversion", write=_config),
    "onnx": Kind(share=36, process="conversion", write=_onnx, needs_paddle=False),
    "card.json": Kind(share=20, process="user", write=_card, needs_paddle=False),
    "graph": Kind(share=30, process="user", write=_graph, needs_paddle=False),
    "ir": Kind(share=16, process="user", write=_ir, needs_paddle=False),
    "stage": Kind(share=20, process="user", write=_stage, needs_paddle=False),
    "probe": Kind(share=10, process="user", write=_probe, needs_paddle=False),
}


def cases_of_run(kinds: list[str], *, run: int, count: int) -> list[Case]:
    """The cases of a run; the kinds take turns by their shares."""
    turns = [
        ((index + 0.5) / KINDS[kind].share, Case(kind, run, index))
        for kind in kinds
        for index in range(count)
    ]
    return [case for _, case in sorted(turns)[:count]]
