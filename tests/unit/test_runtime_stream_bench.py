from __future__ import annotations

import sys
from pathlib import Path

import pytest

from models.errors import UsageError
from runtime.backends import BACKENDS
from runtime.stream_bench import (
    PADDLE,
    PADDLEX,
    Entry,
    StreamPlan,
    StreamRow,
    cheaper_by,
    measure_streams,
    own_entries,
    paddle_row,
    whole_row,
)
from runtime.stream_worker import FrameRings
from tests.cards import a_card
from tests.staged_models import FRAMES, write_staged_bundle
from tests.tiny_models import write_tiny_bundle
from tests.variants import add_int8

WORKING = [backend.name for backend in BACKENDS if backend.probe().ok]
PLAN = StreamPlan(threads=2, hop=1, stride_s=0.25, rounds=2, calls=2)

WORKER = """
import json, os, sys
order = json.loads(sys.stdin.readline())
if order["dies"] or (order["dies_alone"] and order.get("cpus") == 1):
    os._exit(4)
print(json.dumps({"ready": {"engine": f"fake {order['threads']}"}}), flush=True)
for line in sys.stdin:
    if line.strip() == "end":
        print(json.dumps({"peak_memory_bytes": 3 << 20, "cpu_ms": [7.0, 8.0]}), flush=True)
        break
    print(json.dumps([10.0 * order.get("cpus", 0) + 20.0] * int(line)), flush=True)
"""


def entry(
    backend: str, *, dies: bool = False, dies_alone: bool = False, otherwise: Entry | None = None
) -> Entry:
    return Entry(
        backend=backend,
        precision="fp32",
        way="whole",
        command=[sys.executable, "-c", WORKER],
        order={"dies": dies, "dies_alone": dies_alone},
        note=f"note of {backend}",
        otherwise=otherwise,
    )


def test_rows_hold_both_races_in_the_order_of_the_entries() -> None:
    told: list[str] = []
    first, second = measure_streams([entry("one"), entry("two")], PLAN, on_step=told.append)
    assert (first.backend, second.backend) == ("one", "two")
    assert (first.median_ms, first.p95_ms, first.one_core_ms) == (20.0, 20.0, 30.0)
    assert (first.engine, first.peak_memory_mib, first.note) == ("fake 2", 3.0, "note of one")
    assert first.cpu_ms == 7.5
    assert first.streams_per_core(0.3) == pytest.approx(10.0)
    assert told[0] == "2 threads: loading one fp32"
    assert told[-1] == "one core: measuring"


def test_a_batch_of_streams_is_shared_out() -> None:
    plan = StreamPlan(threads=2, hop=1, stride_s=0.25, streams=4, rounds=1, calls=1)
    (row,) = measure_streams([entry("one")], plan)
    assert (row.median_ms, row.one_core_ms) == (5.0, 7.5)


def test_what_does_not_start_is_replaced_or_has_a_reason() -> None:
    rows = measure_streams(
        [entry("a", dies=True), entry("b", dies=True, otherwise=entry("c"))], PLAN
    )
    assert rows[0].median_ms is None
    assert rows[0].reason == "its process ended with status 4"
    assert (rows[1].backend, rows[1].note, rows[1].median_ms) == ("c", "note of c", 20.0)


def test_one_that_fails_on_one_core_keeps_its_other_figures() -> None:
    (row,) = measure_streams([entry("a", dies_alone=True)], PLAN)
    assert (row.median_ms, row.one_core_ms) == (20.0, None)
    assert row.streams_per_core(1.0) is None
    assert row.reason


def row(backend: str, way: str, graph: str = "fp32", median_ms: float | None = 10.0) -> StreamRow:
    return StreamRow(backend=backend, graph=graph, way=way, median_ms=median_ms)  # type: ignore[arg-type]


