"""Have a server of this process answer in a thread, and stop it without half a second's wait."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from socketserver import BaseServer

POLL_S = (
    0.02  # between two looks at whether it is to stop; socketserver's own .5 is what tests wait
)


@contextmanager
def serving(server: BaseServer) -> Iterator[None]:
    """Serve until the block ends; then the server is closed and the thread has ended."""
    thread = threading.Thread(target=server.serve_forever, args=(POLL_S,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
