"""A bundle on disk: find it, check its files, hand out their paths."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.card import CARD_NAME, BundleFile, ModelCard, card_from_json, sha256_of
from models.errors import BundleError, BundleNotFound

BUILTIN_BUNDLE = Path(__file__).parent / "builtin"
"""The trained camera-motion model that ships inside the package."""


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

    def model_path(self, precision: str = "fp32") -> Path:
        """Checked path of the graph at a precision.

        Raises:
            BundleError: No such variant, or the file does not match the card.
        """
        return self.checked(self.card.variant(precision))

    def probe(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Stored inputs and the logits that the reference gave for them.

        Returns:
            Clips, float32 [P, T, 3, H, W], and logits, float32 [P, classes].

        Raises:
            BundleError: The file is altered, or does not hold what the card promises.
        """
        path = self.checked(self.card.probe)
        try:
            with np.load(path, allow_pickle=False) as stored:
                seeds, logits = stored["seeds"], stored["logits"]
        except (OSError, ValueError, KeyError) as error:
            raise BundleError(f"{path} is not a probe file: {error}.") from error
        clips = expand_probe(seeds, self.card.probe.repeat)
        expected = self.card.clip.input_shape(len(seeds))
        if clips.shape != expected or logits.shape != (len(seeds), self.card.classes):
            raise BundleError(
                f"{path} holds clips {clips.shape} and logits {logits.shape}; the card asks for"
                f" {expected} and {(len(seeds), self.card.classes)}."
            )
        return clips, logits.astype(np.float32)


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
