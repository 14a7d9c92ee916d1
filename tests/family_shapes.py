"""Names and shapes of the tensors of every family, narrow and full-size, for any class count.

They are written down from the original configurations, not from the families under test;
`tests/contract/test_families.py` holds them to the golden networks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

Shapes = dict[str, tuple[int, ...]]

LCNET_STAGES = ((2, 3, 128), (2, 3, 256), (6, 5, 512), (2, 5, 1024))
"""Depth, kernel and output channels of the stages of PP-LCNetV2 at width 1.0."""

MV2_STAGES = ((1, 1, 16), (6, 2, 24), (6, 3, 32), (6, 4, 64), (6, 3, 96), (6, 3, 160), (6, 1, 320))
"""Expansion, depth and output channels of the stages of MobileNetV2 at width 1.0."""

MV3_BLOCKS = {
    "large": (
        *((3, 16, 16, False), (3, 64, 24, False), (3, 72, 24, False), (5, 72, 40, True)),
        *((5, 120, 40, True), (5, 120, 40, True), (3, 240, 80, False), (3, 200, 80, False)),
        *((3, 184, 80, False), (3, 184, 80, False), (3, 480, 112, True), (3, 672, 112, True)),
        *((5, 672, 160, True), (5, 960, 160, True), (5, 960, 160, True)),
    ),
    "small": (
        *((3, 16, 16, True), (3, 72, 24, False), (3, 88, 24, False), (5, 96, 40, True)),
        *((5, 240, 40, True), (5, 240, 40, True), (5, 120, 48, True), (5, 144, 48, True)),
        *((5, 288, 96, True), (5, 576, 96, True), (5, 576, 96, True)),
    ),
}
"""Kernel, expanded and output channels, squeeze-excitation of the blocks of MobileNetV3."""

MV3_PENULTIMATE = {"large": 960, "small": 576}

_VD_MEAN, _PLAIN_MEAN = (f"backbone.{stem}._batch_norm._mean" for stem in ("conv1_1", "conv"))
TWIN_NAMES = {
    "pp-tsm": {_VD_MEAN: "batch_norm2d_0.w_0", "head.fc.weight": "linear_1.w_0"},
    "pp-tsn": {_VD_MEAN: "bnv1_1_mean", "head.fc.weight": "linear_0.w_0"},
    "tsm": {_PLAIN_MEAN: "batch_norm2d_0.w_0", "head.fc.weight": "linear_1.w_0"},
    "tsn": {_PLAIN_MEAN: "batch_norm2d_0.w_0", "head.fc.weight": "linear_0.w_0"},
}
"""What Paddle calls the tensors that tell twins apart, read off the original networks."""

RESNET_DEPTHS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


def divisible(channels: float) -> int:
    """Nearest multiple of 8 that is not under 90 % of `channels`."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * channels else nearest + 8


@dataclass(slots=True)
class _Writer:
    """Collects shapes; `conv` and `norm` are what the family calls the parts of a ConvBN."""

    conv: str
    norm: str
    shapes: Shapes = field(default_factory=dict)

    def conv_bn(self, prefix: str, *shape: int) -> None:
        self.shapes[f"{prefix}.{self.conv}.weight"] = shape
        for part in ("weight", "bias", "_mean", "_variance"):
            self.shapes[f"{prefix}.{self.norm}.{part}"] = shape[:1]

    def squeeze(self, prefix: str, channels: int, squeezed: int) -> None:
        for name, shape in (("conv1", (squeezed, channels)), ("conv2", (channels, squeezed))):
            self.shapes[f"{prefix}.{name}.weight"] = (*shape, 1, 1)
            self.shapes[f"{prefix}.{name}.bias"] = shape[:1]

    def linear(self, prefix: str, inputs: int, outputs: int) -> None:
        self.shapes[f"{prefix}.weight"] = (inputs, outputs)
        self.shapes[f"{prefix}.bias"] = (outputs,)


