from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="needs the `convert` or the `int8` extra")

from models.stages import Mixing
from runtime.temporal.cut import Cut, cut_into_stages
from tests.temporal_models import (
    CHANNELS,
    CLASSES,
    FRAMES,
    SHIFTS,
    SIDE,
    SIZE,
    Network,
    padded_and_sliced,
    run_model,
    run_stages,
)

SHIFT = (-1, 0, 1)


def clips(frames: int = FRAMES) -> Any:
    rng = np.random.default_rng(7)
    return rng.normal(0, 1, (2, frames, 3, SIZE, SIZE)).astype(np.float32)


def cut_and_compared(model: Any, frames: int = FRAMES) -> Cut:
    """The stages of a model, after checking that they compute the same."""
    pytest.importorskip("onnxruntime")
    cut = cut_into_stages(model)
    assert cut.stages, cut.temporal.reason
    given = clips(frames)
    expected = run_model(model, {"clips": given})[0]
    np.testing.assert_allclose(run_stages(cut, given), expected, atol=1e-5 * np.ptp(expected))
    return cut


def kinds(cut: Cut) -> list[tuple[str, tuple[int, ...]]]:
    return [(stage.kind, stage.offsets) for stage in cut.stages]


def mixing(cut: Cut) -> list[tuple[str, int]]:
    return [(one.kind, one.reach) for one in cut.temporal.mixing]


# -- shifts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("shift", SHIFTS.values(), ids=list(SHIFTS))
@pytest.mark.parametrize("opset", [13, 17, 18])
def test_a_shift_is_found_however_it_is_written(
    shift: Callable[[Network, str], str], opset: int
) -> None:
    net = Network(opset=opset)
    shifted = shift(net, net.add("Relu", [net.stem()]))
    cut = cut_and_compared(net.head(net.conv(shifted, CHANNELS, CHANNELS)))
    assert kinds(cut) == [("frame", ()), ("shifted", SHIFT), ("window", ())]
    assert mixing(cut) == [("shift", 1), ("mean", 0)]


@pytest.mark.parametrize("shift", SHIFTS.values(), ids=list(SHIFTS))
def test_every_shift_is_a_level(shift: Callable[[Network, str], str]) -> None:
    net = Network(frames=11)
    maps = net.stem()
    for _ in range(3):
        branch = net.conv(shift(net, maps), CHANNELS, CHANNELS)
        maps = net.add("Relu", [net.add("Add", [branch, maps])])
    cut = cut_and_compared(net.head(maps), frames=11)
    assert [kind for kind, _ in kinds(cut)] == ["frame", "shifted", "shifted", "shifted", "window"]
    assert cut.temporal.macs_per_step < 0.8 * cut.temporal.macs_per_clip


def test_a_shift_of_two_frames_one_way() -> None:
    net = Network()
    rows = net.reshape(net.stem(), -1, FRAMES, CHANNELS, SIDE, SIDE)
    wide = net.add("Pad", [rows, net.numbers([0, 2, 0, 0, 0, 0, 0, 0, 0, 0])])
    ends = [net.numbers([one]) for one in (0, FRAMES, 1)]
    back = net.reshape(net.add("Slice", [wide, *ends]), -1, CHANNELS, SIDE, SIDE)
    cut = cut_and_compared(net.head(net.conv(back, CHANNELS, CHANNELS)))
    assert kinds(cut) == [("frame", ()), ("shifted", (-2,)), ("window", ())]
    assert mixing(cut)[0] == ("shift", 2)


def test_the_ends_may_be_filled_with_another_value() -> None:
    net = Network()
    rows = net.reshape(net.stem(), -1, FRAMES, CHANNELS, SIDE, SIDE)
    fill = net.numbers(0.75, np.float32)
    wide = net.add("Pad", [rows, net.numbers([0, 1, 0, 0, 0, 0, 0, 0, 0, 0]), fill])
    ends = [net.numbers([one]) for one in (0, FRAMES, 1)]
    back = net.reshape(net.add("Slice", [wide, *ends]), -1, CHANNELS, SIDE, SIDE)
    cut_and_compared(net.head(net.conv(back, CHANNELS, CHANNELS)))


