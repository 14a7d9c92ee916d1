from __future__ import annotations

import json
import platform
from typing import Any, Literal

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from models.errors import UsageError
from models.spec import IMAGENET_MEAN, IMAGENET_STD, ClipSpec, Resize
from runtime.preprocess import centre_crop, clip_tensor, prepare
from runtime.records import Picture
from runtime.sampling import segment_centres
from runtime.sources import open_source
from tests.video_files import ARCHERY, SHARED

GOLDEN = SHARED / "golden" / "preprocess_archery_pptsm.json"


def noise(width: int, height: int, seed: int = 0) -> Picture:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


def naive(prepared: list[Picture]) -> np.ndarray:
    stacked = np.stack(prepared).astype(np.float64) / 255
    normalised = (stacked - np.array(IMAGENET_MEAN)) / np.array(IMAGENET_STD)
    return np.asarray(normalised.transpose(0, 3, 1, 2)[None])


# --- against PaddleVideo --------------------------------------------------------------------


@pytest.mark.skipif(not GOLDEN.exists(), reason=f"{GOLDEN} is not on this machine")
@pytest.mark.parametrize("frames", [8, 16])
def test_archery_as_paddlevideo_prepares_it(frames: int) -> None:
    """Values of the reference (decord, Pillow) against ours (OpenCV's FFmpeg, Pillow).

    Measured on x86-64 with OpenCV 4.8.0 and 5.0.0, Pillow 9.1 and 13.0: mean absolute
    difference of the sampled values 1.1e-7, largest 3.6e-7, which is the float32 rounding of the
    multiply-add; both decoders give the same pixels. For contrast: OpenCV's resize gives
    0.0016, the neighbouring frames 0.05. Elsewhere swscale may convert YUV to RGB with another
    rounding (one level of 255 is 0.017), so the bound is wider there.
    """
    bound = 5e-4 if platform.machine() == "x86_64" else 0.02
    golden: dict[str, Any] = json.loads(GOLDEN.read_text())[str(frames)]
    with open_source(str(ARCHERY)) as source:
        pictures = [frame.picture for frame in source]
    assert len(pictures) == golden["frames_len"] == 131
    spec = ClipSpec(frames=frames)
    chosen = segment_centres(len(pictures), frames)
    tensor = clip_tensor([prepare(pictures[i], spec) for i in chosen], spec)[0]
    assert list(tensor.shape) == golden["shape"]
    assert tensor.mean() == pytest.approx(golden["mean"], abs=bound)
    assert tensor.std() == pytest.approx(golden["std"], abs=bound)
    np.testing.assert_allclose(tensor.mean((1, 2, 3)), golden["per_frame_mean"], atol=bound)
    np.testing.assert_allclose(tensor.std((1, 2, 3)), golden["per_frame_std"], atol=bound)
    differences = [abs(tensor[t, c, y, x] - value) for t, c, y, x, value in golden["samples"]]
    assert len(differences) == 12 * frames
    assert np.mean(differences) <= bound


# --- geometry -------------------------------------------------------------------------------


def reference_picture(
    picture: Picture, policy: str, library: str, *, short: int = 256, crop: int = 224
) -> Picture:
    """The reference's resize and crop, spelled out per policy and orientation."""
    height, width = picture.shape[:2]
    if min(height, width) != short:
        if policy == "stretch":
            size = (short, short)
        elif policy == "fixed_4_3":
            size = (short, 341) if width <= height else (341, short)
        elif width <= height:
            size = (short, int(height * short / width))
        else:
            size = (int(width * short / height), short)
        if library == "pillow":
            image = Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR)
            picture = np.asarray(image)
        else:
            picture = cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR)
        height, width = picture.shape[:2]
    left, top = round((width - crop) / 2.0), round((height - crop) / 2.0)
    return np.asarray(picture[top : top + crop, left : left + crop], dtype=np.uint8)


@pytest.mark.parametrize("library", ["pillow", "opencv"])
@pytest.mark.parametrize("policy", ["fixed_4_3", "keep_aspect", "stretch"])
@pytest.mark.parametrize(
    ("width", "height"),
    [(320, 240), (640, 360), (361, 640), (1280, 720), (300, 256), (256, 900), (64, 48), (99, 99)],
)
def test_every_policy_equals_its_definition(
    width: int,
    height: int,
    policy: Literal["fixed_4_3", "keep_aspect", "stretch"],
    library: Literal["pillow", "opencv"],
) -> None:
    picture = noise(width, height)
    spec = ClipSpec(frames=1, resize=Resize(policy=policy, library=library))
    expected = reference_picture(picture, policy, library)
    np.testing.assert_array_equal(prepare(picture, spec), expected)


def test_pillow_and_opencv_differ_where_they_shrink() -> None:
    picture = noise(1280, 720)
    by_pillow = prepare(picture, ClipSpec(frames=1))
    by_opencv = prepare(picture, ClipSpec(frames=1, resize=Resize(library="opencv")))
    assert np.abs(by_pillow.astype(int) - by_opencv).mean() > 10


def test_fitting_short_side_is_left_alone_only_if_the_spec_says_so() -> None:
    picture = noise(900, 256)
    kept = prepare(picture, ClipSpec(frames=1))
    np.testing.assert_array_equal(kept, picture[16:240, 338:562])
    squeezed = prepare(picture, ClipSpec(frames=1, resize=Resize(skip_if_short_side_fits=False)))
    assert not np.array_equal(kept, squeezed)