def lcnet(
    *,
    stem: tuple[int, int],
    stages: Sequence[tuple[int, int, int]],
    features: int,
    classes: int,
    frames: int | None = None,
    split: int | None = None,
) -> Shapes:
    """A PP-TSMv2 with the given stages; with attention when `frames` is given."""
    out = _Writer("conv", "bn")
    out.conv_bn("backbone.stem.0", stem[0], 3, 3, 3)
    out.conv_bn("backbone.stem.1.dw_conv", stem[0], 1, 3, 3)
    out.conv_bn("backbone.stem.1.pw_conv", stem[1], stem[0], 1, 1)
    inputs = stem[1]
    for number, (depth, kernel, outputs) in enumerate(stages):
        for index in range(depth):
            prefix = f"backbone.stages.{number}.{index}"
            if number < 2:
                out.conv_bn(f"{prefix}.dw_conv", inputs, 1, kernel, kernel)
                out.conv_bn(f"{prefix}.pw_conv", outputs, inputs, 1, 1)
            else:
                smallest = 3 if index == 0 else 1
                for branch, size in enumerate(range(kernel, smallest - 1, -2)):
                    out.conv_bn(f"{prefix}.dw_conv_list.{branch}", inputs, 1, size, size)
                out.shapes[f"{prefix}.dw_conv.weight"] = (inputs, 1, kernel, kernel)
                out.shapes[f"{prefix}.dw_conv.bias"] = (inputs,)
            if number == 2:
                middle = split or outputs // 2
                out.squeeze(f"{prefix}.se", inputs, inputs // 4)
                out.conv_bn(f"{prefix}.pw_conv_1", middle, inputs, 1, 1)
                out.conv_bn(f"{prefix}.pw_conv_2", outputs, middle, 1, 1)
            if number == 3:
                out.conv_bn(f"{prefix}.pw_conv", outputs, inputs, 1, 1)
            inputs = outputs
    out.shapes["backbone.last_conv.weight"] = (features, inputs, 1, 1)
    out.linear("backbone.fc", features, classes)
    if frames is not None:
        out.linear("backbone.global_attention.fc", frames, frames)
    return out.shapes


def resnet(
    *,
    vd: bool,
    stem: Sequence[int],
    depths: Sequence[int],
    widths: Sequence[int],
    outputs: Sequence[int],
    classes: int,
) -> Shapes:
    """A ResNet of bottlenecks, vd-style (PP-TSM, PP-TSN) or plain (TSM, TSN)."""
    out = _Writer("_conv", "_batch_norm")
    inputs = 3
    for index, channels in enumerate(stem):
        name, kernel = (f"conv1_{index + 1}", 3) if vd else ("conv", 7)
        out.conv_bn(f"backbone.{name}", channels, inputs, kernel, kernel)
        inputs = channels
    for stage, depth in enumerate(depths):
        for index in range(depth):
            letter = f"b{index}" if depth > 8 and index > 0 else "abcdefgh"[index]
            prefix = f"backbone.bb_{stage}_{index}" if vd else f"backbone.res{stage + 2}{letter}"
            width = widths[stage]
            out.conv_bn(f"{prefix}.conv0", width, inputs, 1, 1)
            out.conv_bn(f"{prefix}.conv1", width, width, 3, 3)
            out.conv_bn(f"{prefix}.conv2", outputs[stage], width, 1, 1)
            if index == 0:
                out.conv_bn(f"{prefix}.short", outputs[stage], inputs, 1, 1)
            inputs = outputs[stage]
    out.linear("head.fc", inputs, classes)
    return out.shapes


def mobilenet_v2(
    *, scale: float, classes: int, features: int, stages: Sequence[tuple[int, int, int]]
) -> Shapes:
    """A PP-TSM MobileNetV2 with the given stages."""
    out = _Writer("_conv", "_batch_norm")
    inputs = int(32 * scale)
    out.conv_bn("backbone.conv1", inputs, 3, 3, 3)
    for number, (expansion, depth, channels) in enumerate(stages, start=2):
        outputs = int(channels * scale)
        for index in range(depth):
            name = f"conv{number}_{index + 1}" if index else "_first_block"
            prefix, expanded = f"backbone.conv{number}.{name}", inputs * expansion
            out.conv_bn(f"{prefix}._expand_conv", expanded, inputs, 1, 1)
            out.conv_bn(f"{prefix}._bottleneck_conv", expanded, 1, 3, 3)
            out.conv_bn(f"{prefix}._linear_conv", outputs, expanded, 1, 1)
            inputs = outputs
    out.conv_bn("backbone.conv9", features, inputs, 1, 1)
    out.linear("backbone.out", features, classes)
    return out.shapes


def mobilenet_v3(*, variant: str, scale: float, classes: int, features: int) -> Shapes:
    """A PP-TSM MobileNetV3, large or small."""
    out = _Writer("conv", "bn")
    inputs = divisible(16 * scale)
    out.conv_bn("backbone.conv", inputs, 3, 3, 3)
    for index, (kernel, expanded, outputs, squeeze) in enumerate(MV3_BLOCKS[variant]):
        prefix, middle = f"backbone.blocks.{index}", divisible(expanded * scale)
        out.conv_bn(f"{prefix}.expand_conv", middle, inputs, 1, 1)
        out.conv_bn(f"{prefix}.bottleneck_conv", middle, 1, kernel, kernel)
        if squeeze:
            out.squeeze(f"{prefix}.mid_se", middle, middle // 4)
        inputs = divisible(outputs * scale)
        out.conv_bn(f"{prefix}.linear_conv", inputs, middle, 1, 1)
    penultimate = divisible(MV3_PENULTIMATE[variant] * scale)
    out.conv_bn("backbone.last_second_conv", penultimate, inputs, 1, 1)
    out.shapes["backbone.last_conv.weight"] = (features, penultimate, 1, 1)
    out.linear("backbone.fc", features, classes)
    return out.shapes


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A full-size member of a family.

    Attributes:
        family: Its family.
        title: The title that it is to be recognised by.
        classes: Number of classes.
        shapes: Its tensors.
        parameter_names: What Paddle calls the tensors that tell twins apart, and some others.
    """

    family: str
    title: str
    classes: int
    shapes: Shapes
    parameter_names: dict[str, str]


def grid() -> Iterator[Member]:
    """Every family at the widths, depths and class counts that people train."""
    for classes in (2, 10, 101, 400, 1000):
        yield from _resnets(classes)
        yield from _mobilenets(classes)
        for scale in (0.25, 0.5, 0.75, 1.0, 1.5, 2.0):
            for frames in (None, 8, 16):
                yield Member(
                    family="pp-tsmv2",
                    title=f"PP-TSMv2 (PP-LCNetV2, width {scale:g}"
                    + (", temporal attention)" if frames else ")"),
                    classes=classes,
                    shapes=full_lcnet(scale=scale, classes=classes, frames=frames),
                    parameter_names={"backbone.fc.weight": "linear_0.w_0"},
                )


def _resnets(classes: int) -> Iterator[Member]:
    for family, vd in (("pp-tsm", True), ("pp-tsn", True), ("tsm", False), ("tsn", False)):
        for depth in RESNET_DEPTHS:
            yield Member(
                family=family,
                title=f"{family.upper()} (ResNet{depth}{'-vd' if vd else ''})",
                classes=classes,
                shapes=full_resnet(vd=vd, depth=depth, classes=classes),
                parameter_names=TWIN_NAMES[family],
            )


def _mobilenets(classes: int) -> Iterator[Member]:
    for scale in (0.25, 0.5, 0.75, 1.0, 1.5, 2.0):
        yield Member(
            family="pp-tsm-mv2",
            title=f"PP-TSM (MobileNetV2, width {scale:g})",
            classes=classes,
            shapes=full_mobilenet_v2(scale=scale, classes=classes),
            parameter_names={"backbone.out.weight": "fc10_weights"},
        )
    for variant in MV3_BLOCKS:
        for scale in (0.35, 0.5, 0.75, 1.0, 1.25):
            yield Member(
                family="pp-tsm-mv3",
                title=f"PP-TSM (MobileNetV3-{variant}, width {scale:g})",
                classes=classes,
                shapes=mobilenet_v3(variant=variant, scale=scale, classes=classes, features=1280),
                parameter_names={"backbone.fc.weight": "linear_0.w_0"},
            )


def full_lcnet(*, scale: float, classes: int, frames: int | None = None) -> Shapes:
    """A PP-TSMv2 as the original configuration makes it."""
    return lcnet(
        stem=(divisible(32 * scale), divisible(64 * scale)),
        stages=[(depth, kernel, divisible(out * scale)) for depth, kernel, out in LCNET_STAGES],
        features=1280,
        classes=classes,
        frames=frames,
    )


def full_resnet(*, vd: bool, depth: int, classes: int) -> Shapes:
    """A ResNet50, 101 or 152."""
    widths = (64, 128, 256, 512)
    return resnet(
        vd=vd,
        stem=(32, 32, 64) if vd else (64,),
        depths=RESNET_DEPTHS[depth],
        widths=widths,
        outputs=[4 * width for width in widths],
        classes=classes,
    )


def full_mobilenet_v2(*, scale: float, classes: int) -> Shapes:
    """A PP-TSM MobileNetV2 as the original configuration makes it."""
    features = int(1280 * scale) if scale > 1 else 1280
    return mobilenet_v2(scale=scale, classes=classes, features=features, stages=MV2_STAGES)


def narrow_pptsmv2(*, classes: int = 5, frames: int | None = None, split: int = 16) -> Shapes:
    """A very narrow PP-TSMv2; with attention when `frames` is given."""
    return lcnet(
        stem=(8, 8),
        stages=((1, 3, 8), (1, 3, 16), (2, 5, 16), (2, 5, 24)),
        features=32,
        classes=classes,
        frames=frames,
        split=split,
    )


def narrow_pptsm(*, classes: int = 5) -> Shapes:
    """A very narrow ResNet-vd with one block per stage."""
    return resnet(
        vd=True,
        stem=(8, 8, 8),
        depths=(1, 1, 1, 1),
        widths=(8, 8, 8, 8),
        outputs=(16, 24, 32, 40),
        classes=classes,
    )


def narrow_tsm(*, classes: int = 5) -> Shapes:
    """A very narrow plain ResNet."""
    return resnet(
        vd=False,
        stem=(8,),
        depths=(1, 2, 1, 1),
        widths=(8, 8, 8, 8),
        outputs=(16, 24, 32, 40),
        classes=classes,
    )


def narrow_mobilenet_v2(*, classes: int = 5) -> Shapes:
    """A very narrow PP-TSM MobileNetV2 with few blocks."""
    stages = ((1, 1, 16), (2, 2, 32), (2, 1, 32), (2, 2, 32), (2, 1, 64), (2, 2, 64), (2, 1, 64))
    return mobilenet_v2(scale=0.25, classes=classes, features=32, stages=stages)


def narrow_mobilenet_v3(*, classes: int = 5) -> Shapes:
    """A very narrow PP-TSM MobileNetV3-small."""
    return mobilenet_v3(variant="small", scale=0.1, classes=classes, features=32)


NARROW = {
    "pp-tsmv2": narrow_pptsmv2,
    "pp-tsm": narrow_pptsm,
    "pp-tsm-mv2": narrow_mobilenet_v2,
    "pp-tsm-mv3": narrow_mobilenet_v3,
    "pp-tsn": narrow_pptsm,
    "tsm": narrow_tsm,
    "tsn": narrow_tsm,
}
"""A narrow member of every family, by family name; a new family adds its line here."""
