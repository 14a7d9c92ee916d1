"""What engines compile a graph to, kept in the user's cache folder from one start to the next.

One folder per key. It is filled beside its place and then renamed, so that an entry is complete or
not there; `entry.json` in it says what it is for, and the size and checksum of every file. An entry
that does not match, say after a power cut, is removed and made again. Losing the cache costs time,
nothing else.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import re
import shutil
import tempfile
import time
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from models.errors import OutputError
from runtime.cache_folder import cache_folder

logger = logging.getLogger(__name__)

LIMIT_BYTES = 2 << 30
"""Of all entries together: some dozens of TensorRT engines of video networks."""

_ABOUT = "entry.json"
_MAKING = "making-"
_GONE = "gone-"
_WRITING = ".entry-"
_DIGEST_LENGTH = 32
_OURS = re.compile(rf"(?:{_MAKING}|{_GONE}).*|[0-9a-f]{{{_DIGEST_LENGTH}}}")
_ABANDONED_S = 24 * 3600.0
"""Age from which an unfinished entry is removed where locks do not tell that it is being made."""

_NOT_YET_LOCKED_S = 5.0
"""Age up to which it may have been made and not locked yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineKey:
    """All that what an engine compiles depends on.

    Attributes:
        backend: Name of the backend.
        engine: Engine and versions, e.g. "onnxruntime 1.23.2, TensorRT 10.3.0".
        device: Device, and its driver where that matters.
        model_sha256: Digest of the graph.
        shape: Of the input, e.g. "1x8x3x224x224".
        settings: What the engine was told.
        model: Name for people, of model or graph; an entry serves all that are the same.
    """

    backend: str
    engine: str
    device: str
    model_sha256: str
    shape: str
    settings: Mapping[str, str] = field(default_factory=dict)
    model: str = ""

    @property
    def digest(self) -> str:
        """Name of its folder."""
        facts = {name: value for name, value in _facts(self).items() if name != "model"}
        text = json.dumps(facts, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_LENGTH]


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheEntry:
    """An entry that is complete.

    Attributes:
        path: Its folder.
        key: What it is for.
        size_bytes: Of its files.
        used_s: When it was last used, seconds of the Unix clock.
    """

    path: Path
    key: EngineKey
    size_bytes: int
    used_s: float


def default_folder() -> Path:
    """Where this user's entries are."""
    return cache_folder() / "engines"


@dataclass(frozen=True, slots=True)
class EngineCache:
    """Entries by key.

    Attributes:
        folder: Holds them; made when the first is kept.
        limit_bytes: Size from which those that were not used for longest are removed.
    """

    folder: Path = field(default_factory=default_folder)
    limit_bytes: int = LIMIT_BYTES

    @contextlib.contextmanager
    def entry(self, key: EngineKey) -> Iterator[Path]:
        """A folder for what an engine compiles, filled if the key is known, else empty.

        The folder may be gone when the block ends: let the engine load and run once inside. Files
        that are open or mapped then stay readable. What was written is kept if the block ends well
        and forgotten if it raises; of two processes that make the same entry the first wins, and
        both go on. Where nothing can be kept the folder is a temporary one.

        Args:
            key: What it is for.

        Yields:
            A folder that can be written to.

        Raises:
            OutputError: Neither the cache nor a temporary folder can be written to.
        """
        path = self.folder / key.digest
        with _in_use(path) as there:
            if there and _is_whole(path):
                logger.info("compiled before: %s", path)
                yield path
                self._seal_again(path, key)
                return
        if path.is_dir():
            self._remove(path)
        with self._unfinished(key) as unfinished:
            yield unfinished
            if unfinished.parent == self.folder:
                self._keep(unfinished, path, key)

    def entries(self) -> list[CacheEntry]:
        """All complete entries, those used last first."""
        found = []
        for path in self._folders():
            about = _read(path / _ABOUT) if len(path.name) == _DIGEST_LENGTH else None
            if about is not None:
                key, sizes, used_s = about
                found.append(
                    CacheEntry(path=path, key=key, size_bytes=sum(sizes.values()), used_s=used_s)
                )
        return sorted(found, key=lambda one: -one.used_s)

    def clear(self) -> tuple[list[CacheEntry], list[CacheEntry]]:
        """Remove all entries, but not those that a process is making or loading at the moment.

        Returns:
            Those removed, and those that are still there.
        """
        entries = self.entries()
        for path in self._folders():
            self._remove(path)
        left = [entry for entry in entries if entry.path.is_dir()]
        return [entry for entry in entries if entry not in left], left

    def _folders(self) -> list[Path]:
        """Folders in it that are ours."""
        try:
            paths = sorted(self.folder.iterdir())
        except OSError:
            return []
        return [path for path in paths if _OURS.fullmatch(path.name)]

    @contextlib.contextmanager
    def _unfinished(self, key: EngineKey) -> Iterator[Path]:
        """An empty folder beside the entries, or elsewhere; removed unless it was renamed."""
        prefix = f"{_MAKING}{key.digest[:8]}-"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            unfinished = Path(tempfile.mkdtemp(prefix=prefix, dir=self.folder))
        except OSError as error:
            logger.info("what %s compiles is not kept: %s", key.backend, error)
            try:
                unfinished = Path(tempfile.mkdtemp(prefix=f"edgecls-{prefix}"))
            except OSError as also:
                raise OutputError(
                    f"What {key.backend} compiles can be written neither to {self.folder} nor to a"
                    f" temporary folder ({also.strerror or also}).",
                    hint="XDG_CACHE_HOME=/folder/that/can/be/written edgecls …",
                ) from also
        with _in_use(unfinished):
            try:
                yield unfinished
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)

    def _keep(self, unfinished: Path, path: Path, key: EngineKey) -> None:
        """Give a finished entry its name; nothing is kept of an empty one."""
        try:
            if _seal(unfinished, key):
                unfinished.rename(path)
                self._trim(path)
        except OSError as error:
            if not path.is_dir():  # else another process was faster
                logger.info("what %s compiled is not kept: %s", key.backend, error)

    def _seal_again(self, path: Path, key: EngineKey) -> None:
        """Take note of what the engine changed in an entry that was there."""
        try:
            about = json.loads((path / _ABOUT).read_text(encoding="utf-8"))
            if _checksums(path) != about["files"]:
                _seal(path, key)
                self._trim(path)
        except (OSError, ValueError, KeyError) as error:  # another process removed it
            logger.info("%s is not kept: %s", path, error)

    def _trim(self, newest: Path) -> None:
        """Remove what is beyond the limit, the longest unused first, and what was abandoned."""
        for path in self._folders():
            if path.name.startswith((_GONE, _MAKING)):
                self._remove(path)
        total = 0
        for entry in self.entries():
            total += entry.size_bytes
            if total > self.limit_bytes and entry.path != newest:
                logger.info("removed, as the cache is full: %s", entry.path)
                self._remove(entry.path)

    def _remove(self, path: Path) -> None:
        """Remove a folder that nobody uses."""
        try:
            lock = _locked(path, shared=False)
        except (BlockingIOError, FileNotFoundError):
            logger.debug("in use, or gone already: %s", path)
            return
        with contextlib.ExitStack() as unlock:
            if lock is not None:
                unlock.callback(os.close, lock)
            young_s = _ABANDONED_S if lock is None else _NOT_YET_LOCKED_S
            if path.name.startswith(_MAKING) and _age_s(path) < young_s:
                return
            self._remove_unused(path)

    def _remove_unused(self, path: Path) -> None:
        """Under another name first, so that nobody finds half an entry."""
        gone = path.with_name(f"{_GONE}{os.getpid()}-{path.name}"[:200])
        try:
            path.rename(gone)
        except OSError:
            gone = path
        shutil.rmtree(gone, ignore_errors=True)


