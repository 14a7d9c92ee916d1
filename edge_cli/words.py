"""Card and sizes in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.sizes import size_in_words as size_in_words

if TYPE_CHECKING:
    from models.spec import ClipSpec

_LIBRARIES = {"pillow": "Pillow", "opencv": "OpenCV"}
_LONG_SIDES = {"down": "rounded down", "nearest": "rounded to nearest"}
_OFFSETS = {"round": "offset halved to even", "down": "offset rounded down"}
_VIEWS = {
    1: "the centre crop alone",
    10: "10 views: centre and corners, each also mirrored; their logits averaged",
}


def preprocessing_in_words(clip: ClipSpec) -> tuple[str, ...]:
    """The way from decoded pictures to the input tensor, a line per step."""
    short = clip.resize.short_side
    library = _LIBRARIES[clip.resize.library]
    geometry = {
        "fixed_4_3": f"{int(short * 4.0 / 3.0)}x{short}, whatever the shape of the picture",
        "keep_aspect": f"short side {short}, shape kept,"
        f" long side {_LONG_SIDES[clip.resize.long_side]}",
        "stretch": f"{short}x{short}, stretched",
    }[clip.resize.policy]
    chosen = {
        "centre": f"the centres of {clip.frames} equal parts of the window",
        "left": f"the middles of {clip.frames} parts of the window, of fractional length",
    }[clip.segment_frame]
    mean = ", ".join(f"{value:g}" for value in clip.mean)
    std = ", ".join(f"{value:g}" for value in clip.std)
    return (
        f"{clip.frames} frames, {chosen}",
        f"resized to {geometry} ({library} bilinear)",
        f"centre crop {clip.crop}x{clip.crop} ({_OFFSETS[clip.crop_offset]}), RGB, scaled to 0 - 1",
        f"minus mean ({mean}), divided by std ({std})",
        f"tested on whole files with {_VIEWS[clip.views]}",
    )
