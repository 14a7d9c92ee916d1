"""Whether windows share work: what is decided, on which graph, with which reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.bundle import Bundle
from models.card import Variant
from models.errors import BackendError, UsageError
from models.stages import Temporal
from runtime import reuse
from runtime.choose import Choice
from runtime.clip_classifier import Decoding
from runtime.grid import GridSampler, GridSpec, Neighbours, grid_spec
from runtime.pipeline import Stream, classify_streams
from runtime.placement import all_on
from runtime.preprocess import Preparation
from runtime.records import Frame, Prediction
from runtime.reuse import ReuseAsked, Reusing, decide_reuse, step_share, whole_macs
from runtime.session import SessionOptions
from runtime.stream_model import ReusedClips, StreamModel, WholeClips
from runtime.views import Views
from tests.cli.command import NEEDS_ENGINES
from tests.cli.in_process import called
from tests.fakes import FakeSession, FakeSource, frame_at
from tests.staged_models import write_staged_bundle
from tests.tiny_models import write_tiny_bundle

pytestmark = NEEDS_ENGINES
GRID = grid_spec(4, length_s=1.0)


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_staged_bundle(tmp_path_factory.mktemp("staged"))


class Engine(FakeSession):
    """A session that says it is of a backend that exists."""

    backend = "cpu"

    def __init__(self) -> None:
        super().__init__(lambda clips: np.zeros((len(clips), 4), np.float32))


def choice_of(bundle: Bundle, *, asked: str = "fp32", variant: Variant | None = None) -> Choice:
    return Choice(
        session=Engine(),
        variant=variant or bundle.card.variants[0],
        placement=all_on("CPU"),
        asked=asked,
        speedup=None,
        remembered=False,
        rejected=(),
        why="cpu asked for",
    )


def decided(
    bundle: Bundle,
    asked: ReuseAsked = "auto",
    *,
    views: Views = 1,
    grid: GridSpec | None = GRID,
    choice: Choice | None = None,
) -> Reusing:
    grids = [] if grid is None else [grid]
    return decide_reuse(bundle, choice or choice_of(bundle), asked=asked, views=views, grids=grids)


def with_variants(bundle: Bundle, *variants: Variant, **changes: object) -> Bundle:
    card = bundle.card.model_copy(update={"variants": variants or bundle.card.variants, **changes})
    return Bundle(path=bundle.path, card=card)


def test_auto_is_exact_where_there_are_stages(staged: Bundle) -> None:
    found = decided(staged)
    assert (found.mode, found.variant) == ("exact", staged.card.variants[0])
    # 1 frame, 3 and 4 shifted rows and the window, of 4 + 4 + 4 + 1.
    assert found.why == "a step costs 69 % of a clip"
    assert step_share(staged.card.variants[0].stages, 4, 1) == pytest.approx(9 / 13)
    assert whole_macs(staged.card.variants[0].stages, 4) == 13
    assert found.neighbours() == Neighbours()


def test_approx_knows_the_frames_around(staged: Bundle) -> None:
    assert decided(staged, "approx").neighbours() == Neighbours(before=2, after=2)


@pytest.mark.parametrize(
    ("views", "stride_s", "sliding", "why"),
    [
        (10, None, True, "10 views of every frame"),
        (1, 1.0, True, "a step of 1 s would still cost 100 % of a clip"),
        (1, 5.0, True, "a step of 5 s would still cost 100 % of a clip"),
        (1, None, False, "windows are sampled each on its own"),
    ],
)
def test_auto_is_off_with_a_reason(
    staged: Bundle, views: Views, stride_s: float | None, sliding: bool, why: str
) -> None:
    grid = grid_spec(4, length_s=1.0, stride_s=stride_s) if sliding else None
    found = decided(staged, views=views, grid=grid)
    assert (found.mode, found.variant) == ("off", None)
    assert found.why.startswith(why)
    assert found.note(None) == f"no reuse: {found.why}"


def test_off_says_nothing(staged: Bundle) -> None:
    found = decided(staged, "off")
    assert (found.mode, found.note(None)) == ("off", "")


def test_a_bundle_without_stages(tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path)
    assert decided(bundle).why == "the bundle has no stage graphs"
    with pytest.raises(UsageError, match="--reuse exact is impossible with tiny: the bundle") as no:
        decided(bundle, "exact")
    assert no.value.hint == "Convert the model again: edgecls convert"
    temporal = Temporal(
        mixing=(), macs_per_clip=5, macs_per_step=5, reason="Its first layer mixes all frames."
    )
    told = with_variants(bundle, temporal=temporal)
    assert decided(told).why == "Its first layer mixes all frames"


def test_what_is_asked_for_and_impossible_is_an_error(staged: Bundle) -> None:
    with pytest.raises(UsageError, match="10 views") as no:
        decided(staged, "exact", views=10)
    assert no.value.hint.startswith("--views 1")
    with pytest.raises(UsageError, match="have no frames around them") as no:
        decided(staged, "approx", grid=None)
    assert no.value.hint.startswith("--sampling sliding")
    assert decided(staged, "exact", grid=None).mode == "exact"
    assert decided(staged, "exact", grid=grid_spec(4, length_s=1, stride_s=9)).mode == "exact"


def test_the_stages_of_a_graph_as_good_stand_in(staged: Bundle) -> None:
    (fp32,) = staged.card.variants
    plain = fp32.model_copy(update={"stages": (), "sha256": "1" * 64, "file": "other.onnx"})
    fast = [
        stage.model_copy(update={"macs": 50 * (n == 0) + 1}) for n, stage in enumerate(fp32.stages)
    ]
    int8 = plain.model_copy(update={"precision": "int8", "file": "model.int8.onnx"})
    alike = with_variants(staged, fp32, plain)
    found = decided(alike, choice=choice_of(alike, variant=plain))
    assert found.variant == fp32
    assert "model.onnx, as other.onnx has no stages" in found.why
    # A step that costs 69 % of a clip may well cost more than the clip in INT8.
    both = with_variants(staged, fp32, int8)
    chosen = choice_of(both, asked="auto", variant=int8)
    assert decided(both, choice=chosen).mode == "off"
    quick = with_variants(staged, fp32.model_copy(update={"stages": tuple(fast)}), int8)
    assert decided(quick, choice=chosen).variant == quick.card.variants[0]
    asked = choice_of(quick, asked="int8", variant=int8)
    assert decided(quick, choice=asked).why == "the int8 graph has no stages"
    with pytest.raises(UsageError) as no:
        decided(quick, "exact", choice=asked)
    assert no.value.hint == "--precision fp32"


@pytest.mark.parametrize("asked", ["auto", "exact"])
def test_stages_that_the_engine_does_not_run(
    staged: Bundle, tmp_path: Path, asked: ReuseAsked, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise BackendError("The engine knows no Where.\nDetails.")

    monkeypatch.setattr(reuse, "open_incremental", broken)
    words = ("run", staged.path, "-s", "demo", "--max-windows", 1, "--reuse", asked)
    done = called(*words, "--backend", "cpu", monkeypatch=monkeypatch)
    if asked == "auto":
        assert done.code == 0
        assert "no reuse: the stages do not run here: The engine knows no Where)" in done.err
    else:
        assert done.code == 9
        assert done.err.splitlines()[0] == "error: The engine knows no Where. Details."


# --- the loop over the streams ---------------------------------------------------------------


def noisy(count: int, seed: int) -> list[Frame]:
    rng = np.random.default_rng(seed)
    pictures = rng.integers(0, 256, (count, 24, 32, 3), dtype=np.uint8)
    gap = [5.0 * (i >= 60) for i in range(count)]
    return [frame_at(i / 25 + gap[i], i, picture=one) for i, one in enumerate(pictures)]


def predictions(
    bundle: Bundle, model: StreamModel, spec: GridSpec, around: Neighbours | None = None
) -> list[Prediction]:
    preparation = Preparation(clip=bundle.card.clip)
    streams = [
        Stream(
            source=FakeSource(noisy(120, seed)),
            sampler=GridSampler(spec, rule="centre", neighbours=around),
        )
        for seed in (1, 2)
    ]
    decoding = Decoding(card=bundle.card, top_k=4, threshold=0.0)
    return list(classify_streams(streams, model, decoding, preparation=preparation))


@pytest.mark.parametrize("backend", ["cpu", "openvino"])
@pytest.mark.parametrize(
    ("stride_s", "gap"), [(None, "reset"), (0.1, "reset"), (0.5, "hold"), (0.125, "hold")]
)
def test_exact_reuse_gives_what_whole_clips_give(
    staged: Bundle, backend: str, stride_s: float | None, gap: str
) -> None:
    from runtime.choose import EngineRequest, choose_session

    spec = grid_spec(4, length_s=1.0, stride_s=stride_s, gap="hold" if gap == "hold" else "reset")
    options = SessionOptions(threads=1)
    choice = choose_session(staged, EngineRequest(backend=backend, threads=1))
    reusing = decided(staged, "exact", grid=spec, choice=choice)
    session = reusing.open(staged, choice, options, streams=2, phases=spec.phases)
    assert session is not None
    with session, choice.session:
        preparation = Preparation(clip=staged.card.clip)
        whole = predictions(
            staged, WholeClips(session=choice.session, preparation=preparation), spec
        )
        reused = predictions(staged, ReusedClips(session, frames=4), spec)
        assert "MB kept per source" in reusing.note(session)
    assert [(p.stream, p.index, p.held, p.resets) for p in whole] == [
        (p.stream, p.index, p.held, p.resets) for p in reused
    ]
    for one, other in zip(whole, reused, strict=True):
        assert one.probabilities is not None
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-5)
    assert {p.reused for p in whole} == {None}
    shares = [p.reused for p in reused if p.reused is not None]
    assert len(shares) == len(reused)
    assert shares[0] == 0.0
    if stride_s is None:
        assert shares[3] == pytest.approx(4 / 13)


def test_approx_is_something_else_and_costs_less(staged: Bundle) -> None:
    from runtime.choose import EngineRequest, choose_session

    options = SessionOptions(threads=1)
    choice = choose_session(staged, EngineRequest(backend="cpu", threads=1))
    found = {}
    with choice.session:
        for asked in ("exact", "approx"):
            reusing = decided(staged, asked, choice=choice)
            session = reusing.open(staged, choice, options, streams=2, phases=1)
            assert session is not None
            with session:
                model = ReusedClips(session, frames=4)
                found[asked] = predictions(staged, model, GRID, reusing.neighbours())
    exact, approx = found["exact"], found["approx"]
    assert [(p.stream, p.index) for p in exact] == [(p.stream, p.index) for p in approx]
    # A row of each stage and the window, of 13: nothing is computed twice.
    assert approx[7].reused == pytest.approx(1 - 4 / 13)
    assert exact[7].reused == pytest.approx(4 / 13)
    moved = [
        np.abs(one.probabilities - other.probabilities).max()
        for one, other in zip(exact, approx, strict=True)
        if one.probabilities is not None and other.probabilities is not None
    ]
    assert max(moved) > 1e-4
