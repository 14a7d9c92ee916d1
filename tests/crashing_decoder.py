"""A decoder of archives that dies of some files, as native code does; a process of its own."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from runtime.archive import decode_worker
from runtime.preprocess import Preparation

COMMAND = (sys.executable, "-m", "tests.crashing_decoder")


def answer(path: str, preparation: Preparation) -> tuple[dict[str, Any], list[bytes]]:
    """Die of `crash*`, of `once*` only the first time, and never answer about `hang*`."""
    name = Path(path).name
    tried = Path(f"{path}.tried")
    if name.startswith("crash") or (name.startswith("once") and not tried.exists()):
        tried.touch()
        os.kill(os.getpid(), signal.SIGSEGV)
    if name.startswith("hang"):
        time.sleep(600)
    return usual_answer(path, preparation)


if __name__ == "__main__":
    usual_answer = decode_worker.answer
    decode_worker.answer = answer
    decode_worker.serve()
