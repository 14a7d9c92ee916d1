"""The model that ships: small, proven, right on motions it never saw, lost without their order."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from models.bundle import BUILTIN_BUNDLE, open_bundle
from models.motion.demo import Segment, demo_schedule
from models.motion.evaluate import CLIP_FRAMES, normalize_clips, render_held_out, score_clips
from models.motion.labels import MOTION_LABELS, STILL
from runtime.backends import BACKENDS, backend_named
from runtime.preprocess import clip_tensor
from runtime.session import Backend, Session, SessionOptions
from runtime.verify import verify_bundle
from tests.cli.command import NEEDS_ENGINES, environment

MAX_BYTES = 6_000_000
CLIPS = 180
CHANCE = 1 / len(MOTION_LABELS)


@pytest.fixture(scope="module", params=BACKENDS, ids=lambda backend: backend.name)
def session(request: pytest.FixtureRequest) -> Iterator[Session]:
    backend: Backend = request.param
    probe = backend.probe()
    if not probe.ok:
        pytest.skip(probe.reason)
    bundle = open_bundle(None)
    with backend.open(bundle.model_path(), bundle.card, SessionOptions()) as opened:
        yield opened


@pytest.fixture(scope="module")
def held_out() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Clips of textures whose kind was never trained on."""
    return render_held_out("new-kinds", CLIPS, open_bundle(None).card.clip.crop)


def test_size_and_card() -> None:
    bundle = open_bundle(None)
    assert sum(path.stat().st_size for path in BUILTIN_BUNDLE.iterdir()) <= MAX_BYTES
    assert bundle.card.labels == MOTION_LABELS
    assert bundle.card.clip.frames == CLIP_FRAMES
    assert bundle.card.clip.clip_length_s == 1.0


def test_card_counts_its_own_graph() -> None:
    onnx = pytest.importorskip("onnx", reason="needs the `convert` extra")
    from convert.graph_facts import graph_facts

    bundle = open_bundle(None)
    facts = graph_facts(onnx.load(str(bundle.model_path())))
    assert bundle.card.graph == facts
    assert list(bundle.card.graph.nodes) == list(facts.nodes)
    assert facts.uncounted == {}


@NEEDS_ENGINES
def test_verified_on_every_engine() -> None:
    report = verify_bundle(open_bundle(None))
    assert report.passed
    here = [backend for backend in BACKENDS if backend.probe().ok]
    staged = [backend for backend in here if backend.open_stage is not None]
    assert len(report.comparisons) == len(here) + len(staged), "whole and in stages"


def test_stages_are_those_of_its_own_graph() -> None:
    onnx = pytest.importorskip("onnx", reason="needs the `convert` extra")
    from runtime.temporal.cut import cut_into_stages

    bundle = open_bundle(None)
    cut = cut_into_stages(onnx.load(str(bundle.model_path())))
    assert bundle.card.temporal == cut.temporal
    stages = bundle.card.variants[0].stages
    assert [(one.kind, one.offsets, one.inputs, one.outputs, one.macs) for one in stages] == [
        (one.kind, one.offsets, one.inputs, one.outputs, one.macs) for one in cut.stages
    ]


def test_training_normalises_as_the_runtime_does() -> None:
    clip = open_bundle(None).card.clip
    frames = np.random.default_rng(0).integers(0, 256, (1, CLIP_FRAMES, 64, 64, 3), np.uint8)
    np.testing.assert_allclose(
        normalize_clips(frames), clip_tensor(list(frames[0]), clip), atol=1e-5
    )


def test_unseen_motions(
    session: Session, held_out: tuple[NDArray[np.uint8], NDArray[np.int64]]
) -> None:
    def predict(clips: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.concatenate([session.run(normalize_clips(clip[None])) for clip in clips])

    score = score_clips(predict, *held_out)
    assert score.accuracy >= 0.95
    assert score.reversed_accuracy >= 0.95, "backwards, a pan left is a pan right"
    assert score.shuffled_accuracy <= 2.5 * CHANCE, "only the order of the frames tells"


def within_one_segment(start_s: float, end_s: float, schedule: list[Segment]) -> str | None:
    for segment in schedule:
        if segment.start_s <= start_s + 1e-6 and end_s <= segment.end_s + 1e-6:
            return segment.label
    return None


@NEEDS_ENGINES
@pytest.mark.parametrize("backend", [backend.name for backend in BACKENDS])
def test_demo_is_labelled_right(backend: str) -> None:
    probe = backend_named(backend).probe()
    if not probe.ok:
        pytest.skip(f"{backend}: {probe.reason}")
    command = [sys.executable, "-m", "edge_cli", "run", "--source", "demo", "--format", "jsonl"]
    done = subprocess.run(
        [*command, "--backend", backend],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        env=environment(),
    )
    _, *windows, _ = map(json.loads, done.stdout.splitlines())
    schedule = demo_schedule()
    seen = set()
    for window in windows:
        truth = within_one_segment(window["start_s"], window["end_s"], schedule)
        if truth is not None:
            seen.add(truth)
            assert window["top"][0]["label"] == truth, window
    assert seen == set(MOTION_LABELS)


@NEEDS_ENGINES
def test_changes_tell_the_story_of_the_demo() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "edge_cli",
            "run",
            "--source",
            "demo",
            "--changes",
            "--format",
            "csv",
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        env=environment(),
    )
    labels = [line.split(",")[3] for line in done.stdout.splitlines()[1:]]
    assert labels == [segment.label for segment in demo_schedule()]
    assert labels[0] == STILL


def test_path_of_the_built_in_bundle_is_inside_the_package() -> None:
    assert BUILTIN_BUNDLE.parent.name == "models"
    assert (BUILTIN_BUNDLE / "card.json").is_file()
