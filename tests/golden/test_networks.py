"""Checkpoints as published ones are, against the original networks.

The logits pin parameter names, layer order and every constant: the weights are derived from the
names, and the values were computed by the original implementation. Some walk the road through the
real command line and both engines; the others are only compared in Paddle, and walk the road where
the environment variable EDGECLS_ALL_GOLDEN is 1.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from models.bundle import open_bundle
from runtime.backends import BACKENDS
from runtime.session import Backend, SessionOptions
from tests.checkpoints import (
    TWIN_NAMES,
    golden_clip,
    golden_networks,
    weights_by_rule,
    write_checkpoint,
)

for _module in ("paddle", "paddle2onnx", "onnxruntime"):
    pytest.importorskip(_module, reason="needs the `convert` extra")

from convert.families import family_named

pytestmark = [pytest.mark.paddle, pytest.mark.slow]
TOLERANCE = 1e-4
NETWORKS = golden_networks()
FAMILIES = {
    "pptsmv2_lcnet_8f": "pp-tsmv2",
    "pptsmv2_lcnet_16f": "pp-tsmv2",
    "pptsmv2_lcnet_16f_attention": "pp-tsmv2",
    "pptsm_r50_8f": "pp-tsm",
    "pptsm_r101_8f": "pp-tsm",
    "pptsm_mv2_8f": "pp-tsm-mv2",
    "pptsm_mv3_8f": "pp-tsm-mv3",
    "pptsn_r50_8f": "pp-tsn",
    "tsm_r50_8f": "tsm",
    "tsn_r50_8f": "tsn",
}
LONG = {"pptsm_r50_8f", "pptsm_r101_8f", "pptsn_r50_8f", "tsm_r50_8f", "tsn_r50_8f"}
"""Networks whose conversion takes half a minute and more; narrow ones stand for them."""

IN_PADDLE = sorted(LONG | {"pptsm_mv2_8f", "pptsm_mv3_8f"})

LEAST_MOVED = 0.01
"""By how much of their range reversing the frames moves the logits of a network that shifts."""


def test_every_golden_network_has_a_family() -> None:
    assert set(FAMILIES) == set(NETWORKS)


@pytest.mark.parametrize("name", IN_PADDLE)
def test_paddle_network_gives_the_original_s_logits(name: str) -> None:
    import paddle

    golden, family = NETWORKS[name], family_named(FAMILIES[name])
    network = family.build(family.read(golden.keys), golden.frames)
    expected = {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}
    assert expected == golden.keys
    network.set_state_dict(weights_by_rule(golden.keys))
    with paddle.no_grad():
        logits = network(paddle.to_tensor(golden_clip(golden.frames))).numpy()[0]
    assert np.abs(logits - golden.logits).max() <= 1e-5 * np.ptp(golden.logits)


@pytest.fixture(scope="module", params=list(NETWORKS))
def name(request: pytest.FixtureRequest) -> str:
    if request.param in LONG and os.environ.get("EDGECLS_ALL_GOLDEN") != "1":
        pytest.skip("a long conversion: set EDGECLS_ALL_GOLDEN=1")
    return str(request.param)


@pytest.fixture(scope="module")
def bundle_path(name: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    golden, family = NETWORKS[name], FAMILIES[name]
    folder = tmp_path_factory.mktemp(name)
    source = write_checkpoint(
        folder / f"{name}.pdparams", weights_by_rule(golden.keys), TWIN_NAMES.get(family)
    )
    flags = [] if "attention" in name else ["--frames", str(golden.frames)]
    if family == "tsn":  # its parameter names do not rule out TSM
        flags += ["--family", family]
    done = subprocess.run(
        [sys.executable, "-m", "edge_cli", "convert", source, "-o", folder / "bundle", *flags],
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    source.unlink()
    return folder / "bundle"


def test_recognised(name: str, bundle_path: Path) -> None:
    card = open_bundle(bundle_path).card
    assert card.family == FAMILIES[name]
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
    moved = np.abs(backwards - golden.logits).max() / spread
    if family_named(FAMILIES[name]).any_frames:
        assert moved <= TOLERANCE
    else:
        assert moved >= LEAST_MOVED
