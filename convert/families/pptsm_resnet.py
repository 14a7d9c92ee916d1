"""PP-TSM on ResNet-vd ("tweaks"): a temporal shift in front of every bottleneck.

Facts (layer order, names, constants) follow PaddleVideo, `resnet_tweaks_tsm.py` and
`pptsm_head.py` at commit ed245e9c:

* a stem of three 3 x 3 convolutions, max pooling 3 x 3 stride 2;
* bottlenecks whose residual branch starts with a temporal shift of ratio 1 / T; the stride is on
  the 3 x 3 convolution; where the shape changes, the shortcut is a 2 x 2 average pooling
  (ceil mode) and a 1 x 1 convolution, without pooling in the very first block;
* every activation is a leaky ReLU of slope 0.01, also after the addition;
* the head pools, averages T feature vectors and applies `fc`; its dropout scales at training
  time, so that it does nothing at inference.

PP-TSN has the very same tensors. Built from those files, the two differ in the names that Paddle
gives their parameters: `resnet_tweaks_tsn.py` names the moving mean of its first batch norm
`bnv1_1_mean`, `resnet_tweaks_tsm.py` leaves that to Paddle (`batch_norm2d_0.w_0`). `fc` is
`linear_1` because `ppTSMHead` derives from `TSNHead`, whose own `fc` it replaces. `linear_0` is an
older PP-TSM with plain ReLU, as in release 2.0.0 of PaddleVideo (commit 47068144): commit 7d39329d
of 19 May 2021 brought the leaky ReLU and the `fc` of its own together.
"""

from __future__ import annotations

from functools import partial

import paddle
from paddle.nn import functional

from convert.families.layers import nothing_to_fold
from convert.families.resnet import VD_KINDS, VD_MARKS, Style, build, read
from convert.family import Family, ParameterNames
from models.spec import ClipSpec

SLOPE = 0.01
"""Negative slope of every leaky ReLU (Paddle's default, which the originals use)."""


def leaky(x: paddle.Tensor) -> paddle.Tensor:
    """The activation."""
    return functional.leaky_relu(x, SLOPE)


def claims(names: ParameterNames) -> bool:
    """Whether the parameter names say PP-TSM, not PP-TSN, and not the PP-TSM with plain ReLU."""
    return _mean_named_by_paddle(names) and names.get("head.fc.weight") == "linear_1.w_0"


def caution(names: ParameterNames) -> str:
    """What to know of a PP-TSM with plain ReLU."""
    if not _mean_named_by_paddle(names) or names.get("head.fc.weight") != "linear_0.w_0":
        return ""
    return (
        "the names that the training gave to the parameters are those of PaddleVideo before"
        " 19 May 2021, whose PP-TSM had plain ReLU; this conversion computes leaky ReLU: compare"
        " its predictions with those of the training"
    )


def _mean_named_by_paddle(names: ParameterNames) -> bool:
    return names.get("backbone.conv1_1._batch_norm._mean", "").startswith("batch_norm2d_")


STYLE = Style(title="PP-TSM", vd=True, shift=True, activation=leaky, classify_frames=False)

FAMILY = Family(
    name="pp-tsm",
    marks=VD_MARKS,
    kinds=VD_KINDS,
    default_frames=(8,),
    read=partial(read, STYLE),
    build=partial(build, STYLE),
    fold=nothing_to_fold,
    clip=lambda frames: ClipSpec(frames=frames),
    claims=claims,
    caution=caution,
)
