from __future__ import annotations

import time

import pytest

from models.errors import SourceError
from runtime import opened_sources
from runtime.opened_sources import open_sources
from runtime.sources import SourceOptions
from tests.fakes import FakeSource
from tests.pauses import Pauses
from tests.stream_servers import SilentServer


def test_those_that_do_not_answer_are_waited_for_together(pauses: Pauses) -> None:
    server, options = SilentServer(), SourceOptions(open_timeout_s=0.5, read_timeout_s=0.5)
    uri = f"http://127.0.0.1:{server.port}/x"
    started_s = time.monotonic()
    sources = open_sources([("demo", options), *([(uri, options)] * 4)])
    assert time.monotonic() - started_s < 1.5 + pauses.lost_s
    assert [source.live for source in sources] == [False, True, True, True, True]
    for source in sources:
        source.close()
    server.close()


def test_where_one_fails_all_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    good = [FakeSource([]) for _ in range(2)]

    def opened(uri: str, options: SourceOptions) -> FakeSource:
        if uri.startswith("bad"):
            raise SourceError(f"no {uri}")
        return good[int(uri)]

    monkeypatch.setattr(opened_sources, "open_source", opened)
    options = SourceOptions()
    with pytest.raises(SourceError, match="no bad 1"):
        open_sources([(uri, options) for uri in ("0", "bad 1", "1", "bad 2")])
    assert [source.closed for source in good] == [1, 1]
    found = open_sources([("1", options), ("0", options)])
    assert [id(source) for source in found] == [id(good[1]), id(good[0])]
