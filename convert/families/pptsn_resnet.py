"""PP-TSN on ResNet-vd ("tweaks"): frames are classified as one by the mean of their features.

Facts (layer order, names, constants) follow PaddleVideo, `resnet_tweaks_tsn.py` and
`pptsn_head.py` at commit ed245e9c:

* the backbone is PP-TSM's (see `convert.families.pptsm_resnet`) without the temporal shifts and
  with ReLU for leaky ReLU;
* the head pools, averages T feature vectors and applies `fc`; its dropout scales at training
  time, so that it does nothing at inference.

Nothing but a mean joins the frames, so any number of them will do: published members were trained
on 3 or 8 and are tested on 25, each in ten crops (`configs/recognition/pptsn`).

PP-TSM has the very same tensors. Built from those files, PP-TSN is told by the name that
`resnet_tweaks_tsn.py` gives the moving mean of its first batch norm, `bnv1_1_mean`.
"""

from __future__ import annotations

from functools import partial

from paddle.nn import functional

from convert.families.layers import nothing_to_fold
from convert.families.resnet import VD_KINDS, VD_MARKS, Style, build, read
from convert.families.tsn_resnet import tsn_clip
from convert.family import Family, ParameterNames


def claims(names: ParameterNames) -> bool:
    """Whether the parameter names say PP-TSN, not PP-TSM."""
    return names.get("backbone.conv1_1._batch_norm._mean") == "bnv1_1_mean"


STYLE = Style(
    title="PP-TSN", vd=True, shift=False, activation=functional.relu, classify_frames=False
)

FAMILY = Family(
    name="pp-tsn",
    marks=VD_MARKS,
    kinds=VD_KINDS,
    default_frames=(25, 8, 3),
    read=partial(read, STYLE),
    build=partial(build, STYLE),
    fold=nothing_to_fold,
    clip=tsn_clip,
    any_frames=True,
    claims=claims,
)
