"""Results on disk: read as written, cut lines dropped, other evaluations refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration.eval_log import IDENTITY, LOG_NAME, read_header, resumed, started
from calibration.eval_results import Answer, ClipResult
from models.errors import DatasetError, OutputError, UsageError

HEADER: dict[str, Any] = {
    "type": "header",
    "model": "tiny",
    "model_sha256": "ab" * 32,
    "preprocessing": {"frames": 8, "mean": (0.5, 0.5, 0.5)},
    "clips_sha256": "cd" * 32,
    "precision": "fp32",
    "backend": "cpu",
    "sampling": "uniform",
    "views": 1,
    "reference": None,
}

thousandths = st.integers(0, 10**7).map(lambda value: value / 1000)
answers = st.builds(
    Answer,
    top=st.lists(
        st.tuples(st.integers(0, 999), st.integers(0, 10**6).map(lambda value: value / 10**6)),
        min_size=1,
        max_size=5,
    ).map(tuple),
    decode_ms=thousandths,
    preprocess_ms=thousandths,
    infer_ms=thousandths,
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
labels = st.none() | st.integers(0, 999)
read = st.builds(
    ClipResult,
    index=st.integers(0, 10**6),
    name=texts,
    label=labels,
    answer=answers,
    reference=st.none() | answers,
    warnings=st.lists(texts, max_size=2).map(tuple),
    elapsed_ms=thousandths,
)
unread = st.builds(
    ClipResult,
    index=st.integers(0, 10**6),
    name=texts,
    label=labels,
    answer=st.none(),
    error=texts,
)


@settings(max_examples=100, deadline=None)
@given(read | unread)
def test_a_result_is_one_line_and_comes_back(result: ClipResult) -> None:
    line = result.to_line()
    assert line.count("\n") == 1
    assert line.endswith("\n")
    assert ClipResult.from_json(json.loads(line)) == result


def clip(index: int, *, good: bool = True) -> ClipResult:
    answer = Answer(top=((index, 0.75),), decode_ms=1.0, preprocess_ms=2.0, infer_ms=3.0)
    return ClipResult(
        index=index,
        name=f"{index}.mp4",
        label=0,
        answer=answer if good else None,
        error="" if good else "damaged",
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A log of three results, the second of a clip that could not be read."""
    log = tmp_path / "out" / LOG_NAME
    with started(log, HEADER) as opened:
        for index in range(3):
            opened.append(clip(index, good=index != 1))
    return log


def test_going_on(path: Path) -> None:
    log, done = resumed(path, HEADER)
    assert list(done) == [0, 2], "what could not be read is tried again"
    assert done[2] == clip(2)
    with log:
        log.append(clip(1))
    log, done = resumed(path, HEADER)
    log.close()
    assert sorted(done) == [0, 1, 2]


@pytest.mark.parametrize("kept", [1, 20])
def test_a_line_that_was_cut_off_is_done_again(path: Path, kept: int) -> None:
    whole = path.read_bytes()
    last = whole.rstrip(b"\n").rfind(b"\n") + 1
    path.write_bytes(whole[: last + kept])
    log, done = resumed(path, HEADER)
    with log:
        assert list(done) == [0]
        log.append(clip(2))
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [json.loads(line).get("index") for line in lines] == [None, 0, 1, 2]


@pytest.mark.parametrize("field", list(IDENTITY))
def test_another_evaluation_is_refused(path: Path, field: str) -> None:
    with pytest.raises(UsageError, match=f"another {IDENTITY[field]}"):
        resumed(path, {**HEADER, field: "something else"})
    assert len(path.read_text(encoding="utf-8").splitlines()) == 4


def test_the_version_of_the_program_may_differ(path: Path) -> None:
    log, _ = resumed(path, {**HEADER, "edgecls": "9.9"})
    log.close()
    log.close()


def test_old_results_are_never_overwritten(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(UsageError, match="earlier evaluation") as caught:
        started(path, HEADER)
    assert f"--resume {path.parent}" in caught.value.hint
    assert path.read_bytes() == before


def test_header(path: Path, tmp_path: Path) -> None:
    assert read_header(path)["backend"] == "cpu"
    with pytest.raises(DatasetError, match="no evaluation to go on with"):
        read_header(tmp_path / "absent.jsonl")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "does not begin with the header"),
        (b'{"type": "clip"}\n', "does not begin with the header"),
        (b"not json\n", r"results\.jsonl:1: this line is not JSON"),
        (b"[1]\n", r"results\.jsonl:1: this line is no JSON object"),
        (b'{"type": "header"}\n{"index": 1}\n', r"results\.jsonl:2: this line is no result"),
        (
            b'{"type": "header"}\n{"index": 0, "clip": "a", "label": 1, "top": [],'
            b' "latency_ms": {"decode": 1, "preprocess": 1, "infer": 1}}\n',
            r"results\.jsonl:2: this line is no result",
        ),
    ],
)
def test_what_is_no_log(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / LOG_NAME
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=message):
        resumed(path, HEADER)
    assert path.read_bytes() == content


def test_a_log_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        started(tmp_path / "file" / LOG_NAME, HEADER)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk() -> None:
    from calibration.eval_log import EvalLog

    path = Path("/dev/full")
    log = EvalLog(path, path.open("wb"))
    with pytest.raises(OutputError, match="cannot be written"):
        log.append(clip(0))
    log.close()
