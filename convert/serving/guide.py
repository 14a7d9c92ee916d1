"""The README of a model repository: how to start the server, and what a client has to do."""

from __future__ import annotations

from convert.serving.request import ExportRequest
from convert.serving.served_graph import ServedGraph
from convert.serving.triton import ENGINE_FOLDER
from models.card import ModelCard
from models.spec import ClipSpec, Resize

_LIBRARIES = {
    "pillow": "Pillow's `Image.resize(..., Resampling.BILINEAR)`, which smooths when it shrinks",
    "opencv": "OpenCV's `resize(..., INTER_LINEAR)`, which does not smooth when it shrinks",
}


def guide(request: ExportRequest, card: ModelCard, graph: ServedGraph, checked: str) -> str:
    """The text of the README.

    Args:
        request: What was asked for.
        card: Of the bundle.
        graph: The graph in the server's engine.
        checked: What was checked, without a full stop.
    """
    start = _start_triton(request) if request.server == "triton" else _START_OVMS
    parts = (
        f"# {request.name}: {card.name}",
        "`models/` is what the server is given; `export.json` tells clients what it was made"
        f" of, its classes included. Checked when it was made: {checked}. The server itself"
        " was not started.",
        "## Start the server",
        start,
        "## Ask it",
        "    python client.py clip.mp4 --url http://localhost:8000",
        "`client.py` needs edgecls, without an engine, and does what follows. A client in another"
        " language has to do the same: the scores are right only for pictures that are chosen and"
        " prepared so.",
        _numbered(_preparation(card.clip)),
        _request(request, card, graph),
    )
    return "\n\n".join(parts) + "\n"


def _numbered(steps: tuple[str, ...]) -> str:
    return "\n".join(f"{number}. {step}" for number, step in enumerate(steps, start=1))


def _preparation(clip: ClipSpec) -> tuple[str, ...]:
    """From a video to the input, a step each."""
    frames, side = clip.frames, clip.crop
    mean, std = (", ".join(f"{value:g}" for value in triple) for triple in (clip.mean, clip.std))
    offset = (
        "`round((length - side) / 2)`, halves to the even number"
        if clip.crop_offset == "round"
        else "`(length - side) // 2`"
    )
    chosen = {
        "centre": f"With n frames, `a = n // {frames}` and i from 0 to {frames - 1}: frame"
        f" `i * a + (a - 1) // 2`; if n < {frames}, frame `i % n`.",
        "left": f"With n frames, `a = n / {frames}` (a fraction) and i from 0 to {frames - 1}:"
        f" frame `int(a / 2 + a * i)`; if n <= {frames}, the first frame every time.",
    }[clip.segment_frame]
    crop = (
        f"Cut the square of {side} x {side} pixels out of the centre, from {offset}."
        if clip.views == 1
        else f"Cut {clip.views} squares of {side} x {side} pixels: the centre and the corners, each"
        " also mirrored. Each is a clip of its own, and their logits are averaged."
    )
    return (
        f"Take {frames} frames of the clip. {chosen} Live, a clip is {clip.clip_length_s:g} s.",
        f"{_resize_in_words(clip.resize)} Bilinear, by {_LIBRARIES[clip.resize.library]}.",
        crop,
        "Normalise every pixel, red, green, blue, 0 to 255:"
        f" `(pixel / 255 - mean) / std` with mean {mean} and std {std}.",
        f"Lay it out as float32 [1, {frames}, 3, {side}, {side}]: clip, frame, channel, row,"
        " column.",
    )


def _resize_in_words(resize: Resize) -> str:
    short = resize.short_side
    fits = (
        f" A picture whose shorter side is {short} already is left as it is."
        if resize.skip_if_short_side_fits
        else ""
    )
    rounding = {"down": "rounded down", "nearest": "rounded, halves up"}[resize.long_side]
    return {
        "fixed_4_3": f"Resize: the shorter side to {short}, the longer to {int(short * 4.0 / 3.0)},"
        " whatever the shape of the picture.",
        "keep_aspect": f"Resize: the shorter side to {short}, the longer in proportion,"
        f" {rounding}.",
        "stretch": f"Resize to {short} x {short}, whatever the shape of the picture.",
    }[resize.policy] + fits


def _request(request: ExportRequest, card: ModelCard, graph: ServedGraph) -> str:
    if graph.batch is not None:
        batch = f"Every request holds exactly {graph.batch} clips: the graph was made so."
    elif request.most_clips == 1:
        batch = "Every request holds one clip."
    else:
        batch = f"A request may hold up to {request.most_clips} clips."
    together = (
        " Triton computes requests that come at the same time as one batch."
        if request.server == "triton" and graph.batch is None and request.most_clips > 1
        else ""
    )
    scores = (
        "logits: softmax makes them probabilities, once"
        if card.output == "logits"
        else "probabilities already"
    )
    return (
        f"Input `{graph.input}`, FP32; output `{graph.output}`, FP32 [N, {card.classes}], which are"
        f" {scores}. {batch}{together} The server speaks the Open Inference Protocol (KServe v2) on"
        f" `/v2/models/{request.name}/infer`; send the clip as raw bytes, not as JSON."
    )


def _start_triton(request: ExportRequest) -> str:
    gpu = "" if (request.device == "cpu" or request.accelerator == "openvino") else " --gpus all"
    cache, note = "", ""
    if gpu and request.device in (None, "auto") and request.accelerator is None:
        note = "\n\nOn a machine without an NVIDIA GPU leave out `--gpus all`."
    if request.accelerator == "tensorrt":
        cache = f" -v triton-engines:{ENGINE_FOLDER}"
        note += (
            "\n\nTensorRT builds its engine at the first start, before the model is ready, which"
            " may take minutes, and keeps it in that volume."
        )
    return (
        "TAG is that of a release of Triton, e.g. on catalog.ngc.nvidia.com.\n\n"
        f"    docker run --rm{gpu} -p 8000:8000 -p 8001:8001 -p 8002:8002 \\\n"
        f'      -v "$PWD/models:/models:ro"{cache} \\\n'
        "      nvcr.io/nvidia/tritonserver:TAG tritonserver --model-repository=/models"
        f"{note}"
    )


_START_OVMS = (
    '    docker run --rm -p 8000:8000 -p 9000:9000 -v "$PWD/models:/models:ro" \\\n'
    "      openvino/model_server:latest --config_path /models/config.json \\\n"
    "      --port 9000 --rest_port 8000\n\n"
    "For a GPU or an NPU, give the container the device too (`--device /dev/dri`,"
    " `--device /dev/accel`), and take an image that has its driver."
)
