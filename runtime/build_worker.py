"""The process in which `runtime.build` builds: one order on stdin, one answer on stdout."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np

from models.bundle import Bundle, open_bundle
from models.card import Variant
from models.errors import BackendError, EdgeclsError, UsageError
from runtime.backends import backend_named
from runtime.engine_cache import EngineCache
from runtime.engine_request import EngineRequest
from runtime.incremental import open_incremental


def built(bundle: Bundle, variant: Variant, asked: EngineRequest) -> dict[str, object]:
    """Open the graph and its stages, run them once, and see what is new in the cache.

    Raises:
        BundleError: A file is missing or altered.
        BackendError: The backend failed.
        UsageError: There is no such backend, or it has no such setting.
    """
    backend = backend_named(asked.backend or "")
    path = bundle.graph_path(variant)
    probe = backend.probe()  # imports the engine, which is not part of the time
    if not probe.ok:
        raise BackendError(
            f"Backend {backend.name} cannot be used here: {probe.reason}.", hint=probe.hint
        )
    before = {entry.path.name: entry.used_s for entry in EngineCache().entries()}

    start_s = time.perf_counter()
    with backend.open(path, bundle.card, asked.options) as session:
        session.run(np.zeros(bundle.card.clip.input_shape(variant.batch or 1), np.float32))
        engine, placement = session.engine, session.placement.line()
    if backend.open_stage is not None and variant.stages:
        with open_incremental(bundle, variant, backend, asked.options) as staged:
            staged.warm_up()
    time_s = time.perf_counter() - start_s

    used = [one for one in EngineCache().entries() if before.get(one.path.name) != one.used_s]
    found = sum(one.path.name in before for one in used)
    return {
        "engine": engine,
        "placement": placement,
        "time_s": time_s,
        "made": len(used) - found,
        "found": found,
        "size_bytes": sum(one.size_bytes for one in used),
    }


def main() -> None:
    """Read the order, build, answer with the outcome or with the reason why there is none."""
    order = json.load(sys.stdin)
    try:
        bundle = open_bundle(Path(order["bundle"]))
        (variant,) = [one for one in bundle.card.variants if one.file == order["file"]]
        answer = built(bundle, variant, EngineRequest(**order["asked"]))
    except EdgeclsError as error:
        answer = {
            "reason": error.message,
            "hint": error.hint,
            "is_usage": isinstance(error, UsageError),
        }
    sys.stdout.write("\n" + json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
