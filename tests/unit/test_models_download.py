"""Downloads from a server on this machine: resumed, pinned, refused, unpacked."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from models.catalog import Published
from models.download import Pulled, pull, unpack
from models.errors import DownloadError, OutputError

CONTENT = bytes(range(256)) * 4096  # 1 MiB
OTHER = CONTENT[::-1]


@dataclass
class Server:
    """What the local server does, and what it was asked."""

    content: bytes = CONTENT
    etag: str = '"v1"'
    send_bytes: int | None = None
    status: int = 200
    ranges: list[str] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/model.pdparams"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range", "")
            state.ranges.append(asked)
            if state.status != 200:
                self.send_error(state.status)
                return
            start = 0
            if asked and self.headers.get("If-Range") == state.etag:
                start = int(asked.removeprefix("bytes=").rstrip("-"))
                if start >= len(state.content):
                    self.send_error(416)
                    return
            body = state.content[start:]
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("ETag", state.etag)
            self.end_headers()
            self.wfile.write(body[: state.send_bytes])

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            return

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.port = http.server_address[1]
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield state
    http.shutdown()
    thread.join()
    http.server_close()


@dataclass
class Place:
    folder: Path
    lock: Path
    seen: list[tuple[int, int | None]] = field(default_factory=list)

    def pull(self, entry: Published) -> Pulled:
        return pull(
            entry,
            self.folder,
            lock_path=self.lock,
            progress=lambda received, total: self.seen.append((received, total)),
        )

    def names(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(folder=tmp_path / "out", lock=tmp_path / "state" / "models.lock.json")


def weights(server: Server) -> Published:
    return Published(
        name="tiny",
        family="tiny",
        frames=8,
        kind="pdparams",
        url=server.url,
        top1_percent=70.0,
        size_mb=None,
        source="paddlevideo",
    )


def tar_of(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for info, content in members:
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def program(server: Server) -> Published:
    url = server.url.replace("model.pdparams", "tiny_infer.tar")
    return replace(weights(server), kind="inference", url=url)


def test_first_pull_pins(server: Server, place: Place) -> None:
    pulled = place.pull(weights(server))
    assert pulled.path.read_bytes() == CONTENT
    assert pulled.trust == "pinned"
    assert pulled.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert json.loads(place.lock.read_text()) == {server.url: pulled.sha256}
    assert place.names() == ["model.pdparams"]
    assert place.seen[-1] == (len(CONTENT), len(CONTENT))


def test_second_pull_does_not_download(server: Server, place: Place) -> None:
    place.pull(weights(server))
    pulled = place.pull(weights(server))
    assert pulled.trust == "matched"
    assert len(server.ranges) == 1


def test_changed_content_is_refused(server: Server, place: Place) -> None:
    place.pull(weights(server)).path.unlink()
    server.content = OTHER
    with pytest.raises(DownloadError, match="is not what it was") as caught:
        place.pull(weights(server))
    assert str(place.lock) in caught.value.hint
    assert place.names() == []


def test_broken_transfer_is_taken_up(server: Server, place: Place) -> None:
    server.send_bytes = 300_000
    with pytest.raises(DownloadError, match="300000 bytes are kept") as caught:
        place.pull(weights(server))
    assert server.url in caught.value.hint
    assert "model.pdparams" not in place.names()
    assert not place.lock.exists()
    server.send_bytes = None
    pulled = place.pull(weights(server))
    assert pulled.path.read_bytes() == CONTENT
    assert server.ranges == ["", "bytes=300000-"]
    assert place.names() == ["model.pdparams"]


def test_transfer_broken_twice(server: Server, place: Place) -> None:
    server.send_bytes = 300_000
    for kept in (300_000, 600_000):
        with pytest.raises(DownloadError, match=f"{kept} bytes are kept"):
            place.pull(weights(server))
    server.send_bytes = None
    assert place.pull(weights(server)).path.read_bytes() == CONTENT


def test_no_resume_into_another_version(server: Server, place: Place) -> None:
    server.send_bytes = 300_000
    with pytest.raises(DownloadError):
        place.pull(weights(server))
    server.send_bytes, server.content, server.etag = None, OTHER, '"v2"'
    assert place.pull(weights(server)).path.read_bytes() == OTHER


def test_no_resume_without_a_strong_validator(server: Server, place: Place) -> None:
    server.send_bytes, server.etag = 300_000, 'W/"v1"'
    with pytest.raises(DownloadError):
        place.pull(weights(server))
    server.send_bytes = None
    assert place.pull(weights(server)).path.read_bytes() == CONTENT
    assert server.ranges == ["", ""]


def test_part_that_was_complete_already(server: Server, place: Place) -> None:
    place.folder.mkdir()
    (place.folder / ".model.pdparams.part").write_bytes(CONTENT)
    (place.folder / ".model.pdparams.part.validator").write_text(server.etag)
    assert place.pull(weights(server)).path.read_bytes() == CONTENT


@pytest.mark.parametrize("status", [403, 404, 500])
def test_http_error(server: Server, place: Place, status: int) -> None:
    server.status = status
    with pytest.raises(DownloadError, match=f"answered {status}") as caught:
        place.pull(weights(server))
    assert server.url in caught.value.hint
    assert place.names() == []


def test_no_network(server: Server, place: Place) -> None:
    entry = replace(weights(server), url="http://127.0.0.1:9/model.pdparams")
    with pytest.raises(DownloadError, match="could not be downloaded") as caught:
        place.pull(entry)
    assert entry.url in caught.value.hint
    assert place.names() == []


def test_file_of_unknown_origin_is_not_adopted(server: Server, place: Place) -> None:
    place.folder.mkdir()
    (place.folder / "model.pdparams").write_bytes(b"mine")
    with pytest.raises(OutputError, match="exists already"):
        place.pull(weights(server))
    assert (place.folder / "model.pdparams").read_bytes() == b"mine"
    assert server.ranges == []


def test_folder_that_cannot_be_made(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    place = Place(folder=tmp_path / "file" / "out", lock=tmp_path / "lock.json")
    with pytest.raises(OutputError, match="cannot be made"):
        place.pull(weights(server))


def test_lock_that_cannot_be_written(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    place = Place(folder=tmp_path / "out", lock=tmp_path / "file" / "lock.json")
    with pytest.raises(DownloadError, match="cannot be read"):
        place.pull(weights(server))
    place.lock = tmp_path / "folder" / "lock.json"
    place.lock.parent.mkdir()
    place.lock.with_name(".lock.json.part").mkdir()
    with pytest.raises(OutputError, match="cannot be written"):
        place.pull(weights(server))


def test_program_folder_of_unknown_origin(server: Server, place: Place) -> None:
    (place.folder / "tiny").mkdir(parents=True)
    with pytest.raises(OutputError, match="tiny exists already"):
        place.pull(program(server))
    assert server.ranges == []


@pytest.mark.parametrize("text", ["{", "[]", '{"url": 3}'])
def test_damaged_lock_file_is_an_error(server: Server, place: Place, text: str) -> None:
    place.lock.parent.mkdir()
    place.lock.write_text(text)
    with pytest.raises(DownloadError, match=r"models\.lock\.json"):
        place.pull(weights(server))
    assert place.lock.read_text() == text


def test_program_is_unpacked(server: Server, place: Place) -> None:
    server.content = tar_of(
        (tarfile.TarInfo("model_infer/inference.json"), b"{}"),
        (tarfile.TarInfo("model_infer/inference.pdiparams"), b"weights"),
    )
    pulled = place.pull(program(server))
    assert pulled.path == place.folder / "tiny"
    assert (pulled.path / "inference.pdiparams").read_bytes() == b"weights"
    assert place.names() == ["tiny", "tiny_infer.tar"]
    assert place.pull(program(server)).trust == "matched"


def test_program_without_a_top_folder(server: Server, place: Place) -> None:
    server.content = tar_of((tarfile.TarInfo("inference.json"), b"{}"))
    assert (place.pull(program(server)).path / "inference.json").read_bytes() == b"{}"


def test_archive_that_is_none_is_neither_kept_nor_pinned(server: Server, place: Place) -> None:
    server.content = b"<html>log in first</html>"
    with pytest.raises(DownloadError, match="not a tar archive"):
        place.pull(program(server))
    assert place.names() == []
    assert not place.lock.exists()


def link(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = tarfile.SYMTYPE, target
    return info, b""


@pytest.mark.parametrize(
    "member",
    [
        (tarfile.TarInfo("../evil"), b"x"),
        (tarfile.TarInfo("a/../../evil"), b"x"),
        (tarfile.TarInfo("/tmp/edgecls-evil"), b"x"),
        link("link", "/etc"),
    ],
    ids=["parent", "nested parent", "absolute", "link"],
)
def test_harmful_archive(tmp_path: Path, member: tuple[tarfile.TarInfo, bytes]) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    archive = folder / "model.tar"
    archive.write_bytes(tar_of((tarfile.TarInfo("good"), b"x"), member))
    with pytest.raises(DownloadError, match="not a plain file"):
        unpack(archive, folder / "tiny")
    assert [path.name for path in folder.iterdir()] == ["model.tar"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert not Path("/tmp/edgecls-evil").exists()


def test_archive_that_is_none(tmp_path: Path) -> None:
    archive = tmp_path / "model.tar"
    archive.write_bytes(b"<html>moved</html>")
    with pytest.raises(DownloadError, match="not a tar archive"):
        unpack(archive, tmp_path / "tiny")