def _is_whole(path: Path) -> bool:
    """Whether an entry is there and as it was written."""
    if not path.is_dir():
        return False
    try:
        about = json.loads((path / _ABOUT).read_text(encoding="utf-8"))
        whole = bool(_checksums(path) == about["files"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        logger.debug("%s: %s", path, error)
        whole = False
    if not whole:
        logger.info("%s is damaged and made again", path)
        return False
    with contextlib.suppress(OSError):  # a cache that came with an image
        os.utime(path / _ABOUT)
    return True


def _facts(key: EngineKey) -> dict[str, Any]:
    return {**asdict(key), "settings": dict(key.settings)}


def _checksums(folder: Path) -> dict[str, list[int]]:
    """Size and CRC-32 of every file but our own, by its path in the folder."""
    return {
        path.relative_to(folder).as_posix(): [path.stat().st_size, _crc32(path)]
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != _ABOUT and not path.name.startswith(_WRITING)
    }


def _crc32(path: Path) -> int:
    value = 0
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            value = zlib.crc32(chunk, value)
    return value


def _seal(folder: Path, key: EngineKey) -> bool:
    """Write what the entry is for and what is in it; False if there is nothing in it."""
    files = _checksums(folder)
    for name in files:
        with (folder / name).open("rb") as file:
            os.fsync(file.fileno())
    about = json.dumps({"key": _facts(key), "files": files}, indent=1, sort_keys=True)
    handle, temporary = tempfile.mkstemp(dir=folder, prefix=_WRITING)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(about + "\n")
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(folder / _ABOUT)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise
    return bool(files)


def _read(path: Path) -> tuple[EngineKey, dict[str, int], float] | None:
    """Key, size of each file, and time of last use; None for what is not as it was written."""
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        key = EngineKey(**about["key"])
        words = [*(value for name, value in _facts(key).items() if name != "settings")]
        if not all(isinstance(word, str) for word in (*words, *key.settings.values())):
            return None
        sizes = {str(name): int(size) for name, (size, _) in about["files"].items()}
        return key, sizes, path.stat().st_mtime
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None
    except (OverflowError, RecursionError):
        return None


@contextlib.contextmanager
def _in_use(folder: Path) -> Iterator[bool]:
    """Keep others from removing a folder while the block runs; yields whether it is there."""
    try:
        lock = _locked(folder, shared=True)
    except (BlockingIOError, FileNotFoundError):  # it is being removed, or never was
        yield False
        return
    try:
        yield lock is None or _is_still(folder, lock)
    finally:
        if lock is not None:
            os.close(lock)


def _is_still(folder: Path, handle: int) -> bool:
    """Whether an open folder has not been renamed since."""
    try:
        return os.path.samestat(os.fstat(handle), folder.stat())
    except OSError:
        return False


def _locked(folder: Path, *, shared: bool) -> int | None:
    """Lock a folder for as long as the handle is open, or its process lives.

    Who uses it shares the lock; who removes it must have it alone.

    Returns:
        None where folders cannot be locked.

    Raises:
        BlockingIOError: Another process, of this container or another, has locked it.
        FileNotFoundError: There is no such folder.
    """
    try:
        import fcntl
    except ImportError:
        return None
    handle = None
    try:
        handle = os.open(folder, os.O_RDONLY)
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError as error:
        if handle is not None:
            os.close(handle)
        if isinstance(error, BlockingIOError | FileNotFoundError):
            raise
        return None
    return handle


def _age_s(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0
