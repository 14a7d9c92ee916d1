"""Damaged and hostile files of streams: each is read, or is an error that names the file."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml

from edge_cli.stream_settings import StreamSettings
from edge_cli.streams_file import streams_asked
from models.errors import UsageError
from tests.fuzz.byte_edits import edit_bytes
from tests.fuzz.tree_edits import edit_tree
from tests.fuzz.yaml_edits import edit_yaml

TREE: dict[str, Any] = {
    "defaults": {"window": 2.5, "smooth": "ema", "on": 0.6, "webhook": "http://127.0.0.1/x"},
    "streams": [
        {
            "source": "rtsp://guard:s3cret@127.0.0.1/door",
            "name": "door",
            "on": [0.7, {"fall": 0.3}],
            "min-duration": {"fall": 1},
            "output": ["jsonl:door.jsonl", "csv:door.csv"],
            "record-events": "films",
            "pre-roll": 2,
            "camera-size": "640x480",
        },
        {"source": "camera0", "top": 3, "threshold": 0.2, "loop": True, "until": "fall"},
    ],
}
LABELS = ("still", "fall", "run")

TOML = b"""[defaults]
window = 2.5
on = 0.6
[[streams]]
source = "camera0"
on = {fall = 0.3}
output = ["jsonl:door.jsonl"]
[[streams]]
source = "demo"
top = 3
"""


def content_of(rng: Random, canary: Path) -> tuple[str, bytes]:
    """A file that is wrong in some way, and the ending of its name."""
    choice = rng.random()
    if choice < 0.5:
        tree = edit_tree(rng, TREE)
        try:
            text: str = yaml.safe_dump(tree, allow_unicode=True)
        except RecursionError:
            text = "[" * 3000
        return ".yml", text.encode("utf-8", "surrogatepass")
    if choice < 0.65:
        return ".yml", edit_bytes(rng, yaml.safe_dump(TREE).encode(), other=b"- {a: &x [*x]}\n" * 9)
    if choice < 0.85:
        return ".yml", edit_yaml(rng, canary)
    return ".toml", edit_bytes(rng, TOML, other=b"[[a]]\nb = {c = 1}\n" * 9)


@pytest.mark.parametrize("run", range(2))
def test_every_file_is_read_or_refused(tmp_path: Path, run: int) -> None:
    canary = tmp_path / "canary"
    refused: list[str] = []
    for number in range(80):
        suffix, content = content_of(Random(f"{run} {number}"), canary)
        path = tmp_path / f"streams{suffix}"
        path.write_bytes(content)
        try:
            for stream in streams_asked(path, StreamSettings.given()):
                stream.check_classes(LABELS)
        except UsageError as error:
            refused.append(f"{error.message} {error.hint}")
    assert len(refused) > 20
    assert all(str(tmp_path / "streams.") in message for message in refused)
    assert not any("s3cret" in message for message in refused)
    assert not canary.exists()
