"""Checkpoints as published ones are, through the real command line, against the original network.

The logits pin parameter names, layer order and every constant: the weights are derived from the
names, and the values were computed by the original implementation.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from models.bundle import open_bundle
from runtime.backends import BACKENDS
from runtime.session import Backend, SessionOptions
from tests.checkpoints import golden_clip, golden_networks, weights_by_rule, write_checkpoint

for _module in ("paddle", "paddle2onnx", "onnxruntime"):
    pytest.importorskip(_module, reason="needs the `convert` extra")

pytestmark = [pytest.mark.paddle, pytest.mark.slow]
TOLERANCE = 1e-4
NETWORKS = golden_networks()
FAMILIES = {"pptsm_r50_8f": "pp-tsm"}


@pytest.fixture(scope="module", params=list(NETWORKS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def bundle_path(name: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    golden, folder = NETWORKS[name], tmp_path_factory.mktemp(name)
    source = write_checkpoint(folder / f"{name}.pdparams", weights_by_rule(golden.keys))
    frames = [] if "attention" in name else ["--frames", str(golden.frames)]
    done = subprocess.run(
        [sys.executable, "-m", "edge_cli", "convert", source, "-o", folder / "bundle", *frames],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    source.unlink()
    return folder / "bundle"


def test_recognised(name: str, bundle_path: Path) -> None:
    card = open_bundle(bundle_path).card
    assert card.family == FAMILIES.get(name, "pp-tsmv2")
    assert (card.clip.frames, card.classes) == (NETWORKS[name].frames, 400)
    assert card.labels[5] == "archery"
    assert card.certificate.max_rel_diff <= TOLERANCE


@pytest.mark.parametrize("backend", BACKENDS, ids=lambda backend: backend.name)
def test_golden_logits(name: str, bundle_path: Path, backend: Backend) -> None:
    probe = backend.probe()
    if not probe.ok:
        pytest.skip(f"{backend.name}: {probe.reason}")
    bundle, golden = open_bundle(bundle_path), NETWORKS[name]
    clip = golden_clip(golden.frames)
    with backend.open(bundle.model_path(), bundle.card, SessionOptions()) as session:
        logits = session.run(clip)[0]
        backwards = session.run(np.ascontiguousarray(clip[:, ::-1]))[0]
    spread = np.ptp(golden.logits)
    assert np.abs(logits - golden.logits).max() <= TOLERANCE * spread
    assert np.abs(backwards - golden.logits).max() >= 0.01 * spread
