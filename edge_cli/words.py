"""Card and sizes in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.spec import ClipSpec

_LIBRARIES = {"pillow": "Pillow", "opencv": "OpenCV"}


def size_in_words(size_bytes: int) -> str:
    """E.g. "24.1 MB", "1.4 kB", "12 bytes"."""
    if size_bytes < 1000:
        return f"{size_bytes} bytes"
    for unit, factor in (("kB", 1e3), ("MB", 1e6)):
        if size_bytes < 999.95 * factor:
            return f"{size_bytes / factor:.1f} {unit}"
    return f"{size_bytes / 1e9:.1f} GB"


def preprocessing_in_words(clip: ClipSpec) -> tuple[str, ...]:
    """The way from decoded pictures to the input tensor, a line per step."""
    short = clip.resize.short_side
    library = _LIBRARIES[clip.resize.library]
    geometry = {
        "fixed_4_3": f"{int(short * 4.0 / 3.0)}x{short}, whatever the shape of the picture",
        "keep_aspect": f"short side {short}, shape kept",
        "stretch": f"{short}x{short}, stretched",
    }[clip.resize.policy]
    mean = ", ".join(f"{value:g}" for value in clip.mean)
    std = ", ".join(f"{value:g}" for value in clip.std)
    return (
        f"{clip.frames} frames, the centres of {clip.frames} equal parts of the window",
        f"resized to {geometry} ({library} bilinear)",
        f"centre crop {clip.crop}x{clip.crop}, RGB, scaled to 0 - 1",
        f"minus mean ({mean}), divided by std ({std})",
    )
