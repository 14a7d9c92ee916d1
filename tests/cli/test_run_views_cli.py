"""`edgecls run` takes the frames and crops that the card asks for, in as many views as asked for.

The expected result is computed here, step by step, from the decoded pictures.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from models.bundle import Bundle
from models.card import CARD_NAME
from models.spec import ClipSpec
from runtime.decode import softmax
from runtime.records import Picture
from runtime.sources import open_source
from tests.cli.command import NEEDS_ENGINES, edgecls, failing
from tests.tiny_models import tiny_network, write_tiny_bundle
from tests.video_files import write_video

pytestmark = NEEDS_ENGINES

FRAMES, WIDTH, HEIGHT = 75, 98, 60
T, SIDE = 4, 16
DEFAULT: dict[str, Any] = {
    "segment_frame": "centre",
    "crop_offset": "round",
    "views": 1,
    "resize": {"policy": "keep_aspect", "short_side": 19, "library": "opencv"},
}
NEAREST = {**DEFAULT["resize"], "short_side": 20, "long_side": "nearest"}


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Blurred noise that moves on, the same in no two places."""
    rng = np.random.default_rng(11)
    canvas = cv2.GaussianBlur(rng.integers(0, 256, (400, 400, 3)).astype(np.float32), (0, 0), 3)
    canvas = np.clip((canvas - 127) * 6 + 127, 0, 255).astype(np.uint8)
    pictures = [
        np.array(canvas[3 * i : 3 * i + HEIGHT, 4 * i : 4 * i + WIDTH]) for i in range(FRAMES)
    ]
    return write_video(tmp_path_factory.mktemp("video") / "noise.mp4", pictures)


@pytest.fixture(scope="module")
def pictures(video: Path) -> list[Picture]:
    with open_source(str(video)) as source:
        found = [frame.picture for frame in source]
    assert len(found) == FRAMES
    return found


def bundle_with(folder: Path, clip: dict[str, Any]) -> Bundle:
    bundle = write_tiny_bundle(folder / "tiny")
    spec = ClipSpec.model_validate({**bundle.card.clip.model_dump(), **clip})
    card = bundle.card.model_copy(update={"clip": spec})
    (bundle.path / CARD_NAME).write_text(card.to_json(), encoding="utf-8")
    return bundle