def test_ratios_name_their_partner() -> None:
    paddle, rival = row(PADDLE, "whole", median_ms=60.0), row(PADDLEX, "whole", median_ms=90.0)
    whole, step = row("cpu", "whole", median_ms=30.0), row("cpu", "exact", median_ms=5.0)
    small = row("cpu", "exact", "int8", 2.0)
    other = row("openvino", "exact")
    rows = [paddle, rival, whole, step, small, other]
    assert paddle_row(rows) is paddle
    assert paddle_row([whole]) is None
    assert [whole_row(one, rows) for one in rows] == [None, None, whole, whole, whole, None]
    assert cheaper_by(step, paddle) == 12.0
    assert cheaper_by(small, whole) == 15.0
    assert cheaper_by(step, None) is None
    assert cheaper_by(row("cpu", "exact", median_ms=None), paddle) is None


@pytest.mark.parametrize("wrong", [{"streams": 0}, {"rounds": 0}, {"stride_s": 0.0}, {"hop": 0}])
def test_a_plan_that_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    values: dict[str, float] = {"threads": 1, "hop": 1, "stride_s": 1.0, **wrong}
    with pytest.raises(UsageError):
        StreamPlan(**values)  # type: ignore[arg-type]


def test_every_way_of_every_graph_is_an_entry(tmp_path: Path) -> None:
    plain = add_int8(write_tiny_bundle(tmp_path / "plain"))
    found = own_entries(plain, ["cpu"], precisions=("fp32", "int8"), plan=PLAN)
    assert [(one.precision, one.way) for one in found] == [("fp32", "whole"), ("int8", "whole")]
    staged = write_staged_bundle(tmp_path / "staged")
    found = own_entries(staged, ["cpu", "openvino"], precisions=("fp32",), plan=PLAN)
    ways = ["whole", "exact", "approx"]
    assert [(one.backend, one.way) for one in found] == [
        (backend, way) for backend in ("cpu", "openvino") for way in ways
    ]


@pytest.mark.skipif(not WORKING, reason="no engine installed")
def test_real_engines_are_measured_in_every_way(tmp_path: Path) -> None:
    bundle = write_staged_bundle(tmp_path)
    plan = StreamPlan(threads=1, hop=2, stride_s=0.5, streams=2, rounds=1, calls=2)
    rows = measure_streams(
        list(own_entries(bundle, WORKING, precisions=("fp32",), plan=plan)), plan
    )
    assert [one.reason for one in rows] == [""] * len(rows)
    for one in rows:
        assert one.median_ms is not None
        assert one.one_core_ms is not None
        assert one.cpu_ms is not None
        assert one.peak_memory_mib is not None
        assert (one.stream_memory_mib is None) == (one.way == "whole")


@pytest.mark.parametrize(("hop", "around"), [(1, 0), (3, 0), (1, 1), (2, 2)])
def test_made_up_streams_move_on_by_the_hop(hop: int, around: int) -> None:
    clip = a_card().clip.model_copy(update={"frames": FRAMES, "crop": 4})
    rings = FrameRings(clip, streams=2, hop=hop, around=around)
    before = rings.clips()
    rings.move()
    after = rings.clips()
    assert [one.stream for one in after] == [0, 1]
    for old, new in zip(before, after, strict=True):
        assert len(new.frames) == FRAMES
        assert (len(new.before), len(new.after)) == (around, around)
        every = [frame.index for frame in (*new.before, *new.frames, *new.after)]
        assert every == list(range(every[0], every[0] + FRAMES + 2 * around))
        assert new.frames[0].index - old.frames[0].index == hop
        kept = {id(frame) for frame in old.frames} & {id(frame) for frame in new.frames}
        assert len(kept) == max(0, FRAMES - hop)
    assert not np_equal(after[0].frames[0].picture, after[1].frames[0].picture)


def np_equal(one: object, other: object) -> bool:
    import numpy as np

    return bool(np.array_equal(one, other))  # type: ignore[arg-type]
