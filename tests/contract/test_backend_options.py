"""Devices, settings and parallel runs: what every backend owes, run over `BACKENDS`."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.bundle import Bundle
from models.errors import BackendError, UsageError
from runtime.backends import BACKENDS
from runtime.session import Backend, SessionOptions
from tests.staged_models import write_staged_bundle
from tests.tiny_models import tiny_network, write_tiny_bundle

CALLERS = 3


@pytest.fixture(params=BACKENDS, ids=lambda backend: backend.name)
def listed(request: pytest.FixtureRequest) -> Backend:
    chosen: Backend = request.param
    return chosen


@pytest.fixture
def backend(listed: Backend) -> Backend:
    probe = listed.probe()
    if not probe.ok:
        pytest.skip(f"{listed.name}: {probe.reason}")
    return listed


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_tiny_bundle(tmp_path_factory.mktemp("tiny"))


@pytest.mark.parametrize("parallel", [1, 2, CALLERS])
def test_several_threads_may_run_it(backend: Backend, bundle: Bundle, parallel: int) -> None:
    """Each gets the logits of its own clips, whatever the batch sizes of the others."""
    random = np.random.default_rng(3)
    shapes = [bundle.card.clip.input_shape(1 + turn % 3) for turn in range(40)]
    inputs = [random.normal(size=shape).astype(np.float32) for shape in shapes]
    options = SessionOptions(threads=2, parallel=parallel)
    with (
        backend.open(bundle.model_path(), bundle.card, options) as session,
        ThreadPoolExecutor(CALLERS) as callers,
    ):
        results = list(callers.map(session.run, inputs))
    for clips, logits in zip(inputs, results, strict=True):
        expected = tiny_network().logits(clips)
        np.testing.assert_allclose(logits, expected, atol=1e-5 * np.ptp(expected))


def test_it_says_where_its_nodes_ran(backend: Backend, bundle: Bundle) -> None:
    with backend.open(bundle.model_path(), bundle.card, SessionOptions(threads=1)) as session:
        placement = session.placement
    assert sum(share.node_share for share in placement.shares) == pytest.approx(1)
    assert placement.node_share(backend.provider) > 0
    assert placement.measured or len(placement.shares) == 1


@pytest.mark.parametrize("device", ["TPU", "", "9", "CPU.7", "AUTO", "CPU,GPU"])
def test_a_device_that_is_not_there_is_refused(
    backend: Backend, bundle: Bundle, device: str
) -> None:
    with pytest.raises(BackendError, match=f"ackend {backend.name} .*'{device}'"):
        backend.open(bundle.model_path(), bundle.card, SessionOptions(threads=1, device=device))


def test_settings_are_described(listed: Backend) -> None:
    names = [setting.name for setting in listed.settings]
    assert len(set(names)) == len(names)
    for setting in listed.settings:
        assert setting.help.endswith("."), setting.name
        assert setting.default, setting.name


def test_a_setting_that_is_not_there_is_refused(backend: Backend, bundle: Bundle) -> None:
    asked = SessionOptions(threads=1, settings={backend.name: {"warp": "9"}})
    with pytest.raises(UsageError, match="no option 'warp'"):
        backend.open(bundle.model_path(), bundle.card, asked)


def test_what_is_asked_of_others_does_not_matter(backend: Backend, bundle: Bundle) -> None:
    asked = SessionOptions(threads=1, settings={"another": {"warp": "9"}})
    backend.open(bundle.model_path(), bundle.card, asked).close()


def test_the_card_sets_what_is_not_asked_for(backend: Backend, bundle: Bundle) -> None:
    setting = backend.settings[0].name
    card = replace_settings(bundle, {backend.name: {setting: "nonsense"}})
    with pytest.raises(UsageError, match=f"Option {setting} of backend {backend.name}"):
        backend.open(bundle.model_path(), card.card, SessionOptions(threads=1))


def test_the_card_reaches_stages(backend: Backend, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    from runtime.incremental import open_incremental

    if backend.open_stage is None:
        pytest.skip(f"{backend.name} does not run stages")
    bundle = write_staged_bundle(tmp_path)
    setting = backend.settings[0].name
    other = replace_settings(bundle, {backend.name: {setting: "nonsense"}})
    with pytest.raises(UsageError, match=f"Option {setting}"):
        open_incremental(other, bundle.card.variants[0], backend, SessionOptions(threads=1))


def replace_settings(bundle: Bundle, settings: dict[str, dict[str, str]]) -> Bundle:
    return replace(bundle, card=bundle.card.model_copy(update={"settings": settings}))


def test_the_documents_list_every_setting(listed: Backend) -> None:
    text = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith(f"| `{listed.name}` | `")]
    assert rows == [
        f"| `{listed.name}` | `{one.name}` | {one.expected} | {one.default} | {one.help} |"
        for one in listed.settings
    ]
