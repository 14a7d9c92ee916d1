"""What engines compile is kept whole, or not at all."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from multiprocessing.synchronize import Barrier
from pathlib import Path

import platformdirs
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from models.errors import OutputError
from runtime.engine_cache import EngineCache, EngineKey, default_folder

KEY = EngineKey(
    backend="tensorrt",
    engine="onnxruntime 1.23.2, TensorRT 10.3.0",
    device="Orin, driver 540.4.0",
    model_sha256="ab" * 32,
    shape="1x8x3x224x224",
    settings={"fp16": "on"},
    model="PP-TSMv2",
)


def json_texts() -> st.SearchStrategy[str]:
    """What stands in `entry.json`, with one part of it replaced by anything."""
    about = {"key": asdict(KEY), "files": {"model.engine": [10, 123]}}
    numbers = st.integers() | st.just(float("inf")) | st.floats(allow_nan=False)
    several = numbers | st.lists(numbers, max_size=3)
    odd = several | st.none() | st.dictionaries(st.text(max_size=3), several, max_size=2)

    def changed(part: str, value: object) -> str:
        if part in about:
            return json.dumps({**about, part: value})
        if part == "sizes":
            return json.dumps({**about, "files": {"model.engine": value}})
        return json.dumps({**about, "key": {**about["key"], part: value}})

    parts = st.sampled_from(["key", "files", "sizes", "backend", "settings", "shape", "other"])
    return st.builds(changed, parts, odd)


def fill(cache: EngineCache, key: EngineKey = KEY, *, size: int = 10) -> Path:
    """An entry of `size` bytes."""
    with cache.entry(key) as folder:
        (folder / "model.engine").write_bytes(b"x" * size)
    return cache.folder / key.digest


def names(cache: EngineCache) -> list[str]:
    return sorted(path.name for path in cache.folder.iterdir())


@pytest.fixture
def cache(tmp_path: Path) -> EngineCache:
    return EngineCache(tmp_path / "engines")


def test_an_entry_is_found_again(cache: EngineCache) -> None:
    path = fill(cache)
    assert names(cache) == [KEY.digest]
    with cache.entry(KEY) as folder:
        assert folder == path
        assert (folder / "model.engine").read_bytes() == b"x" * 10
    assert json.loads((path / "entry.json").read_text())["key"]["model"] == "PP-TSMv2"
    (entry,) = cache.entries()
    assert (entry.key, entry.size_bytes) == (KEY, 10)


@pytest.mark.parametrize(
    "change",
    [
        {"backend": "openvino"},
        {"engine": "onnxruntime 1.24.0, TensorRT 10.3.0"},
        {"device": "Orin, driver 540.5.0"},
        {"model_sha256": "ac" * 32},
        {"shape": "2x8x3x224x224"},
        {"settings": {"fp16": "off"}},
        {"settings": {}},
    ],
)
def test_whatever_may_change_the_result_is_in_the_key(change: dict[str, object]) -> None:
    assert replace(KEY, **change).digest != KEY.digest  # type: ignore[arg-type]


def test_the_name_is_for_people_only() -> None:
    other = replace(KEY, model="the same graph", settings={"fp16": "on"})
    assert other.digest == KEY.digest


def test_what_fails_leaves_nothing(cache: EngineCache) -> None:
    with pytest.raises(TypeError), cache.entry(KEY) as folder:
        (folder / "half").write_bytes("no bytes")  # type: ignore[arg-type]
    assert names(cache) == []
    assert cache.entries() == []


def test_an_empty_folder_is_not_kept(cache: EngineCache) -> None:
    with cache.entry(KEY):
        pass
    assert names(cache) == []


def test_a_failure_later_on_keeps_the_entry(cache: EngineCache) -> None:
    fill(cache)
    with pytest.raises(ZeroDivisionError), cache.entry(KEY):
        raise ZeroDivisionError  # such as too little memory: not the fault of the entry
    assert names(cache) == [KEY.digest]


@pytest.mark.parametrize("damage", ["cut", "changed", "more", "less", "no words", "nonsense"])
def test_a_damaged_entry_is_made_again(cache: EngineCache, damage: str) -> None:
    path = fill(cache)
    engine, about = path / "model.engine", path / "entry.json"
    match damage:
        case "cut":
            engine.write_bytes(b"")
        case "changed":
            engine.write_bytes(b"y" * 10)
        case "more":
            (path / "other").touch()
        case "less":
            engine.unlink()
        case "no words":
            about.unlink()
        case _:
            about.write_text("[]")
    with cache.entry(KEY) as folder:
        assert list(folder.iterdir()) == []
        (folder / "model.engine").write_bytes(b"new")
    assert names(cache) == [KEY.digest]
    assert engine.read_bytes() == b"new"


def test_what_an_engine_adds_later_belongs_to_the_entry(cache: EngineCache) -> None:
    fill(cache)
    with cache.entry(KEY) as folder:
        (folder / "deeper").mkdir()
        (folder / "deeper" / "timing.cache").write_bytes(b"12345")
    with cache.entry(KEY) as folder:
        assert (folder / "deeper" / "timing.cache").exists()
    assert cache.entries()[0].size_bytes == 15


def test_of_two_that_make_the_same_the_first_wins(cache: EngineCache) -> None:
    with cache.entry(KEY) as slow:
        (slow / "model.engine").write_bytes(b"slow")
        fill(cache)
        assert (slow / "model.engine").read_bytes() == b"slow"
    assert names(cache) == [KEY.digest]
    assert (cache.folder / KEY.digest / "model.engine").read_bytes() == b"x" * 10


def test_the_longest_unused_goes_first(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path, limit_bytes=130)
    keys = [replace(KEY, shape=str(at)) for at in range(3)]
    for at, key in enumerate(keys):
        path = fill(cache, key, size=40)
        os.utime(path / "entry.json", (1000 + at, 1000 + at))
    with cache.entry(keys[0]):
        pass  # used now
    fill(cache, replace(KEY, shape="new"), size=40)
    assert {entry.key.shape for entry in cache.entries()} == {"new", "0", "2"}


def test_an_entry_above_the_limit_is_kept_alone(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path, limit_bytes=100)
    fill(cache, replace(KEY, shape="old"))
    fill(cache, size=1000)
    assert [entry.size_bytes for entry in cache.entries()] == [1000]


def test_without_a_cache_folder_it_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    cache = EngineCache(blocked / "engines")
    with cache.entry(KEY) as folder:
        (folder / "model.engine").touch()
        assert tmp_path not in folder.parents
    assert not folder.exists()
    assert (cache.entries(), cache.clear()) == ([], ([], []))

    monkeypatch.setattr("tempfile.tempdir", str(blocked))
    with pytest.raises(OutputError, match=r"neither to .*engines nor"), cache.entry(KEY):
        pass


def test_a_user_without_a_home_has_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object, **__: object) -> Path:
        raise RuntimeError("no home")

    monkeypatch.setattr(platformdirs, "user_cache_path", none)
    assert not default_folder().parent.is_dir()
    with EngineCache(default_folder()).entry(KEY) as folder:
        assert folder.is_dir()


def test_clear_leaves_what_is_not_ours(cache: EngineCache) -> None:
    fill(cache)
    fill(cache, replace(KEY, shape="2"), size=5)
    (cache.folder / "notes.txt").touch()
    removed, left = cache.clear()
    assert ([entry.size_bytes for entry in removed], left) == ([5, 10], [])
    assert names(cache) == ["notes.txt"]


KILLED = """
import sys, time
from pathlib import Path
from runtime.engine_cache import EngineCache
from tests.unit.test_runtime_engine_cache import KEY

