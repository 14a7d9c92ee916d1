"""Networks that are none of ours but are met as checkpoints, told by characteristic tensors."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_DIGITS = re.compile(r"\d+")

EXPORT_IT = (
    "Export it with Paddle and convert the exported model, which needs no family: SRC may be a"
    " folder with inference.json and inference.pdiparams."
)
"""What to do with a network that is none of ours."""

PYTORCH = "a network of PyTorch (its batch norms have a running_mean)"
CLASSIFIER = "the image classifier "

PYTORCH_SUFFIXES = (".running_mean", ".running_var")
"""Paddle calls these `_mean` and `_variance`."""


@dataclass(frozen=True, slots=True)
class Known:
    """A network, or a kind of networks.

    Attributes:
        what: Name for people.
        marks: Beginnings of tensor names, `#` for any number and without `backbone.`, each of
            which begins the name of some tensor.
    """

    what: str
    marks: tuple[str, ...]


KNOWN = (
    Known(
        CLASSIFIER + "ResNet-vd of PaddleClas",
        ("conv#_#._conv.weight", "bb_#_#.conv#._conv.weight", "out.weight"),
    ),
    Known(CLASSIFIER + "ResNet of PaddleClas", ("conv._conv.weight", "bb_#_#.", "out.weight")),
    Known(CLASSIFIER + "ResNet of PaddleClas", ("conv._conv.weight", "res#", "out.weight")),
    Known(
        CLASSIFIER + "ResNet or ResNet-vd of PaddleClas (2.2 and newer)",
        ("stem.#.conv.weight", "blocks.#.conv#.conv.weight"),
    ),
    Known(
        CLASSIFIER + "PP-LCNet of PaddleClas",
        ("conv#.conv.weight", "blocks#.#.dw_conv.conv.weight"),
    ),
    Known(
        CLASSIFIER + "ResNet of paddle.vision",
        ("conv#.weight", "bn#._mean", "layer#.#.conv#.weight"),
    ),
    Known("TimeSformer or PP-TimeSformer", ("blocks.#.temporal_attn.",)),
    Known(
        "a Swin Transformer (Video Swin or an image classifier)",
        ("patch_embed.proj.weight", "layers.#.blocks.#.attn.relative_position_bias_table"),
    ),
    Known(
        "a Vision Transformer (TokenShift, or an image classifier)",
        ("cls_token", "blocks.#.attn.qkv.weight"),
    ),
    Known("SlowFast", ("s#.pathway#_stem.",)),
    Known("MoViNet", ("conv#.conv_#.", "blocks.#.deep.conv_#.")),
    Known("a ResNet of 3D convolutions (SlowOnly, PoseC3D)", ("layer#.#.conv#._conv.weight",)),
    Known("ST-GCN", ("st_gcn_networks.#.",)),
    Known("AGCN", ("data_bn.", "agcn.#.")),
    Known("2s-AGCN", ("data_bn.", "l#.gcn#.conv_a.#.")),
    Known("CTR-GCN", ("data_bn.", "l#.gcn#.convs.#.")),
    Known("BMN", ("b_conv#.", "p_conv#d#.")),
    Known("AttentionLSTM", ("head.bi_lstm#.", "head.att_fc#.")),
    Known("MS-TCN", ("stages.#.conv_in.", "stages.#.layers.#.conv_dilated.")),
    Known("ASRF", ("shared_layers.#.",)),
    Known("TransNetV2", ("SDDCNN.#.",)),
    Known("YOWO", ("backbone_#d.",)),
    Known("ActBERT", ("bert.embeddings.",)),
    Known("CFBI", ("feature_extracter.",)),
    Known("ADDS", ("encoder.encoder_day.",)),
    Known("a program of Paddle's static mode", ("conv#d_#.w_#",)),
)
"""Tried in this order. Names as in PaddleVideo (commit ed245e9c), PaddleClas and paddle.vision."""


def what_to_do(known: str | None) -> str:
    """The hint for weights that are none of ours.

    Args:
        known: Answer of `known_network`.
    """
    if known == PYTORCH:
        return "Export it with torch.onnx.export and convert the .onnx file, which needs no family."
    if known is not None and known.startswith(CLASSIFIER):
        return "Give the checkpoint of the video network that was trained from it."
    return EXPORT_IT


def known_network(names: Iterable[str]) -> str | None:
    """Name the network that these tensors are weights of.

    Args:
        names: Tensor names, with or without `backbone.`.

    Returns:
        A name for people, or None for a network that is not in the table.
    """
    every = tuple(names)
    if any(name.endswith(PYTORCH_SUFFIXES) for name in every):
        return PYTORCH
    collapsed = {_DIGITS.sub("#", name.removeprefix("backbone.")) for name in every}
    for known in KNOWN:
        if all(any(name.startswith(mark) for name in collapsed) for mark in known.marks):
            return known.what
    return None
