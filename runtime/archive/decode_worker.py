"""The process in which files of an archive are decoded, see `runtime.archive.decoding`.

It is told once what is kept of the frames, then path after path, and answers each with the clip or
with the reason why there is none. Decoders are native code: a file that crashes one takes this
process down, and nothing else.
"""

from __future__ import annotations

import json
import os
import queue
import struct
import sys
import threading
from collections.abc import Mapping
from typing import Any, BinaryIO

from models.errors import EdgeclsError
from models.spec import ClipSpec
from runtime.heard import heard_warnings
from runtime.preprocess import Preparation
from runtime.records import Clip
from runtime.whole_file import clips_of

LENGTH = struct.Struct("<II")
"""Before every answer: length of its JSON and of the pictures behind it, in bytes."""


def serve() -> None:
    """Answer until stdin ends."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever native code prints does not go among the answers
    orders: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(orders,), name="orders", daemon=True).start()
    order = json.loads(orders.get())
    preparation = Preparation(clip=ClipSpec.model_validate(order["clip"]), views=order["views"])
    while True:
        facts, pictures = answer(json.loads(orders.get()), preparation)
        _send(answers, facts, pictures)


def _listen(orders: queue.SimpleQueue[bytes]) -> None:
    """Take orders; when they end, whoever gave them is gone, and so is the use of this process."""
    for line in sys.stdin.buffer:
        orders.put(line)
    os._exit(0)


def answer(path: str, preparation: Preparation) -> tuple[dict[str, Any], list[bytes]]:
    """Decode a file.

    Returns:
        What there is to say of it, and its pictures; of a file that cannot be used its error.
    """
    try:
        with heard_warnings() as heard:
            (clip,), _ = clips_of(path, preparation)
    except EdgeclsError as error:
        return {"error": error.message}, []
    except MemoryError:
        return {"error": f"{path} takes more memory than there is."}, []
    except Exception as error:
        return {"error": f"{path} met a bug in edgecls: {type(error).__name__}: {error}"}, []
    return _facts(clip, list(dict.fromkeys(heard)))


def _facts(clip: Clip, warnings: list[str]) -> tuple[dict[str, Any], list[bytes]]:
    """Each picture once, and their order: files of few frames repeat them."""
    frames = {id(frame): frame for frame in clip.frames}
    numbers = {key: number for number, key in enumerate(frames)}
    facts = {
        "shapes": [list(frame.picture.shape) for frame in frames.values()],
        "order": [numbers[id(frame)] for frame in clip.frames],
        "start_s": clip.start_s,
        "end_s": clip.end_s,
        "available": clip.available,
        "warnings": warnings,
    }
    return facts, [frame.picture.tobytes() for frame in frames.values()]


def _send(stream: BinaryIO, facts: Mapping[str, Any], pictures: list[bytes]) -> None:
    header = json.dumps(dict(facts)).encode()
    stream.write(LENGTH.pack(len(header), sum(map(len, pictures))) + header)
    for picture in pictures:
        stream.write(picture)
    stream.flush()


if __name__ == "__main__":
    serve()