@pytest.mark.parametrize(
    ("width", "left"),
    [(341, 58), (224, 0), (225, 0), (226, 1), (227, 2), (228, 2), (455, 116), (256, 16)],
)
def test_crop_offset_rounds_halves_to_even(width: int, left: int) -> None:
    ramp = np.arange(width, dtype=np.uint16).astype(np.uint8)
    picture = np.repeat(np.repeat(ramp[None, :, None], 256, axis=0), 3, axis=2)
    cropped = centre_crop(picture, 224)
    np.testing.assert_array_equal(cropped, picture[16:240, left : left + 224])


def test_crop_larger_than_the_picture() -> None:
    with pytest.raises(UsageError, match="300x100 after resizing, too small for a 224x224"):
        centre_crop(noise(300, 100), 224)


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((10, 10), np.uint8),
        np.zeros((10, 10, 4), np.uint8),
        np.zeros((0, 10, 3), np.uint8),
        np.zeros((10, 10, 3), np.float32),
    ],
)
def test_prepare_refuses_what_is_no_rgb_picture(wrong: Any) -> None:
    with pytest.raises(UsageError, match="RGB uint8"):
        prepare(wrong, ClipSpec(frames=1))


def test_prepared_picture_is_its_own_memory() -> None:
    for picture in (noise(256, 256), noise(320, 240)):
        before = picture.copy()
        prepared = prepare(picture, ClipSpec(frames=1))
        assert prepared.flags.c_contiguous
        assert not np.shares_memory(prepared, picture)
        prepared[:] = 0
        np.testing.assert_array_equal(picture, before)


@pytest.mark.parametrize("library", ["pillow", "opencv"])
def test_views_and_read_only_pictures_are_fine(library: Literal["pillow", "opencv"]) -> None:
    spec = ClipSpec(frames=1, resize=Resize(library=library))
    picture = noise(320, 240)
    mirrored = picture[:, ::-1]
    frozen = mirrored.copy()
    frozen.flags.writeable = False
    np.testing.assert_array_equal(prepare(mirrored, spec), prepare(frozen, spec))


@settings(max_examples=40, deadline=None)
@given(
    st.integers(2, 2200),
    st.integers(2, 2200),
    st.sampled_from(["fixed_4_3", "stretch", "keep_aspect"]),
    st.sampled_from(["pillow", "opencv"]),
)
def test_any_size_gives_the_input_shape(
    width: int,
    height: int,
    policy: Literal["fixed_4_3", "keep_aspect", "stretch"],
    library: Literal["pillow", "opencv"],
) -> None:
    if policy == "keep_aspect" and max(width, height) > 20 * min(width, height):
        width, height = min(width, height) + 1, min(width, height)
    resize = Resize(policy=policy, library=library)
    spec = ClipSpec(frames=2, resize=resize)
    picture = np.zeros((height, width, 3), np.uint8)
    picture[::2] = 255
    prepared = prepare(picture, spec)
    assert prepared.shape == (224, 224, 3)
    assert prepared.dtype == np.uint8
    tensor = clip_tensor([prepared, prepared], spec)
    assert tensor.shape == spec.input_shape()
    assert tensor.dtype == np.float32
    assert tensor.flags.c_contiguous
    assert np.isfinite(tensor).all()


# --- normalisation --------------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_normalisation_equals_the_naive_formula(seed: int, frames: int) -> None:
    spec = ClipSpec(frames=frames, crop=32, resize=Resize(short_side=32))
    prepared = [noise(32, 32, seed + i) for i in range(frames)]
    tensor = clip_tensor(prepared, spec)
    assert np.abs(tensor - naive(prepared)).max() < 1e-6


def test_every_pixel_value_is_exact_in_every_channel() -> None:
    spec = ClipSpec(frames=1, crop=16, resize=Resize(short_side=16))
    values = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    assert np.abs(clip_tensor([values], spec) - naive([values])).max() < 1e-6


def test_channels_and_frames_keep_their_order() -> None:
    spec = ClipSpec(frames=2, crop=16, resize=Resize(short_side=16), mean=(0, 0, 0), std=(1, 1, 1))
    first, second = (np.zeros((16, 16, 3), np.uint8) for _ in range(2))
    first[:, :, 0], second[3, 5, 2] = 255, 51
    tensor = clip_tensor([first, second], spec)
    assert tensor[0, 0].mean((1, 2)) == pytest.approx([1, 0, 0])
    assert tensor[0, 1, 2, 3, 5] == pytest.approx(0.2)
    assert tensor[0, 1].sum() == pytest.approx(0.2)


def test_wrong_number_or_shape_of_pictures() -> None:
    spec = ClipSpec(frames=2, crop=16, resize=Resize(short_side=16))
    with pytest.raises(UsageError, match=r"takes 2 pictures of shape \[16, 16, 3\], got 1"):
        clip_tensor([noise(16, 16)], spec)
    with pytest.raises(UsageError, match=r"\[17, 16, 3\]"):
        clip_tensor([noise(16, 16), noise(16, 17)], spec)
