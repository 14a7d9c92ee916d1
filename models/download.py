"""Download a published checkpoint: resumed when interrupted, pinned when first received."""

from __future__ import annotations

import json
import logging
import shutil
import tarfile
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any, Literal

from models.card import sha256_of
from models.catalog import Published
from models.errors import DownloadError, OutputError

logger = logging.getLogger(__name__)

LOCK_NAME = "models.lock.json"
TIMEOUT_S = 30.0
_PIECE_BYTES = 1 << 18

Progress = Callable[[int, int | None], None]
"""Called with the bytes received so far, and the bytes expected (None when not known)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulled:
    """A checkpoint on this disk.

    Attributes:
        path: The weights file, or the folder of the exported program: what `convert` takes.
        sha256: Digest of the file that was downloaded.
        trust: `pinned` when this was the first time and the digest was written down, `matched`
            when it agrees with the one written down before.
    """

    path: Path
    sha256: str
    trust: Literal["pinned", "matched"]


def default_lock_path() -> Path:
    """Where the digests are kept, per user."""
    from platformdirs import user_data_path

    return user_data_path("edgecls", appauthor=False) / LOCK_NAME


def pull(entry: Published, folder: Path, *, lock_path: Path, progress: Progress) -> Pulled:
    """Download a checkpoint into a folder.

    A broken transfer leaves a hidden `.part` file and is taken up there next time, if the server
    says that the file is still the same. The file appears under its name only when it is
    complete and its digest agrees with the lock file; an archive is unpacked beside it.

    Args:
        entry: What to download.
        folder: Where to; made when missing.
        lock_path: File with the digests of what was received before.
        progress: Told how far it is.

    Raises:
        DownloadError: No network, an HTTP error, a broken transfer, or another digest than the
            one pinned.
        OutputError: The folder or the lock file cannot be written, or holds something else of
            that name.
    """
    import pooch

    pins = _read_pins(lock_path)
    pinned = pins.get(entry.url)
    archive = folder / entry.file
    unpacked = folder / entry.name
    _refuse_strangers(entry, archive, unpacked, pinned=pinned)
    _make(folder)
    pooch.get_logger().setLevel("WARNING")
    try:
        pooch.retrieve(
            entry.url,
            known_hash=f"sha256:{pinned}" if pinned else None,
            fname=archive.name,
            path=folder,
            downloader=_Downloader(part=folder / f".{entry.file}.part", progress=progress),
        )
    except ValueError as error:
        raise DownloadError(
            f"{entry.url} is not what it was: its SHA-256 is not the {str(pinned)[:12]}… pinned"
            f" in {lock_path}. Nothing was kept.",
            hint=f"If its authors replaced it, remove that entry from {lock_path} and pull again.",
        ) from error
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(f"{archive} cannot be written: {error.strerror or error}.") from error
    digest = sha256_of(archive)
    if entry.kind == "inference" and not unpacked.exists():
        try:
            unpack(archive, unpacked)
        except DownloadError:
            archive.unlink()
            raise
    if pinned is None:
        _write_pins(lock_path, {**pins, entry.url: digest})
    return Pulled(
        path=archive if entry.kind == "pdparams" else unpacked,
        sha256=digest,
        trust="matched" if pinned else "pinned",
    )


def _refuse_strangers(
    entry: Published, archive: Path, unpacked: Path, *, pinned: str | None
) -> None:
    """Never adopt, and never overwrite, a file whose origin is not known."""
    strange = None
    if archive.exists() and (pinned is None or sha256_of(archive) != pinned):
        strange = archive
    elif entry.kind == "inference" and unpacked.exists() and not archive.exists():
        strange = unpacked
    if strange is not None:
        raise OutputError(
            f"{strange} exists already, and is not what was downloaded before.",
            hint=f"Remove it, or choose another folder: edgecls models pull {entry.name} -o DIR",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Downloader:
    """Gets a file over HTTP for pooch, which has no way to take up a broken transfer.

    Attributes:
        part: What was received so far; its validator is kept beside it.
        progress: Told how far it is.
    """

    part: Path
    progress: Progress

    def __call__(self, url: str, output_file: str, pooch: object) -> None:
        """Fetch `url` and put it at `output_file`."""
        try:
            self._fetch(url)
        except urllib.error.HTTPError as error:
            with error:
                raise DownloadError(
                    f"{url}: the server answered {error.code} {error.reason}.",
                    hint=_by_hand(url),
                ) from error
        except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError) as error:
            reason = getattr(error, "reason", None) or error
            received = self._received()
            kept = (
                f" {received} bytes are kept; the same command goes on there." if received else ""
            )
            raise DownloadError(
                f"{url} could not be downloaded: {reason}.{kept}", hint=_by_hand(url)
            ) from error
        self.part.replace(output_file)
        self._validator_path().unlink(missing_ok=True)

    def _fetch(self, url: str) -> None:
        start = self._received()
        validator = self._validator()
        headers = {"User-Agent": "edgecls", "Accept-Encoding": "identity"}
        if start and validator:
            headers |= {"Range": f"bytes={start}-", "If-Range": validator}
        request = urllib.request.Request(url, headers=headers)
        try:
            response: HTTPResponse = urllib.request.urlopen(request, timeout=TIMEOUT_S)
        except urllib.error.HTTPError as error:
            if error.code != 416 or "Range" not in headers:
                raise
            error.close()
            self.part.unlink()  # nothing is left to send: complete, or longer than the original
            self._fetch(url)
            return
        with response:
            resumed = response.status == 206
            self._remember_validator(response)
            self._receive(response, start if resumed else 0)

    def _receive(self, response: HTTPResponse, start: int) -> None:
        length = response.headers.get("Content-Length")
        total = start + int(length) if length and length.isdigit() else None
        received = start
        with self.part.open("ab" if start else "wb") as file:
            while piece := _read(response):
                file.write(piece)
                received += len(piece)
                self.progress(received, total)
        if total is not None and received < total:
            raise ConnectionError(f"the connection broke after {received} of {total} bytes")

    def _received(self) -> int:
        try:
            return self.part.stat().st_size
        except FileNotFoundError:
            return 0

    def _validator_path(self) -> Path:
        return self.part.with_name(f"{self.part.name}.validator")

    def _validator(self) -> str:
        """What the server called the version of which `part` is the beginning."""
        try:
            return self._validator_path().read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError):
            return ""

    def _remember_validator(self, response: HTTPResponse) -> None:
        """A weak tag does not promise equal bytes and is of no use here."""
        tag = response.headers.get("ETag", "")
        if not tag or tag.startswith("W/"):
            tag = response.headers.get("Last-Modified", "")
        self._validator_path().write_text(tag, encoding="ascii", errors="ignore")


def _read(response: HTTPResponse) -> bytes:
    """Some more bytes; trouble of the network is told from trouble of the disk."""
    try:
        return response.read(_PIECE_BYTES)
    except OSError as error:
        raise ConnectionError(error.strerror or str(error)) from error


def unpack(archive: Path, target: Path) -> None:
    """Unpack the plain files of a tar into a new folder, or leave nothing.

    Only files and folders are taken; a link, a device, or a name that leads out of the folder
    makes the archive unusable. A single top-level folder is taken off.

    Raises:
        DownloadError: The archive is broken or not harmless.
        OutputError: The folder cannot be written.
    """
    try:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as name:
            root = Path(name) / "content"
            root.mkdir()
            _unpack_into(archive, root)
            children = list(root.iterdir())
            single = children[0] if len(children) == 1 and children[0].is_dir() else root
            single.replace(target)
    except (tarfile.TarError, EOFError) as error:
        raise DownloadError(
            f"{archive.name} is not a tar archive that can be used: {error}. Nothing was kept.",
            hint="A proxy may have answered in place of the server; try again, or elsewhere.",
        ) from error
    except OSError as error:
        raise OutputError(f"{target} cannot be written: {error.strerror or error}.") from error


def _unpack_into(archive: Path, root: Path) -> None:
    with tarfile.open(archive) as tar:
        for member in tar:
            path = root / member.name
            inside = root.resolve() in (path.resolve(), *path.resolve().parents)
            if not inside or not (member.isfile() or member.isdir()):
                raise tarfile.TarError(f"it holds {member.name!r}, which is not a plain file")
            if member.isdir():
                path.mkdir(parents=True, exist_ok=True)
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            content = tar.extractfile(member)
            if content is not None:
                with content, path.open("wb") as file:
                    shutil.copyfileobj(content, file)


def _by_hand(url: str) -> str:
    return f"Fetch it by hand and convert that file: {url}"


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder} cannot be made: {error.strerror or error}.") from error


def _read_pins(path: Path) -> dict[str, str]:
    """Digests by address. A damaged lock file is an error: ignoring it would drop the pins."""
    try:
        stored: Any = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise DownloadError(
            f"The lock file {path} cannot be read: {error}.", hint=f"Remove it: rm {path}"
        ) from error
    if not isinstance(stored, dict) or not all(isinstance(one, str) for one in stored.values()):
        raise DownloadError(
            f"The lock file {path} does not hold digests by address.", hint=f"Remove it: rm {path}"
        )
    return stored


def _write_pins(path: Path, pins: dict[str, str]) -> None:
    partial = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(pins, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise OutputError(
            f"The lock file {path} cannot be written: {error.strerror or error}.",
        ) from error
