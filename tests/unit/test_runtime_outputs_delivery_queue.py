"""The queue on disk: order, limit, restarts, foreign files, a full disk."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import OutputError
from runtime.outputs.delivery_queue import DeliveryQueue


def emptied(queue: DeliveryQueue) -> list[bytes]:
    found = []
    while (delivery := queue.oldest()) is not None:
        found.append(delivery.body)
        queue.done(delivery.id)
    return found


def test_first_in_first_out_over_restarts(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "queue.sqlite"
    for number in range(5):
        queue = DeliveryQueue(path)
        queue.add(f"{number}".encode(), id=f"id{number}")
        assert queue.waiting == number + 1
        queue.close()
        queue.close()
    queue = DeliveryQueue(path)
    first = queue.oldest()
    assert first is not None
    assert (first.id, first.body) == ("id0", b"0")
    assert queue.oldest() == first
    queue.done("unknown")
    assert emptied(queue) == [b"0", b"1", b"2", b"3", b"4"]
    assert queue.waiting == 0
    queue.close()
    assert queue.oldest() is None


@settings(max_examples=25, deadline=None)
@given(steps=st.lists(st.sampled_from(["add", "done", "open"]), max_size=30))
def test_against_a_list(steps: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("queue") / "q.sqlite"
    queue, expected, given_up = DeliveryQueue(path, limit=4), [], 0
    for number, step in enumerate(steps):
        if step == "add":
            expected.append(queue.add(b"%d" % number))
            given_up += len(expected) > 4
            expected = expected[-4:]
        elif step == "done" and expected:
            queue.done(expected.pop(0))
        else:
            assert queue.given_up == given_up
            queue.close()
            queue, given_up = DeliveryQueue(path, limit=4), 0
        oldest = queue.oldest()
        assert (oldest and oldest.id) == (expected[0] if expected else None)
        assert queue.waiting == len(expected)
    queue.close()


def test_another_process_is_told_so(tmp_path: Path) -> None:
    path = tmp_path / "q.sqlite"
    queue = DeliveryQueue(path)
    program = (
        "import pathlib, sys\n"
        "from models.errors import OutputError\n"
        "from runtime.outputs.delivery_queue import DeliveryQueue\n"
        "try: DeliveryQueue(pathlib.Path(sys.argv[1]))\n"
        "except OutputError as error: print(error.message)\n"
    )
    words = [sys.executable, "-c", program, str(path)]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout == f"Another process delivers from the queue {path}.\n"
    queue.close()
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout == ""


def test_files_that_are_no_queue(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("dear diary, " * 100)
    with pytest.raises(OutputError, match=r"no queue of edgecls, or is damaged") as refused:
        DeliveryQueue(text)
    assert f"mv {text}" in refused.value.hint
    assert text.read_text().startswith("dear diary")

    foreign = tmp_path / "foreign.sqlite"
    database = sqlite3.connect(foreign)
    database.execute("CREATE TABLE delivery (x)")
    database.close()
    with pytest.raises(OutputError, match="no queue that this version"):
        DeliveryQueue(foreign)

    newer = tmp_path / "newer.sqlite"
    DeliveryQueue(newer).close()
    database = sqlite3.connect(newer)
    database.execute("PRAGMA user_version = 7")
    database.close()
    with pytest.raises(OutputError, match="no queue that this version"):
        DeliveryQueue(newer)

    with pytest.raises(OutputError, match="cannot be opened"):
        DeliveryQueue(tmp_path)
    with pytest.raises(OutputError, match="cannot be opened"):
        DeliveryQueue(text / "below" / "q.sqlite")


def test_damaged_bytes_are_an_error_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "q.sqlite"
    queue = DeliveryQueue(path)
    for number in range(50):
        queue.add(b"x" * 300, id=f"{number}")
    queue.close()
    whole = path.read_bytes()
    for number in range(0, len(whole), 97):
        for leftover in tmp_path.glob("q.sqlite-*"):
            leftover.unlink()
        path.write_bytes(whole[:number] + b"\xa5" * 32 + whole[number + 32 :])
        try:
            queue = DeliveryQueue(path)
        except OutputError:
            continue
        queue.add(b"new")
        queue.oldest()
        queue.close()


def test_a_full_disk_keeps_deliveries_in_memory(tmp_path: Path) -> None:
    queue = DeliveryQueue(tmp_path / "q.sqlite")
    queue.add(b"before")
    pages = queue._database.execute("PRAGMA page_count").fetchone()[0]
    queue._database.execute(f"PRAGMA max_page_count = {pages}")
    bodies = [b"%d" % number * 4000 for number in range(5)]
    for body in bodies:
        queue.add(body)
    assert queue.unsaved > 0
    assert queue.waiting == 6
    assert queue.given_up == 0
    queue._database.execute("PRAGMA max_page_count = 100000")
    assert emptied(queue) == [b"before", *bodies]
    assert (queue.unsaved, queue.waiting) == (0, 0)
    queue.close()
