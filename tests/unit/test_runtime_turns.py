from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from runtime.turns import Contestant, TurnFailed, take_turns

WORKER = """
import json, os, sys, time
order = json.loads(sys.stdin.readline())
if order.get("mute"):
    time.sleep(60)
if order.get("refuse"):
    print(json.dumps({"reason": "it does not fit."}), flush=True)
    sys.exit()
if order.get("chatter"):
    print("hello", flush=True)
if order.get("crash"):
    sys.stderr.write("loading\\nthe engine fell over\\n")
    os._exit(3)
print(json.dumps({"ready": {"engine": order["name"]}}), flush=True)
turns = 0
for line in sys.stdin:
    if line.strip() == "end":
        print(json.dumps({"turns": turns}), flush=True)
        break
    turns += 1
    if turns == order.get("dies_in"):
        os._exit(7)
    with open(order["log"], "a") as log:
        log.write(order["name"])
    print(json.dumps([1.5] * int(line)), flush=True)
"""


def started(
    log: Path,
    name: str = "a",
    more: Mapping[str, object] | None = None,
    *,
    patience_s: float = 20.0,
) -> Contestant:
    order = {"name": name, "log": str(log), **(more or {})}
    return Contestant([sys.executable, "-c", WORKER], order, patience_s=patience_s)


@contextmanager
def several(log: Path, **orders: dict[str, object]) -> Iterator[dict[str, Contestant]]:
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(started(log, name, order)) for name, order in orders.items()
        }


def test_it_says_what_it_is_runs_and_ends(tmp_path: Path) -> None:
    with started(tmp_path / "log") as one:
        assert one.facts == {"engine": "a"}
        assert one.turn(3) == [1.5, 1.5, 1.5]
        assert one.turn(1) == [1.5]
        assert one.end() == {"turns": 2}
        one.close()


def test_they_take_turns(tmp_path: Path) -> None:
    log = tmp_path / "log"
    rounds: list[int] = []
    with several(log, a={}, b={}, c={}) as all_three:
        times_ms, failed = take_turns(
            all_three, rounds=3, calls=2, on_round=lambda: rounds.append(1)
        )
    assert log.read_text() == "abcabcabc"
    assert times_ms == {name: [1.5] * 6 for name in "abc"}
    assert failed == {}
    assert len(rounds) == 3


def test_one_that_dies_leaves_the_others_alone(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with several(log, a={}, b={"dies_in": 2}, c={}) as all_three:
        times_ms, failed = take_turns(all_three, rounds=3, calls=1)
    assert log.read_text() == "abcacac"
    assert set(times_ms) == {"a", "c"}
    assert failed == {"b": "its process ended with status 7"}


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        ({"refuse": True}, "it does not fit"),
        ({"crash": True}, "its process ended with status 3: the engine fell over"),
        ({"chatter": True}, "its answer makes no sense"),
    ],
)
def test_one_that_does_not_start_says_why(
    tmp_path: Path, order: dict[str, object], reason: str
) -> None:
    with pytest.raises(TurnFailed) as caught:
        started(tmp_path / "log", "a", order)
    assert str(caught.value) == reason


def test_a_silent_one_is_ended(tmp_path: Path) -> None:
    with pytest.raises(TurnFailed, match=r"no answer within 0.5 s"):
        started(tmp_path / "log", "a", {"mute": True}, patience_s=0.5)


def test_a_program_that_is_not_there() -> None:
    with pytest.raises(TurnFailed, match="does not start"):
        Contestant(["/nowhere/python"], {})
