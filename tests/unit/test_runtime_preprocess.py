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
from runtime.preprocess import Preparation, clip_tensor, normalise_into, prepare
from runtime.records import Picture, Plane
from runtime.sampling import segment_centres
from runtime.sources import open_source
from runtime.views import Views, views_of
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
    """The reference's resize and default crop, spelled out per policy and orientation."""
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
    "wrong",
    [
        np.zeros((10, 10), np.uint8),
        np.zeros((10, 10, 4), np.uint8),
        np.zeros((0, 10, 3), np.uint8),
        np.zeros((10, 10, 3), np.float32),
    ],
)
@pytest.mark.parametrize("views", [1, 3, 10])
def test_what_is_no_rgb_picture_is_refused(wrong: Any, views: Views) -> None:
    with pytest.raises(UsageError, match="RGB uint8"):
        Preparation(clip=ClipSpec(frames=1), views=views).kept(wrong)


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


@pytest.mark.parametrize(("width", "height"), [(853, 480), (361, 643), (640, 360), (320, 240)])
@pytest.mark.parametrize("long_side", ["down", "nearest"])
@pytest.mark.parametrize("crop_offset", ["round", "down"])
def test_roundings_of_the_specification(
    width: int,
    height: int,
    long_side: Literal["down", "nearest"],
    crop_offset: Literal["round", "down"],
) -> None:
    exact = max(width, height) * 256 / min(width, height)
    long = int(exact) if long_side == "down" else int(exact + 0.5)
    size = (long, 256) if width > height else (256, long)
    margin = long - 224
    start = round(margin / 2) if crop_offset == "round" else margin // 2
    left, top = (start, 16) if width > height else (16, start)
    picture = noise(width, height)
    resized = np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR))
    spec = ClipSpec(
        frames=1,
        resize=Resize(policy="keep_aspect", long_side=long_side),
        crop_offset=crop_offset,
    )
    np.testing.assert_array_equal(
        prepare(picture, spec), resized[top : top + 224, left : left + 224]
    )


# --- views ----------------------------------------------------------------------------------


def tensors(preparation: Preparation, pictures: list[Picture]) -> list[np.ndarray]:
    return list(preparation.tensors([preparation.kept(picture) for picture in pictures]))


def test_one_view_is_prepare_and_clip_tensor() -> None:
    spec = ClipSpec(frames=2)
    pictures = [noise(320, 240, seed) for seed in range(2)]
    (tensor,) = tensors(Preparation(clip=spec), pictures)
    np.testing.assert_array_equal(
        tensor, clip_tensor([prepare(picture, spec) for picture in pictures], spec)
    )


@pytest.mark.parametrize(("width", "height"), [(640, 360), (361, 643), (455, 256)])
@pytest.mark.parametrize("views", [3, 10])
def test_every_view_is_a_clip_of_its_own(width: int, height: int, views: Views) -> None:
    spec = ClipSpec(frames=3, resize=Resize(policy="keep_aspect", library="opencv"))
    pictures = [noise(width, height, seed) for seed in range(3)]
    small = [cv2.resize(one, spec.resize.target(width, height)) for one in pictures]
    found = tensors(Preparation(clip=spec, views=views), pictures)
    expected = views_of(small[0], spec, views)
    assert len(found) == len(expected) == views
    for tensor, view in zip(found, expected, strict=True):
        cut = [np.ascontiguousarray(view.cut(picture, 224)) for picture in small]
        np.testing.assert_array_equal(tensor, clip_tensor(cut, spec))
        assert tensor.flags.c_contiguous
        assert not any(np.shares_memory(tensor, other) for other in found if other is not tensor)


def test_pictures_of_several_sizes_are_each_cut_at_their_own_places() -> None:
    spec = ClipSpec(frames=2, resize=Resize(policy="keep_aspect", library="opencv"))
    wide, high = noise(400, 256), noise(256, 400)
    (left, right, _) = tensors(Preparation(clip=spec, views=3), [wide, high])
    first = clip_tensor([wide[16:240, 0:224], high[88:312, 0:224]], spec)
    second = clip_tensor([wide[16:240, 176:400], high[88:312, 32:256]], spec)
    np.testing.assert_array_equal(left, first)
    np.testing.assert_array_equal(right, second)


@pytest.mark.parametrize("views", [1, 3, 10])
def test_what_is_kept_is_its_own_memory(views: Views) -> None:
    for picture in (noise(256, 256), noise(320, 240), noise(320, 256)[:, ::-1]):
        before = picture.copy()
        kept = Preparation(clip=ClipSpec(frames=1), views=views).kept(picture)
        assert not np.shares_memory(kept, picture)
        assert kept.flags.c_contiguous
        picture[:] = 0
        np.testing.assert_array_equal(
            kept, Preparation(clip=ClipSpec(frames=1), views=views).kept(before)
        )


@pytest.mark.parametrize("views", [1, 3, 10])
def test_views_of_the_wrong_pictures(views: Views) -> None:
    spec = ClipSpec(frames=2, crop=16, resize=Resize(short_side=16))
    preparation = Preparation(clip=spec, views=views)
    with pytest.raises(UsageError, match=r"takes 2 pictures of shape \[16, 16, 3\], got 1"):
        next(preparation.tensors([noise(16, 16)]))
    with pytest.raises(UsageError, match="16x15 after resizing" if views > 1 else r"\[15, 16, 3\]"):
        next(preparation.tensors([noise(16, 16), noise(16, 15)]))


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


@pytest.mark.parametrize("planes", [None, list(np.zeros((3, 224, 224), np.uint8))])
def test_normalising_into_a_tensor_gives_the_same(planes: list[Plane] | None) -> None:
    spec = ClipSpec(frames=2)
    pictures = [noise(224, 224), noise(300, 400)[10:234, 20:244][:, ::-1]]
    out = np.full((2, 3, 224, 224), np.nan, np.float32)
    for picture, target in zip(pictures, out, strict=True):
        normalise_into(picture, spec, target, planes=planes)
    np.testing.assert_array_equal(out[None], clip_tensor(pictures, spec))


def test_normalising_into_what_does_not_fit() -> None:
    spec = ClipSpec(frames=1)
    room = np.empty((3, 224, 224), np.float32)
    with pytest.raises(UsageError, match=r"shape \[224, 224, 3\], got uint8 \[223, 224, 3\]"):
        normalise_into(noise(224, 223), spec, room)
    for out in (room[:, :, 1:], room.transpose(0, 2, 1)):
        with pytest.raises(ValueError, match="normalised into contiguous float32"):
            normalise_into(noise(224, 224), spec, out)