def test_a_circular_shift_is_no_shift() -> None:
    net = Network()
    rows = net.reshape(net.stem(), -1, FRAMES, CHANNELS, SIDE, SIDE)
    turned = net.add("Gather", [rows, net.numbers([*range(1, FRAMES), 0])], axis=1)
    maps = net.reshape(turned, -1, CHANNELS, SIDE, SIDE)
    cut = cut_and_compared(net.head(net.conv(maps, CHANNELS, CHANNELS)))
    assert kinds(cut) == [("frame", ()), ("window", ())]
    assert mixing(cut)[0] == ("other", 0)


# -- where the cut is made -------------------------------------------------------------------------


def shifted_then(tail: Callable[[Network, str], tuple[str, int]]) -> Any:
    net = Network()
    last, channels = tail(net, padded_and_sliced(net, net.add("Relu", [net.stem()])))
    return net.head(net.conv(last, channels, CHANNELS))


def depthwise(net: Network, maps: str) -> tuple[str, int]:
    less = net.conv(maps, CHANNELS, CHANNELS, group=CHANNELS, strides=[2, 2])
    return net.add("Relu", [less]), CHANNELS


def widened(net: Network, maps: str) -> tuple[str, int]:
    return net.conv(maps, CHANNELS, 2 * CHANNELS, group=CHANNELS, strides=[2, 2]), 2 * CHANNELS


