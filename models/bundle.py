"""A bundle on disk: find it, check its files, hand out their paths."""

from __future__ import annotations

import io
import stat
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.card import CARD_NAME, BundleFile, ModelCard, Variant, card_from_json, sha256_of
from models.errors import BundleError, BundleNotFound

BUILTIN_BUNDLE = Path(__file__).parent / "builtin"
"""The trained camera-motion model that ships inside the package."""

MAX_CARD_BYTES = 16 << 20

MAX_PROBE_CLIPS, MAX_PROBE_BYTES = 16, 64 << 20
"""Most stored clips, and most bytes of an array of them: several times what conversions write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A folder with a valid card. Files are checked when their path is asked for.

    Attributes:
        path: The folder.
        card: Its card.
    """

    path: Path
    card: ModelCard

    def checked(self, entry: BundleFile) -> Path:
        """Path of a file of the bundle, after comparing its size and digest with the card.

        Raises:
            BundleError: The file is missing or its content changed.
        """
        path = self.path / entry.file
        again = "Convert the model again, or restore the bundle from its source."
        try:
            size_bytes = path.stat().st_size
            digest = sha256_of(path) if size_bytes == entry.size_bytes else ""
        except OSError as error:
            raise BundleError(
                f"{path} cannot be read: {error.strerror or error}.", hint=again
            ) from error
        if size_bytes != entry.size_bytes:
            raise BundleError(
                f"{path} has {size_bytes} bytes, the card says {entry.size_bytes}.", hint=again
            )
        if digest != entry.sha256:
            raise BundleError(
                f"{path} was changed: its SHA-256 is {digest[:12]}…, the card says"
                f" {entry.sha256[:12]}….",
                hint=again,
            )
        return path

    def model_path(self, precision: str = "fp32", *, backend: str | None = None) -> Path:
        """Checked path of the graph at a precision.

        Args:
            precision: Its numeric precision.
            backend: What is to run it, see `ModelCard.variant`.

        Raises:
            BundleError: No such variant, or a file does not match the card.
        """
        return self.graph_path(self.card.variant(precision, backend=backend))

    def graph_path(self, variant: Variant) -> Path:
        """Checked path of a graph, its weights checked as well.

        Raises:
            BundleError: A file does not match the card.
        """
        if variant.weights is not None:
            self.checked(variant.weights)
        return self.checked(variant)

    def stage_paths(self, variant: Variant) -> tuple[Path, ...]:
        """Checked paths of the stage graphs of a variant, in their order; empty where none are.

        Raises:
            BundleError: A file does not match the card.
        """
        return tuple(self.checked(stage) for stage in variant.stages)

    def probe(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Stored inputs and the logits that the reference gave for them.

        Returns:
            Clips, float32 [P, T, 3, H, W], and logits, float32 [P, classes].

        Raises:
            BundleError: The file is altered, or does not hold what the card promises.
        """
        path = self.checked(self.card.probe)
        try:
            with zipfile.ZipFile(path) as archive:
                seeds, logits = (_stored(archive, name) for name in ("seeds", "logits"))
        except Exception as error:  # a damaged archive can break its readers in any way
            raise BundleError(
                f"{path} is not a probe file: {str(error) or type(error).__name__}."
            ) from error
        repeat, clips = self.card.probe.repeat, len(seeds) if seeds.ndim else 0
        shape = (*seeds.shape[:-2], *(side * repeat for side in seeds.shape[-2:]))
        expected = self.card.clip.input_shape(clips)
        if not 1 <= clips <= MAX_PROBE_CLIPS or shape != expected:
            raise BundleError(
                f"{path} holds clips {shape}; the card asks for {expected}, with 1 to"
                f" {MAX_PROBE_CLIPS} clips."
            )
        if logits.shape != (clips, self.card.classes):
            raise BundleError(
                f"{path} holds logits {logits.shape}; the card asks for"
                f" {(clips, self.card.classes)}."
            )
        if not (np.isfinite(seeds).all() and np.isfinite(logits).all()):
            raise BundleError(f"{path} holds values that are NaN or infinite.")
        return expand_probe(seeds, repeat), logits


def _stored(archive: zipfile.ZipFile, name: str) -> NDArray[np.float32]:
    """One array of a probe file.

    Raises:
        ValueError: It is larger than any honest one, or not of floats.
        Exception: The archive is damaged; whatever its readers raise.
    """
    entry = archive.getinfo(f"{name}.npy")
    if entry.file_size > MAX_PROBE_BYTES:
        raise ValueError(f"{name} has {entry.file_size} bytes, at most {MAX_PROBE_BYTES} are read")
    with archive.open(entry) as file:
        content = file.read(MAX_PROBE_BYTES)
    array = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
    if array.dtype != np.float32:
        raise ValueError(f"{name} is an array of {array.dtype}, not of float32")
    return array


def expand_probe(seeds: NDArray[np.float32], repeat: int) -> NDArray[np.float32]:
    """Repeat every value `repeat` times along both image axes.

    Args:
        seeds: float32 [P, T, 3, h, w].
        repeat: Factor.

    Returns:
        float32 [P, T, 3, h * repeat, w * repeat], C-contiguous.
    """
    return np.ascontiguousarray(
        seeds.repeat(repeat, axis=-2).repeat(repeat, axis=-1), dtype=np.float32
    )


def open_bundle(path: Path | None) -> Bundle:
    """Read the card of a bundle; the graph itself is not touched yet.

    Args:
        path: The bundle folder (or its `card.json`); None for the built-in model.

    Raises:
        BundleNotFound: There is no such folder, or no card in it.
        SchemaTooNew: The card was written by a newer edgecls.
        BundleError: The card is not valid.
    """
    folder = BUILTIN_BUNDLE if path is None else path
    if folder.name == CARD_NAME:
        folder = folder.parent
    card_path = folder / CARD_NAME
    try:
        state = card_path.stat()
        if not stat.S_ISREG(state.st_mode) or state.st_size > MAX_CARD_BYTES:
            raise BundleError(
                f"{card_path} is not a file of at most {MAX_CARD_BYTES >> 20} MiB, as cards are."
            )
        text = card_path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        what = "no card.json in it" if folder.is_dir() else "no such folder"
        raise BundleNotFound(
            f"{folder} is not a bundle: {what}.",
            hint=f"Make one: edgecls convert CHECKPOINT -o {folder}",
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise BundleError(f"{card_path} cannot be read: {error}.") from error
    return Bundle(path=folder, card=card_from_json(text, origin=str(card_path)))
