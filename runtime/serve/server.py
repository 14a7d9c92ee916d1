"""The watch page's server, in a thread of its own beside the main loop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

from models.errors import OutputError
from models.extras import extra
from runtime.closing import ClosesOnExit
from runtime.serve.access import Access
from runtime.serve.address import Address, listening_socket
from runtime.serve.board import LiveBoard

GRACE_S = 0.6
"""Open responses get so long to end when the run ends, then they are cut off."""

JOIN_S = 1.5

logger = logging.getLogger(__name__)


class WatchServer(ClosesOnExit):
    """Serves a board over HTTP until it is closed.

    The socket listens when the constructor returns. The thread is a daemon: whatever happens to
    it, the process can end.

    Args:
        board: What is shown; closed with the server.
        address: Where.
        token: None only for a loopback address.

    Raises:
        MissingExtra: The extra `serve` is not installed.
        OutputError: The port is taken, or a token is missing.
    """

    def __init__(self, board: LiveBoard, address: Address, token: str | None) -> None:
        with extra("serve", "The watch page"):
            import prometheus_client  # noqa: F401 - used at the first request
            import starlette.routing  # noqa: F401
            import uvicorn

            from runtime.serve.app import WatchPage
            from runtime.serve.connection import guarded_connection
        if token is None and not address.loopback:
            raise OutputError(f"A page at {address.host} would be open to the network: no token.")
        self._board = board
        listener = listening_socket(address)
        self.port = int(listener.getsockname()[1])
        self.address = address
        self._encoder = ThreadPoolExecutor(1, thread_name_prefix="edgecls-page-pictures")
        page = WatchPage(board, Access(token=token, port=self.port), self._encoder)
        for name in ("uvicorn.error", "uvicorn.access", "uvicorn.asgi"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        config = uvicorn.Config(
            page.app(),
            loop="asyncio",
            http=guarded_connection(),
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._listener = listener
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="edgecls-page", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Address of the page as a browser on this machine, or on the network, writes it."""
        anywhere = self.address.ip in ("0.0.0.0", "::")
        host = socket.gethostname() if anywhere else self.address.host
        host = f"[{host}]" if ":" in host else host
        return f"http://{host}:{self.port}/"

    def close(self) -> None:
        """End the page: open pages are told, then cut off. Takes less than two seconds."""
        self._board.close()
        if self._thread.is_alive():
            self._server.should_exit = True
            loop = self._loop
            if loop is not None and not loop.is_closed():
                with contextlib.suppress(RuntimeError):  # it closed meanwhile
                    loop.call_soon_threadsafe(loop.call_later, GRACE_S, self._cut_off)
            self._thread.join(JOIN_S)
        self._listener.close()
        self._encoder.shutdown(wait=False, cancel_futures=True)

    def _run(self) -> None:
        async def serve() -> None:
            self._loop = asyncio.get_running_loop()
            await self._server.serve(sockets=[self._listener])

        try:
            asyncio.run(serve())
        except Exception:  # the run goes on without its page
            logger.exception("The watch page has ended")

    def _cut_off(self) -> None:
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()
