"""The ring of coded pictures: covers its span, begins with a key picture, stays small."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runtime.outputs.clip_ring import ClipRing, CodedPicture


def picture(tick: int, *, key: bool, size: int = 10) -> CodedPicture:
    return CodedPicture(time_s=tick / 16, key=key, data=b"x" * size)


@given(
    steps=st.lists(st.tuples(st.integers(1, 8), st.booleans()), max_size=80),
    span=st.integers(1, 40),
    back=st.integers(0, 60),
)
def test_covers_its_span_and_no_group_more(
    steps: list[tuple[int, bool]], span: int, back: int
) -> None:
    ring = ClipRing(span / 16, limit_bytes=10**9)
    tick, added = 0, []
    for step, key in steps:
        tick += step
        ring.add(picture(tick, key=key))
        added.append((tick, key))
    kept = [(round(one.time_s * 16), one.key) for one in ring.since(-1.0)]
    keys = [number for number, (_, key) in enumerate(added) if key]
    if not keys:
        assert kept == []
        return
    # From the last key picture that is old enough, else from the first one.
    old = [number for number in keys if added[number][0] <= tick - span]
    assert kept == added[old[-1] if old else keys[0] :]
    assert kept[0][1]
    assert ring.bytes == 10 * len(kept)
    asked = [(round(one.time_s * 16), one.key) for one in ring.since((tick - back) / 16)]
    assert asked[0][1]
    assert asked == kept[len(kept) - len(asked) :]
    if back <= span and old:
        assert asked[0][0] <= tick - back
    later = [at for at, key in asked[1:] if key]
    assert all(at > tick - back for at in later)
    ring.clear()
    assert ring.since(0.0) == []
    assert ring.bytes == 0


def test_bytes_are_bounded() -> None:
    ring = ClipRing(1000.0, limit_bytes=1000)
    for tick in range(1000):
        ring.add(picture(tick, key=tick % 5 == 0))
        assert ring.bytes <= 1000
    assert ring.bytes >= 900
    ring.add(picture(2000, key=True, size=5000))  # a group may be larger; it stays
    assert [one.time_s for one in ring.since(0.0)] == [125.0]
