"""TSM on ResNet: a temporal shift in front of every bottleneck.

Facts (layer order, names, constants) follow PaddleVideo, `resnet_tsm.py` and `tsm_head.py` at
commit ed245e9c:

* the backbone is TSN's (see `convert.families.tsn_resnet`), but every residual branch starts with
  a temporal shift of ratio 1 / T;
* the head pools, applies `fc` to each of the T feature vectors and averages the logits; its
  dropout scales at training time, so that it does nothing at inference.

TSN has the very same tensors. Built from those files, `fc` is `linear_1` in TSM, because `TSMHead`
derives from `TSNHead`, whose own `fc` it replaces, and `linear_0` in TSN. That decides only where
the network was the first that its process built: its first batch norm is then number 0.
"""

from __future__ import annotations

from functools import partial

from paddle.nn import functional

from convert.families.layers import nothing_to_fold
from convert.families.resnet import PLAIN_KINDS, PLAIN_MARKS, Style, build, read
from convert.family import Family, ParameterNames
from models.spec import ClipSpec, Resize


def claims(names: ParameterNames) -> bool:
    """Whether the parameter names say TSM, not TSN."""
    mean = names.get("backbone.conv._batch_norm._mean", "")
    return mean.startswith("batch_norm2d_0.") and names.get("head.fc.weight") == "linear_1.w_0"


def clip(frames: int) -> ClipSpec:
    """Preprocessing in the test sections of `configs/recognition/tsm`."""
    return ClipSpec(
        frames=frames,
        segment_frame="left",
        resize=Resize(policy="keep_aspect", library="pillow", long_side="down"),
    )


STYLE = Style(title="TSM", vd=False, shift=True, activation=functional.relu, classify_frames=True)

FAMILY = Family(
    name="tsm",
    marks=PLAIN_MARKS,
    kinds=PLAIN_KINDS,
    default_frames=(8,),
    read=partial(read, STYLE),
    build=partial(build, STYLE),
    fold=nothing_to_fold,
    clip=clip,
    claims=claims,
)
