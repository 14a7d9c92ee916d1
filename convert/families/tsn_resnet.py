"""TSN on ResNet: frames are classified as one by the mean of their features.

Facts (layer order, names, constants) follow PaddleVideo, `resnet.py` and `tsn_head.py` at commit
ed245e9c:

* a stem of one 7 x 7 convolution, stride 2, max pooling 3 x 3 stride 2; bottlenecks with the
  stride on the 3 x 3 convolution, and on the 1 x 1 convolution of the shortcut; ReLU everywhere;
* the head pools, averages T feature vectors and applies `fc`; its dropout scales at training
  time, so that it does nothing at inference.

Nothing but a mean joins the frames, so any number of them will do: published members were trained
on 3 or 8 and are tested on 25, each in ten crops (`configs/recognition/tsn`).

TSM has the very same tensors, and its parameter names do not rule it out: Paddle calls TSN's `fc`
`linear_0`, but so it does TSM's in release 2.0.0 of PaddleVideo (commit 47068144), whose `TSMHead`
has no `fc` of its own. So TSN claims nothing, and the user has to say which it is.
"""

from __future__ import annotations

from functools import partial

from paddle.nn import functional

from convert.families.layers import nothing_to_fold
from convert.families.resnet import PLAIN_KINDS, PLAIN_MARKS, Style, build, read
from convert.family import Family
from models.spec import ClipSpec, Resize


def tsn_clip(frames: int) -> ClipSpec:
    """Preprocessing of TSN and PP-TSN in the test sections of PaddleVideo's configurations."""
    return ClipSpec(
        frames=frames,
        segment_frame="left",
        resize=Resize(policy="keep_aspect", library="opencv", long_side="nearest"),
        crop_offset="down",
        views=10,
    )


STYLE = Style(title="TSN", vd=False, shift=False, activation=functional.relu, classify_frames=False)

FAMILY = Family(
    name="tsn",
    marks=PLAIN_MARKS,
    kinds=PLAIN_KINDS,
    default_frames=(25, 8, 3),
    read=partial(read, STYLE),
    build=partial(build, STYLE),
    fold=nothing_to_fold,
    clip=tsn_clip,
    any_frames=True,
)
