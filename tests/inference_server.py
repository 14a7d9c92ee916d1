"""A small inference server: the Open Inference Protocol over HTTP, with raw bytes."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

from runtime.session import Tensor


@contextmanager
def inference_server(
    model: str, run: Callable[[Tensor], Tensor], *, most_clips: int
) -> Iterator[str]:
    """Serve a model while the block runs.

    Args:
        model: Its name.
        run: Logits, float32 [N, classes], of clips, float32 [N, T, 3, H, W].
        most_clips: Most clips of a request; more are refused, as Triton does.

    Yields:
        The address of the server.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            head = int(self.headers["Inference-Header-Content-Length"])
            asked, content = json.loads(body[:head]), body[head:]
            (taken,), (given,) = asked["inputs"], asked["outputs"]
            assert taken["parameters"] == {"binary_data_size": len(content)}
            if self.path != f"/v2/models/{model}/infer":
                self._answer(404, {"error": "unknown model"})
            elif taken["shape"][0] > most_clips:
                self._answer(400, {"error": f"batch-size must be <= {most_clips}"})
            else:
                clips = np.frombuffer(content, dtype="<f4").reshape(taken["shape"])
                logits = run(clips)
                output = {"name": given["name"], "shape": list(logits.shape), "datatype": "FP32"}
                output["data"] = logits.ravel().tolist()
                self._answer(200, {"model_name": model, "outputs": [output]})

        def _answer(self, status: int, value: object) -> None:
            content = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