def pooled(net: Network, maps: str) -> tuple[str, int]:
    moved = net.add("Add", [maps, net.weights(CHANNELS, 1, 1)])
    less = net.add("MaxPool", [moved], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    return net.add("AveragePool", [less], kernel_shape=[2, 2], strides=[1, 1]), CHANNELS


def averaged_with_padding(net: Network, maps: str) -> tuple[str, int]:
    moved = net.add("Sigmoid", [maps])
    return (
        net.add(
            "AveragePool", [moved], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4,
            count_include_pad=1,
        ),
        CHANNELS,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("tail", "kept"),
    [
        (depthwise, (CHANNELS, 5, 5)),
        (widened, (2 * CHANNELS, 5, 5)),
        (pooled, (CHANNELS, 4, 4)),
        (averaged_with_padding, (CHANNELS, SIDE, SIDE)),
    ],
)
def test_the_shift_moves_to_where_its_tensor_is_smallest(
    tail: Callable[[Network, str], tuple[str, int]], kept: tuple[int, ...]
) -> None:
    cut = cut_and_compared(shifted_then(tail))
    assert [one.shape for one in cut.stages[0].outputs] == [kept]


def test_a_tensor_with_two_readers_is_where_the_shift_stays() -> None:
    def gate(net: Network, maps: str) -> tuple[str, int]:
        weights = net.add("Sigmoid", [net.add("GlobalAveragePool", [maps])])
        return net.add("Mul", [maps, weights]), CHANNELS

    cut = cut_and_compared(shifted_then(gate))
    assert [one.shape for one in cut.stages[0].outputs] == [(CHANNELS, SIDE, SIDE)]


def test_two_convolutions_of_channels_would_see_their_padding() -> None:
    def twice(net: Network, maps: str) -> tuple[str, int]:
        for _ in range(2):
            maps = net.conv(maps, CHANNELS, CHANNELS, group=CHANNELS)
        return net.add("MaxPool", [maps], kernel_shape=[2, 2], strides=[2, 2]), CHANNELS

    cut = cut_and_compared(shifted_then(twice))
    assert [one.shape for one in cut.stages[0].outputs] == [(CHANNELS, SIDE, SIDE)]


# -- other ways of mixing --------------------------------------------------------------------------


def test_without_a_shift_everything_is_of_single_frames() -> None:
    net = Network()
    cut = cut_and_compared(net.head(net.conv(net.stem(), CHANNELS, CHANNELS)))
    assert kinds(cut) == [("frame", ()), ("window", ())]
    assert mixing(cut) == [("mean", 0)]
    assert cut.temporal.macs_per_clip / cut.temporal.macs_per_step > 0.95 * FRAMES


def test_attention_over_frames_ends_what_is_shared() -> None:
    net = Network()
    maps = net.stem()
    rows = net.reshape(maps, -1, FRAMES, CHANNELS * SIDE**2)
    means = net.mean(rows, 2)
    mixed = net.add("Gemm", [means, net.weights(FRAMES, FRAMES), net.weights(FRAMES)])
    weights = net.add("Unsqueeze", [net.add("Sigmoid", [mixed]), net.numbers([2])])
    maps = net.reshape(net.add("Mul", [rows, weights]), -1, CHANNELS, SIDE, SIDE)
    maps = net.conv(padded_and_sliced(net, maps), CHANNELS, CHANNELS)
    cut = cut_and_compared(net.head(maps))
    assert kinds(cut) == [("frame", ()), ("window", ())]
    assert [kind for kind, _ in mixing(cut)] == ["other", "shift", "mean"]
    assert "gemm4 mixes all frames" in cut.temporal.reason


def test_rows_of_scores_are_rows_of_frames() -> None:
    net = Network()
    pooled = net.add("GlobalAveragePool", [net.stem()])
    features = net.add("Flatten", [pooled])
    scores = net.add("Gemm", [features, net.weights(CHANNELS, CLASSES, scale=3)])
    cut = cut_and_compared(net.model(net.mean(net.reshape(scores, -1, FRAMES, CLASSES), 1)))
    assert cut.stages[0].outputs[0].shape == (CLASSES,)


def test_shuffled_channels_and_softmax_stay_within_a_frame() -> None:
    net = Network()
    maps = net.reshape(net.stem(), -1, 2, CHANNELS // 2, SIDE**2)
    shuffled = net.add("Transpose", [maps], perm=[0, 2, 1, 3])
    maps = net.add("Softmax", [net.reshape(shuffled, -1, CHANNELS, SIDE, SIDE)], axis=1)
    cut = cut_and_compared(net.head(net.conv(maps, CHANNELS, CHANNELS)))
    assert kinds(cut) == [("frame", ()), ("window", ())]
    assert mixing(cut) == [("mean", 0)]


def test_split_channels_are_taken_as_whole_ones() -> None:
    net = Network()
    maps = net.stem()
    half = net.add("Slice", [maps, *map(net.numbers, ([3], [7], [1]))])
    mixed = net.add("Concat", [net.conv(half, 4, 4), net.add("Relu", [maps])], axis=1)
    cut = cut_and_compared(net.head(net.conv(mixed, 4 + CHANNELS, CHANNELS)))
    assert kinds(cut) == [("frame", ()), ("window", ())]
    (places,) = [
        onnx.numpy_helper.to_array(one)
        for one in cut.stages[0].model.graph.initializer
        if one.name.endswith(".channels")
    ]
    assert places.tolist() == [3, 4, 5, 6]


def test_shapes_that_are_asked_for_when_it_runs() -> None:
    net = Network()
    first = net.add("Gather", [net.add("Shape", ["clips"]), net.numbers([0])])
    maps = net.conv(padded_and_sliced(net, net.stem()), CHANNELS, CHANNELS)
    pooled = net.add("GlobalAveragePool", [maps])
    shape = net.add("Concat", [first, net.numbers([FRAMES, CHANNELS])], axis=0)
    rows = net.add("Reshape", [pooled, shape])
    scores = net.add("MatMul", [net.mean(rows, 1), net.weights(CHANNELS, CLASSES, scale=3)])
    cut = cut_and_compared(net.model(scores))
    assert kinds(cut) == [("frame", ()), ("shifted", SHIFT), ("window", ())]


def test_weights_per_frame_are_no_work_on_single_frames() -> None:
    net = Network()
    rows = net.reshape(net.stem(), -1, FRAMES, CHANNELS, SIDE, SIDE)
    placed = net.add("Add", [rows, net.weights(1, FRAMES, CHANNELS, 1, 1)])
    maps = net.reshape(placed, -1, CHANNELS, SIDE, SIDE)
    cut = cut_and_compared(net.head(net.conv(maps, CHANNELS, CHANNELS)))
    assert kinds(cut) == [("frame", ()), ("window", ())]
    assert mixing(cut)[0] == ("other", 0)


# -- integers --------------------------------------------------------------------------------------


def quantized(net: Network, source: str, scale: float, zero: int) -> str:
    """To uint8 and back."""
    numbers = [net.numbers(scale, np.float32), net.numbers(zero, np.uint8)]
    whole = net.add("QuantizeLinear", [source, *numbers])
    return net.add("DequantizeLinear", [whole, *numbers])


def quantized_shift(net: Network, maps: str, *, other_scale: bool) -> str:
    """As quantizers leave it: every node of the shift between its own pair."""
    last = net.reshape(quantized(net, maps, 0.05, 100), -1, FRAMES, CHANNELS, SIDE, SIDE)
    wide = net.add(
        "Pad", [quantized(net, last, 0.05, 100), net.numbers([0, 1, 0, 0, 0, 0, 1, 0, 0, 0])]
    )
    wide = quantized(net, wide, 0.05, 100)
    parts = [
        net.add("Slice", [wide, *map(net.numbers, ([start, low], [start + FRAMES, high], [1, 2]))])
        for start, low, high in ((0, 0, 2), (2, 2, 4), (1, 4, CHANNELS))
    ]
    joined = net.add("Concat", [quantized(net, one, 0.05, 100) for one in parts], axis=2)
    scale, zero = (0.07, 90) if other_scale else (0.05, 100)
    return net.reshape(quantized(net, joined, scale, zero), -1, CHANNELS, SIDE, SIDE)


@pytest.mark.parametrize("other_scale", [False, True])
@pytest.mark.parametrize("gated", [False, True])
def test_a_quantized_shift_is_cut_at_its_integers(other_scale: bool, gated: bool) -> None:
    net = Network()
    maps = quantized_shift(net, net.stem(), other_scale=other_scale)
    if gated:
        weights = net.add("Sigmoid", [net.add("GlobalAveragePool", [maps])])
        maps, kept = net.add("Mul", [maps, weights]), (CHANNELS, SIDE, SIDE)
    else:
        less = net.conv(maps, CHANNELS, CHANNELS, group=CHANNELS, strides=[2, 2])
        maps, kept = quantized(net, less, 0.1, 120), (CHANNELS, 5, 5)
    maps = quantized(net, net.conv(maps, CHANNELS, CHANNELS), 0.1, 120)
    cut = cut_and_compared(net.head(maps))
    assert kinds(cut) == [("frame", ()), ("shifted", SHIFT), ("window", ())]
    assert [(one.dtype, one.shape) for one in cut.stages[0].outputs] == [("uint8", kept)]


# -- nothing to gain -------------------------------------------------------------------------------


def test_mixing_at_once_leaves_nothing() -> None:
    net = Network()
    flat = net.reshape("clips", -1, FRAMES * 3 * SIZE * SIZE)
    model = net.model(net.add("MatMul", [flat, net.weights(FRAMES * 3 * SIZE * SIZE, CLASSES)]))
    cut = cut_into_stages(model)
    assert cut.stages == ()
    assert cut.temporal.macs_per_step == cut.temporal.macs_per_clip
    assert "mixes all frames" in cut.temporal.reason


def test_a_fixed_batch_cannot_be_cut() -> None:
    net = Network()
    pooled = net.add("GlobalAveragePool", [net.stem()])
    rows = net.reshape(pooled, 2, FRAMES, CHANNELS)
    scores = net.add("MatMul", [net.mean(rows, 1), net.weights(CHANNELS, CLASSES)])
    cut = cut_into_stages(net.model(scores, batch=2))
    assert cut.stages == ()
    assert "fixed number of clips" in cut.temporal.reason


def test_clips_of_one_frame_have_nothing_to_share() -> None:
    net = Network(frames=1)
    cut = cut_into_stages(net.head(net.stem()))
    assert cut.stages == ()
    assert "single frames" in cut.temporal.reason


def test_macs_before_an_operation_grow() -> None:
    net = Network()
    maps = net.conv(padded_and_sliced(net, net.stem()), CHANNELS, CHANNELS)
    found: tuple[Mixing, ...] = cut_into_stages(net.head(maps)).temporal.mixing
    stem = FRAMES * SIDE**2 * CHANNELS * 27
    assert [one.macs_before for one in found] == [stem, stem + FRAMES * SIDE**2 * CHANNELS**2 * 9]
