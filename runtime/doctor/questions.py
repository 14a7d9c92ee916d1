"""The child process of `edgecls doctor`: asks one library one thing and tells what it says.

`python -m runtime.doctor.questions QUESTION [WORD]` writes JSON lines to stdout: `{"step": ...}`
before each thing that may crash, at the end `{"answer": ...}`. What libraries print goes to stderr.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
from collections.abc import Callable
from typing import Any

from models.errors import EdgeclsError
from models.extras import import_openvino
from models.messages import telling_line

Step = Callable[[str], None]
Value = dict[str, Any]

CORE = ("numpy", "PIL", "pydantic", "yaml", "psutil", "platformdirs", "pooch", "rich")
"""Modules that every installation has, those of videos apart."""


NVIDIA_PROVIDERS = (
    "CUDAExecutionProvider",
    "TensorrtExecutionProvider",
    "NvTensorRTRTXExecutionProvider",
)


def ask_core(step: Step) -> Value:
    """Which of the modules that are always installed load, with their versions.

    Returns:
        By module `version` ("" where it does not tell), or `error`.
    """
    return {"modules": {name: _imported(name, step) for name in CORE}}


def _imported(name: str, step: Step) -> Value:
    step(f"import {name}")
    try:
        module = importlib.import_module(name)
    except Exception as error:  # a native library may raise anything on import
        return {"error": f"{type(error).__name__}: {telling_line(error)}"}
    return {"version": str(getattr(module, "__version__", ""))}


def ask_backend(step: Step, name: str) -> Value:
    """Whether a backend computes the known answer of the built-in model.

    Returns:
        `works` and, if so, `engine`, `max_rel_diff`, `tolerance`, `passed`; else `reason`, `hint`
        and `absent` (it is not installed).
    """
    step(f"load the engine of backend {name}")
    from models.bundle import open_bundle
    from runtime.backends import backend_named
    from runtime.comparison import compare
    from runtime.session import SessionOptions

    backend = backend_named(name)
    probe = backend.probe()
    if not probe.ok:
        absent = probe.reason.endswith("is not installed")
        return {"works": False, "reason": probe.reason, "hint": probe.hint, "absent": absent}
    bundle = open_bundle(None)
    clips, reference = bundle.probe()
    variant = bundle.card.variant("fp32", backend=name)
    try:
        step("load the built-in model")
        with backend.open(bundle.graph_path(variant), bundle.card, SessionOptions()) as session:
            step("run the built-in model")
            found = compare(session, clips, reference, variant=variant)
    except EdgeclsError as error:
        reason = error.message.rstrip(".")
        return {"works": False, "reason": reason, "hint": error.hint, "absent": False}
    return {
        "works": True,
        "engine": found.engine,
        "max_rel_diff": found.max_rel_diff,
        "tolerance": found.tolerance,
        "passed": found.passed,
    }


def ask_onnxruntime(step: Step) -> Value:
    """What ONNX Runtime says that it was built with.

    Returns:
        `version` and `providers`; or `error`, with `absent`.
    """
    step("import onnxruntime")
    from models.extras import import_onnxruntime

    try:
        onnxruntime = import_onnxruntime()
        return {
            "version": str(onnxruntime.__version__),
            "providers": list(onnxruntime.get_available_providers()),
        }
    except Exception as error:  # a native library may raise anything on import
        absent = isinstance(error, ModuleNotFoundError) and error.name == "onnxruntime"
        return {"error": telling_line(error), "absent": absent}


def ask_openvino(step: Step) -> Value:
    """Which devices OpenVINO finds.

    Returns:
        `version` and `devices`: full names by "CPU", "GPU", ...; or `error`, with `absent`.
    """
    step("import openvino")
    try:
        openvino = import_openvino()

        step("look for devices with openvino")
        core = openvino.Core()
        return {
            "version": str(openvino.__version__).split("-")[0],
            "devices": {
                str(name): str(core.get_property(name, "FULL_DEVICE_NAME"))
                for name in core.available_devices
            },
        }
    except Exception as error:  # a native library may raise anything on import
        absent = isinstance(error, ModuleNotFoundError) and error.name == "openvino"
        return {"error": telling_line(error), "absent": absent}


def ask_provider(step: Step, name: str) -> Value:
    """Whether a session of the built-in model really gets a provider, and runs.

    Returns:
        `works`, and `reason` if it does not.
    """
    step("import onnxruntime")
    from models.bundle import open_bundle
    from models.extras import import_onnxruntime

    onnxruntime = import_onnxruntime()
    bundle = open_bundle(None)
    clips, _ = bundle.probe()
    preload = getattr(onnxruntime, "preload_dlls", None)
    if preload is not None and name in NVIDIA_PROVIDERS:
        step("load CUDA and cuDNN")  # of wheels: ONNX Runtime does not find them by itself
        preload()
    step(f"open a session with {name}")
    try:
        session = onnxruntime.InferenceSession(
            str(bundle.model_path()), providers=[name], enable_fallback=0
        )
        got = list(session.get_providers())
        if name not in got:
            return {"works": False, "reason": f"the session has only {', '.join(got)}"}
        step(f"run the built-in model with {name}")
        session.run(None, {session.get_inputs()[0].name: clips[:1]})
    except Exception as error:
        return {"works": False, "reason": telling_line(error)}
    return {"works": True}


def ask_opencv(step: Step) -> Value:
    """Version of OpenCV and what it reads cameras and addresses with.

    Returns:
        `version`, `cameras`, `streams`: names of its readers; or `error`.
    """
    step("import cv2")
    try:
        import cv2

        registry = cv2.videoio_registry
        return {
            "version": str(cv2.__version__),
            "cameras": [
                registry.getBackendName(one)
                for one in registry.getCameraBackends()
                if registry.hasBackend(one)  # those listed may be plugins that are absent
            ],
            "streams": [registry.getBackendName(one) for one in registry.getStreamBackends()],
        }
    except Exception as error:
        return {"error": telling_line(error)}


DECODERS = ("h264", "hevc", "vp9", "av1", "mjpeg", "mpeg4")
"""Of the videos that people have."""


def ask_pyav(step: Step) -> Value:
    """Versions of PyAV and FFmpeg, codecs, and whether a film written here can be read again.

    Returns:
        `version`, `libavcodec`, `decoders` (those of `DECODERS` that it has), `encoder`
        (of films), `frames` written and read again; or `error`.
    """
    step("import av")
    try:
        import av

        from runtime.video_coding import usable_codec

        value: Value = {
            "version": str(av.__version__),
            "libavcodec": ".".join(map(str, av.library_versions.get("libavcodec", ()))),
            "decoders": [name for name in DECODERS if _decodes(name)],
        }
        value["encoder"], options = usable_codec()
        step(f"write and read a film ({value['encoder']})")
        value["frames"] = _film_and_back(str(value["encoder"]), options)
    except Exception as error:
        return {"error": telling_line(error)}
    return value


def _decodes(name: str) -> bool:
    import av

    with contextlib.suppress(Exception):
        av.codec.Codec(name, "r")
        return True
    return False


FILM_FRAMES = 5


def _film_and_back(encoder: str, options: dict[str, str]) -> int:
    """Write `FILM_FRAMES` pictures in memory and count those that come out again."""
    import io

    import av
    import numpy as np

    film = io.BytesIO()
    with av.open(film, "w", format="mp4") as written:
        stream: Any = written.add_stream(encoder, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(FILM_FRAMES):
            picture = np.full((48, 64, 3), 40 * index, np.uint8)
            written.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        written.mux(stream.encode())
    film.seek(0)
    with av.open(film) as read:
        return sum(1 for _ in read.decode(video=0))


QUESTIONS: dict[str, Callable[..., Value]] = {
    "core": ask_core,
    "backend": ask_backend,
    "onnxruntime": ask_onnxruntime,
    "openvino": ask_openvino,
    "provider": ask_provider,
    "opencv": ask_opencv,
    "pyav": ask_pyav,
}


def main(arguments: list[str]) -> None:
    """Answer one question.

    Args:
        arguments: Its name, and the words that it takes.
    """
    events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever native code prints does not go among the events
    _leave_no_core_file()

    def step(title: str) -> None:
        print(json.dumps({"step": title}), file=events, flush=True)

    question, *words = arguments
    answer = QUESTIONS[question](step, *words)
    print(json.dumps({"answer": answer}), file=events, flush=True)


def _leave_no_core_file() -> None:
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_CORE)
        resource.setrlimit(resource.RLIMIT_CORE, (0, most))


if __name__ == "__main__":
    main(sys.argv[1:])
