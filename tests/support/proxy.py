"""A network between browser and server that a test can cut, mend, and lead to another server."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress


class Proxy:
    """Passes TCP connections on.

    Attributes:
        port: where it listens, all the time: what changes is what lies behind it.
    """

    def __init__(self, port: int) -> None:
        self._behind: int | None = port
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def cut(self) -> None:
        """Break every connection off, and let no other through."""
        with self._lock:
            self._behind = None
            pairs, self._open = self._open, set()
        for each in pairs:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def lead_to(self, port: int) -> None:
        """Let connections through to a server."""
        with self._lock:
            self._behind = port

    def close(self) -> None:
        """Stop listening."""
        self.cut()
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError), socket.socket() as server:
            with self._lock:
                behind = self._behind
                if behind is None:
                    return
                server.connect(("127.0.0.1", behind))
                self._open |= {client, server}
            back = threading.Thread(target=_pass_on, args=(server, client), daemon=True)
            back.start()
            _pass_on(client, server)
            back.join()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(65536):
            target.sendall(piece)
    for each in (source, target):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