with EngineCache(Path(sys.argv[1])).entry(KEY) as folder:
    (folder / "half").write_bytes(b"x")
    print("made", flush=True)
    time.sleep(60)
"""


@pytest.mark.skipif(os.name != "posix", reason="needs locks on folders")
def test_what_a_killed_process_left_is_swept_and_what_is_being_made_is_not(
    cache: EngineCache,
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(cache.folder)],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"made\n"
        cache.clear()
        (making,) = names(cache)
        assert making.startswith("making-")
        os.utime(cache.folder / making, (1000, 1000))
        cache.clear()
        assert names(cache) == [making], "however old"
        child.send_signal(signal.SIGKILL)
    fill(cache, replace(KEY, shape="2"))
    assert names(cache) == [replace(KEY, shape="2").digest]


@given(text=json_texts())
@example(text='{"key": {}, "files": {}}')
@example(text="[" * 100_000)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
def test_whatever_an_entry_says_of_itself_it_is_read(cache: EngineCache, text: str) -> None:
    about = fill(cache) / "entry.json"
    about.write_text(text, encoding="utf-8")
    for entry in cache.entries():
        assert isinstance(entry.size_bytes, int)
        assert all(isinstance(word, str) for word in entry.key.settings.values())
    with cache.entry(KEY) as folder:
        assert {path.name for path in folder.iterdir()} <= {"entry.json", "model.engine"}
    cache.clear()
    assert names(cache) == []


def test_a_cache_that_came_with_an_image_is_read(
    cache: EngineCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = fill(cache)

    def refused(*_: object, **__: object) -> None:
        raise PermissionError("read-only file system")

    monkeypatch.setattr(os, "utime", refused)
    monkeypatch.setattr("tempfile.mkstemp", refused)
    with cache.entry(KEY) as folder:
        assert folder == path
    with cache.entry(KEY) as folder:
        (folder / "timing.cache").touch()  # cannot be sealed again, and is of no harm


def test_without_locks_the_unfinished_is_left_alone_for_a_day(
    cache: EngineCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "fcntl", None)
    hours_ago = {"making-1": 2, "making-2": 30}
    for name, hours in hours_ago.items():
        (cache.folder / name).mkdir(parents=True)
        then_s = time.time() - hours * 3600
        os.utime(cache.folder / name, (then_s, then_s))
    path = fill(cache)
    assert names(cache) == sorted([path.name, "making-1"])
    with cache.entry(KEY) as folder:
        assert folder == path


def _use(folder: Path, together: Barrier) -> None:
    cache = EngineCache(folder, limit_bytes=30)
    turn = 0
    together.wait(30)  # a process takes a while to start
    until_s = time.monotonic() + 1.0
    while time.monotonic() < until_s:
        turn += 1
        with cache.entry(replace(KEY, shape=str(turn % 5))) as path:
            content = path / "model.engine"
            if not content.exists():
                content.write_bytes(b"x" * 10)
            time.sleep(0.001)
            assert content.stat().st_size == 10, "nobody takes it away in between"
        if turn % 50 == 0:
            cache.clear()


def test_several_processes_at_once(cache: EngineCache) -> None:
    context = multiprocessing.get_context("spawn")
    together = context.Barrier(3)
    workers = [context.Process(target=_use, args=(cache.folder, together)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    fill(EngineCache(cache.folder, limit_bytes=30))
    assert len(names(cache)) <= 3
    assert {entry.size_bytes for entry in cache.entries()} == {10}
