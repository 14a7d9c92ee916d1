"""Classify videos with a model that NVIDIA Triton or OpenVINO Model Server serves.

    python client.py clip.mp4 [more.mp4 ...] [--url http://localhost:8000] [--top 5]

`export.json`, beside this file, says what the model wants to be fed. Needs edgecls, which reads the
video, takes the frames and prepares them exactly as it does to run the model itself; no engine. The
protocol is the Open Inference Protocol (KServe v2) over HTTP, with the clip as raw bytes.
"""

from __future__ import annotations

import argparse
import json
import sys
import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import Any

import numpy as np

from models.card import ModelCard, card_from_json
from models.errors import BackendError, EdgeclsError
from runtime.batches import in_fixed_batches
from runtime.closing import ClosesOnExit
from runtime.placement import Placement, ProviderShare
from runtime.session import Tensor
from runtime.whole_file import classify_whole

FACTS = Path(__file__).with_name("export.json")
TIMEOUT_S = 60.0


class ServedModel(ClosesOnExit):
    """A model on a server, in the place of an engine on this machine.

    Args:
        url: Of the server, e.g. "http://localhost:8000".
        facts: Content of `export.json`.
    """

    def __init__(self, url: str, facts: dict[str, Any]) -> None:
        self.backend = "server"
        self.engine = f"{url.rstrip('/')}/v2/models/{facts['model']}"
        share = ProviderShare(provider="server", nodes=None, node_share=1.0, time_share=None)
        self.placement = Placement(shares=(share,), measured=False)
        self._facts = facts

    def run(self, clips: Tensor) -> Tensor:
        """Ask the server for the scores of clips.

        Args:
            clips: float32 [N, T, 3, H, W].

        Returns:
            float32 [N, classes].

        Raises:
            BackendError: The server cannot be reached, or refuses.
        """
        batch = self._facts["batch"]
        return self._ask(clips) if batch is None else in_fixed_batches(clips, batch, self._ask)

    def _ask(self, clips: Tensor) -> Tensor:
        content = np.ascontiguousarray(clips, dtype="<f4").tobytes()
        asked = {
            "inputs": [
                {
                    "name": self._facts["input"],
                    "shape": list(clips.shape),
                    "datatype": "FP32",
                    "parameters": {"binary_data_size": len(content)},
                }
            ],
            "outputs": [{"name": self._facts["output"], "parameters": {"binary_data": False}}],
        }
        head = json.dumps(asked).encode()
        request = urllib.request.Request(
            f"{self.engine}/infer",
            data=head + content,
            headers={
                "Content-Type": "application/octet-stream",
                "Inference-Header-Content-Length": str(len(head)),
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
                (output,) = json.load(answer)["outputs"]
            return np.asarray(output["data"], dtype=np.float32).reshape(len(clips), -1)
        except urllib.error.HTTPError as error:
            said = error.read(1000).decode(errors="replace")
            raise BackendError(f"{self.engine} says {error.code}: {said}") from error
        except (OSError, HTTPException, ValueError, KeyError, TypeError) as error:
            said = f"{type(error).__name__}: {error}"
            raise BackendError(f"{self.engine} gives no scores: {said}") from error

    def close(self) -> None:
        """Nothing is held open between two requests."""


def main() -> int:
    """Classify the files that are named on the command line; 1 if one of them failed."""
    parser = argparse.ArgumentParser(description="Classify videos with a served model.")
    parser.add_argument("files", nargs="+", metavar="FILE", help="a video")
    parser.add_argument("--url", default="http://localhost:8000", help="of the server")
    parser.add_argument("--top", type=int, default=5, help="classes per video")
    asked = parser.parse_args()
    facts = json.loads(FACTS.read_text(encoding="utf-8"))
    card: ModelCard = card_from_json(json.dumps(facts["card"]), origin=str(FACTS))
    model, failed = ServedModel(asked.url, facts), 0
    for file in asked.files:
        try:
            found = classify_whole(
                file, model, card, top_k=asked.top, threshold=0.0, views=card.clip.views
            )
        except EdgeclsError as error:
            sys.stderr.write(f"error: {file}: {error.message}\n")
            failed = 1
            continue
        scores = "  ".join(f"{one.label} {one.probability * 100:.1f} %" for one in found.top)
        sys.stdout.write(f"{file}\t{scores}\n")
    return failed


if __name__ == "__main__":
    sys.exit(main())
