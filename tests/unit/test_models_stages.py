from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from models.bundle import Bundle
from models.card import Variant, card_from_json, sha256_of
from models.errors import BundleError
from models.stages import Temporal
from tests.cards import a_card, variant

DIGEST = "a" * 64
MAPS = {"name": "maps", "dtype": "float32", "shape": [4, 7, 7]}
VECTORS = {"name": "vectors", "dtype": "uint8", "shape": [12]}


def stage(kind: str, number: int, **changes: Any) -> dict[str, Any]:
    file = {"file": f"stream.{number}.onnx", "sha256": DIGEST, "size_bytes": 9}
    return {**file, "kind": kind, "macs": 5, **changes}


def chain() -> list[dict[str, Any]]:
    return [
        stage("frame", 0, outputs=[MAPS]),
        stage("shifted", 1, offsets=[-1, 0, 1], inputs=[MAPS], outputs=[VECTORS]),
        stage("window", 2, inputs=[VECTORS]),
    ]


def test_a_card_keeps_its_stages() -> None:
    card = a_card(
        variants=[variant(stages=chain())],
        temporal={
            "mixing": [{"node": "Concat_0", "kind": "shift", "reach": 1, "macs_before": 10}],
            "macs_per_clip": 100,
            "macs_per_step": 25,
            "reason": "A shift.",
        },
    )
    again = card_from_json(card.to_json(), origin="card.json")
    assert again == card
    assert again.temporal is not None
    assert again.temporal.reused_share == 0.75
    assert [one.title for one in again.variants[0].stages] == [
        "frame",
        "shifted (-1, 0, +1)",
        "window",
    ]
    assert [one.row_bytes for one in again.variants[0].stages] == [784, 12, 0]
    assert [file.file for file in again.variants[0].files] == [
        "model.onnx",
        "stream.0.onnx",
        "stream.1.onnx",
        "stream.2.onnx",
    ]


def test_a_card_without_stages_is_one_with_none() -> None:
    card = a_card()
    assert card.temporal is None
    assert card.variants[0].stages == ()


def test_nothing_to_compute_is_nothing_reused() -> None:
    assert Temporal(mixing=(), macs_per_clip=0, macs_per_step=0, reason="").reused_share == 0


@pytest.mark.parametrize(
    ("stages", "complaint"),
    [
        (chain()[:2], "frame, shifted"),
        (chain()[1:], "frame, shifted"),
        ([chain()[0], chain()[2]], "does not read"),
        ([chain()[0], {**chain()[1], "file": "stream.0.onnx"}, chain()[2]], "files of their own"),
        ([stage("frame", 0)], "0 outputs"),
        ([stage("frame", 0, outputs=[MAPS], offsets=[0])], "offsets"),
        ([stage("shifted", 0, inputs=[MAPS], outputs=[VECTORS])], "offsets"),
        ([stage("shifted", 0, inputs=[MAPS], outputs=[VECTORS], offsets=[1, 0])], "offsets"),
        ([stage("window", 0, inputs=[MAPS, MAPS])], "names of their own"),
        ([stage("window", 0, inputs=[{**MAPS, "name": "rows"}])], "names of their own"),
        ([stage("frame", 0, outputs=[{**MAPS, "shape": [1 << 40]}])], "are kept"),
    ],
)
def test_stages_that_are_no_chain_are_refused(stages: list[dict[str, Any]], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        Variant.model_validate(variant(stages=stages))


def test_paths_of_stages_are_checked(tmp_path: Path) -> None:
    entries = []
    for one in chain():
        path = tmp_path / one["file"]
        path.write_bytes(one["file"].encode())
        size_bytes = path.stat().st_size
        entries.append({**one, "sha256": sha256_of(path), "size_bytes": size_bytes})
    bundle = Bundle(path=tmp_path, card=a_card(variants=[variant(stages=entries)]))
    paths = bundle.stage_paths(bundle.card.variants[0])
    assert [path.name for path in paths] == ["stream.0.onnx", "stream.1.onnx", "stream.2.onnx"]
    (tmp_path / "stream.1.onnx").write_bytes(b"something")
    with pytest.raises(BundleError, match=r"stream\.1\.onnx"):
        bundle.stage_paths(bundle.card.variants[0])


def test_a_card_with_wrong_stages_is_not_valid() -> None:
    text = a_card(variants=[variant(stages=chain())]).to_json()
    with pytest.raises(BundleError, match="0 outputs"):
        card_from_json(text.replace('"kind": "window"', '"kind": "shifted"'), origin="card.json")
