"""Probe files and cards that lie: always a `BundleError`, never another exception."""

from __future__ import annotations

import io
import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from models.bundle import MAX_CARD_BYTES, MAX_PROBE_BYTES, Bundle, open_bundle
from models.card import CARD_NAME, BundleFile, printable
from models.errors import BundleError
from tests.tiny_models import write_tiny_bundle

SEEDS, LOGITS = np.zeros((3, 4, 3, 4, 4), np.float32), np.ones((3, 4), np.float32)


def npy(array: NDArray[np.generic]) -> bytes:
    target = io.BytesIO()
    np.save(target, array)
    return target.getvalue()


def with_probe(folder: Path, members: dict[str, bytes], *, method: int = 0) -> Bundle:
    """A bundle whose card vouches for a probe file of these members."""
    write_tiny_bundle(folder)
    path = folder / "probe.npz"
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return vouched(folder)


def vouched(folder: Path) -> Bundle:
    card = json.loads((folder / CARD_NAME).read_text())
    card["probe"].update(BundleFile.of(folder / "probe.npz").model_dump())
    (folder / CARD_NAME).write_text(json.dumps(card))
    return open_bundle(folder)


def test_an_honest_probe(tmp_path: Path) -> None:
    bundle = with_probe(tmp_path, {"seeds.npy": npy(SEEDS), "logits.npy": npy(LOGITS)})
    clips, logits = bundle.probe()
    assert clips.shape == (3, 4, 3, 16, 16)
    assert (logits == LOGITS).all()


BOMB = (
    b"\x93NUMPY\x01\x00\x46\x00{'descr': '|u1', 'fortran_order': False, 'shape': (70000000,), }   "
    b"\n" + bytes(70_000_000)
)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"seeds.npy": npy(SEEDS)}, "no item named 'logits.npy'"),
        ({"seeds.npy": b"", "logits.npy": npy(LOGITS)}, "not a probe file"),
        (
            {"seeds.npy": npy(SEEDS), "logits.npy": b"cos\nsystem\n(S'true'\ntR."},
            "not a probe file",
        ),
        (
            {"seeds.npy": npy(SEEDS[..., 0]), "logits.npy": npy(LOGITS)},
            r"holds clips \(3, 4, 12, 16\)",
        ),
        ({"seeds.npy": npy(SEEDS[:0]), "logits.npy": npy(LOGITS[:0])}, "with 1 to 16 clips"),
        ({"seeds.npy": npy(SEEDS[0, 0, 0, 0, 0]), "logits.npy": npy(LOGITS)}, r"holds clips \(\)"),
        (
            {"seeds.npy": npy(np.zeros((17, 4, 3, 4, 4), np.float32)), "logits.npy": npy(LOGITS)},
            "with 1 to 16 clips",
        ),
        ({"seeds.npy": npy(SEEDS), "logits.npy": npy(LOGITS.T)}, r"holds logits \(4, 3\)"),
        ({"seeds.npy": npy(SEEDS), "logits.npy": npy(LOGITS.astype(int))}, "array of int64"),
        (
            {"seeds.npy": npy(SEEDS), "logits.npy": npy(LOGITS * np.float32(np.nan))},
            "NaN or infinite",
        ),
        ({"seeds.npy": npy(SEEDS + np.inf), "logits.npy": npy(LOGITS)}, "NaN or infinite"),
    ],
)
def test_a_probe_that_is_none(tmp_path: Path, members: dict[str, bytes], message: str) -> None:
    bundle = with_probe(tmp_path, members)
    with pytest.raises(BundleError, match=message):
        bundle.probe()


def test_a_small_file_cannot_become_a_large_array(tmp_path: Path) -> None:
    bomb = {"seeds.npy": BOMB, "logits.npy": npy(LOGITS)}
    bundle = with_probe(tmp_path, bomb, method=zipfile.ZIP_DEFLATED)
    assert bundle.card.probe.size_bytes < MAX_PROBE_BYTES / 500
    with pytest.raises(BundleError, match=f"at most {MAX_PROBE_BYTES} are read"):
        bundle.probe()


def test_a_large_factor_is_checked_before_it_is_used(tmp_path: Path) -> None:
    with_probe(tmp_path, {"seeds.npy": npy(SEEDS), "logits.npy": npy(LOGITS)})
    card = json.loads((tmp_path / CARD_NAME).read_text())
    card["probe"]["repeat"] = 256
    (tmp_path / CARD_NAME).write_text(json.dumps(card))
    with pytest.raises(BundleError, match=r"holds clips \(3, 4, 3, 1024, 1024\)"):
        open_bundle(tmp_path).probe()


def test_every_damaged_byte_of_the_archives_directory(tmp_path: Path) -> None:
    honest = with_probe(tmp_path, {"seeds.npy": npy(SEEDS), "logits.npy": npy(LOGITS)})
    expected = honest.probe()[0]
    path = tmp_path / "probe.npz"
    content = path.read_bytes()
    for at in range(content.index(b"PK\x01\x02"), len(content)):
        path.write_bytes(content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :])
        try:
            clips, _ = vouched(tmp_path).probe()
        except BundleError:
            continue
        assert (clips == expected).all()


@pytest.mark.parametrize("field", ["name", "family", "labels"])
def test_a_card_cannot_steer_the_terminal(tmp_path: Path, field: str) -> None:
    write_tiny_bundle(tmp_path)
    card = json.loads((tmp_path / CARD_NAME).read_text())
    evil = "x\x1b]0;owned\x07"
    card[field] = [evil, "b", "c", "d"] if field == "labels" else evil
    (tmp_path / CARD_NAME).write_text(json.dumps(card))
    with pytest.raises(BundleError, match=field):
        open_bundle(tmp_path)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("PP-TSM, 8 frames", "PP-TSM, 8 frames"),
        ("日本語 ü", "日本語 ü"),
        ("a\x1b[2J\tb\n", "a [2J b"),
        ("\udcff.pdparams", ".pdparams"),
        ("\u202egnp.exe", "gnp.exe"),
        (" \n", "unnamed"),
        ("x" * 300, "x" * 200),
    ],
)
def test_printable(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize("kind", ["large", "folder", "pipe"])
def test_a_card_that_is_no_small_file(tmp_path: Path, kind: str) -> None:
    path = tmp_path / CARD_NAME
    if kind == "large":
        path.touch()
        os.truncate(path, MAX_CARD_BYTES + 1)
    elif kind == "folder":
        path.mkdir()
    else:
        if not hasattr(os, "mkfifo"):
            pytest.skip("this system has no named pipes")
        os.mkfifo(path)
    with pytest.raises(BundleError, match="not a file of at most 16 MiB"):
        open_bundle(tmp_path)