def frames_taken(clip: dict[str, Any], available: int) -> list[int]:
    length = available / T
    if clip["segment_frame"] == "left":
        return [math.floor(length * (i + 0.5)) for i in range(T)]
    return [i * int(length) + (int(length) - 1) // 2 for i in range(T)]


def crops(clip: dict[str, Any], views: int, width: int) -> list[tuple[int, int, bool]]:
    """Left, top, mirrored."""
    x, y = width - SIDE, clip["resize"]["short_side"] - SIDE
    if views == 1 and clip["crop_offset"] == "down":
        return [(math.floor(x / 2), math.floor(y / 2), False)]
    if views == 1:
        return [(round(x / 2), round(y / 2), False)]
    lefts, tops = (0, x // 4 * 2, x // 4 * 4), (0, y // 4 * 2, y // 4 * 4)
    if views == 3:
        return [(left, tops[1], False) for left in lefts]
    places = [(lefts[i], tops[j]) for i in (0, 2) for j in (0, 2)] + [(lefts[1], tops[1])]
    return [(*place, mirrored) for place in places for mirrored in (False, True)]


def expected(
    pictures: list[Picture], clip: dict[str, Any], views: int, chosen: Iterable[list[int]]
) -> list[float]:
    """Probabilities, best first."""
    short = clip["resize"]["short_side"]
    exact = WIDTH * short / HEIGHT
    width = round(exact) if clip["resize"].get("long_side") == "nearest" else int(exact)
    small = [cv2.resize(one, (width, short), interpolation=cv2.INTER_LINEAR) for one in pictures]
    logits = []
    for positions in chosen:
        for left, top, mirrored in crops(clip, views, width):
            cut = np.stack([small[i][top : top + SIDE, left : left + SIDE] for i in positions])
            pixels = (cut[:, :, ::-1] if mirrored else cut) / 255
            normalised = (pixels - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
            tensor = normalised.transpose(0, 3, 1, 2)[None].astype(np.float32)
            logits.append(tiny_network().logits(tensor)[0].astype(np.float64))
    return sorted(softmax(np.mean(logits, axis=0)), reverse=True)


def found(bundle: Bundle, video: Path, *options: object) -> tuple[dict[str, Any], list[float]]:
    words = ("run", bundle.path, "-s", video, "--format", "jsonl", "--backend", "cpu")
    done = edgecls(*words, *options)
    assert done.returncode == 0, done.stderr
    header, window, *_ = map(json.loads, done.stdout.splitlines())
    return header, [one["probability"] for one in window["top"]]


UNIFORM = ("--sampling", "uniform")
WINDOWED = ("--sampling", "windowed")


@pytest.mark.parametrize(
    ("changes", "options", "views"),
    [
        ({}, UNIFORM, 1),
        ({"segment_frame": "left"}, UNIFORM, 1),
        ({"crop_offset": "down"}, UNIFORM, 1),
        ({"resize": NEAREST}, UNIFORM, 1),
        ({"views": 10}, UNIFORM, 10),
        ({"views": 10}, (*UNIFORM, "--views", 1), 1),
        ({"segment_frame": "left", "resize": NEAREST}, (*UNIFORM, "--views", 10), 10),
        ({"views": 10}, (*WINDOWED, "--window", 3), 1),
        ({"segment_frame": "left"}, (*WINDOWED, "--window", 3, "--views", 10), 10),
    ],
    ids=lambda value: "-".join(map(str, value)) if not isinstance(value, int) else str(value),
)
def test_card_and_options_are_honoured(
    tmp_path: Path,
    video: Path,
    pictures: list[Picture],
    changes: dict[str, Any],
    options: tuple[object, ...],
    views: int,
) -> None:
    clip = {**DEFAULT, **changes}
    header, probabilities = found(bundle_with(tmp_path, clip), video, *options)
    assert header["views"] == views
    wanted = expected(pictures, clip, views, [frames_taken(clip, FRAMES)])
    assert probabilities == pytest.approx(wanted, abs=2e-5)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({}, {"segment_frame": "left"}),
        ({}, {"crop_offset": "down"}),
        ({"resize": {**NEAREST, "long_side": "down"}}, {"resize": NEAREST}),
        ({}, {"views": 10}),
    ],
    ids=["segment_frame", "crop_offset", "long_side", "views"],
)
def test_ignoring_one_of_them_would_be_seen(
    pictures: list[Picture], one: dict[str, Any], other: dict[str, Any]
) -> None:
    results = []
    for changes in (one, other):
        clip = {**DEFAULT, **changes}
        chosen = [frames_taken(clip, FRAMES)]
        results.append(expected(pictures, clip, clip["views"], chosen))
    first, second = results
    assert np.abs(np.subtract(first, second)).max() > 1e-3


def test_dense(tmp_path: Path, video: Path, pictures: list[Picture]) -> None:
    clip = {**DEFAULT, "views": 10}
    bundle = bundle_with(tmp_path, clip)
    header, probabilities = found(bundle, video, "--sampling", "dense")
    assert (header["sampling"], header["views"]) == ("dense", 30)
    assert (header["window_s"], header["stride_s"]) == (None, None)
    starts = [k * (FRAMES - 64) // 9 for k in range(10)]
    chosen = [[start + 16 * i for i in range(T)] for start in starts]
    wanted = expected(pictures, clip, 3, chosen)
    assert probabilities == pytest.approx(wanted, abs=2e-5)


def test_dense_needs_a_clip_of_at_most_64_frames(tmp_path: Path, video: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "long", frames=65)
    said = failing("run", bundle.path, "-s", video, "--sampling", "dense", code=2)
    assert said[-2].startswith("error: Dense sampling takes clips of 64 frames of the video")
    assert said[-1] == "hint: --sampling uniform"


def test_text_of_a_dense_run(tmp_path: Path, video: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "tiny")
    done = edgecls("run", bundle.path, "-s", video, "--sampling", "dense", "--backend", "cpu")
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    assert line.startswith("    0.0-    3.0 s  ")
    assert done.stderr.splitlines()[-1].startswith("summary: 1 window in ")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("--views", 10, "--sampling", "dense"),
            [
                "error: --views has no meaning with --sampling dense, which takes ten clips in"
                " three crops each.",
                "hint: Leave out --views, or --sampling uniform --views 10.",
            ],
        ),
        (
            ("--window", 2, "--sampling", "dense"),
            [
                "error: --window has no meaning with --sampling dense, which takes the whole file.",
                "hint: Leave out --window, or --sampling dense.",
            ],
        ),
        (
            ("--stride", 2, "--sampling", "uniform"),
            [
                "error: --stride has no meaning with --sampling uniform, which takes the whole"
                " file.",
                "hint: Leave out --stride, or --sampling uniform.",
            ],
        ),
    ],
    ids=lambda value: " ".join(map(str, value[:1])),
)
def test_options_that_exclude_each_other(
    tmp_path: Path, video: Path, words: tuple[object, ...], said: list[str]
) -> None:
    bundle = write_tiny_bundle(tmp_path / "tiny")
    assert failing("run", bundle.path, "-s", video, *words, code=2) == said


@pytest.mark.parametrize("views", [0, 3, "all"])
def test_views_are_one_or_ten(tmp_path: Path, video: Path, views: object) -> None:
    bundle = write_tiny_bundle(tmp_path / "tiny")
    said = failing("run", bundle.path, "-s", video, "--views", views, code=2)
    assert "--views" in "\n".join(said)
