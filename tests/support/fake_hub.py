"""A hub on this machine: the part of its HTTP interface that downloads use, with faults on request.

As the real one does, it answers for a file with a redirect that carries the file's size and sha256; the bytes
come from a store on another host (here: the same server by its other name).
"""

from __future__ import annotations

import hashlib
import re
import socket
import threading
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DEADLINE = 20.0


@dataclass(frozen=True)
class Request:
    """One request as the hub saw it."""

    method: str
    path: str
    range: str | None
    authorization: str | None


@dataclass
class Fault:
    """What one download suffers: an end after so many bytes, or a wait there until ``go`` is set."""

    after: int
    reached: threading.Event = field(default_factory=threading.Event)
    go: threading.Event | None = None


class FakeHub:
    """Serves files by ``owner/repo/file``; ``faults`` are used up one per download, in order."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.requests: list[Request] = []
        self.faults: deque[Fault] = deque()
        self.claimed_sha256: str | None = None
        self.claimed_size: int | None = None
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._server.daemon_threads = True

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def port(self) -> int:
        """Where it listens on 127.0.0.1."""
        return self._server.server_address[1]

    @property
    def endpoint(self) -> str:
        """The value for HF_ENDPOINT."""
        return f"http://127.0.0.1:{self.port}"

    def store_url(self, name: str) -> str:
        """The plain address of a file, without the hub's redirect."""
        return f"http://localhost:{self.port}/store/{name}"

    def downloads(self) -> list[str | None]:
        """The ranges of all downloads so far, in order; probes for the first bytes are left out."""
        return [r.range for r in self.requests if r.path.startswith("/store/") and r.range != "bytes=0-3"]


def _handler_of(hub: FakeHub) -> type[BaseHTTPRequestHandler]:
    class Handler(_Handler):
        pass

    Handler.hub = hub
    return Handler


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the base class
        """Say nothing: tests read ``hub.requests``."""

    def _answer(self) -> None:
        headers = self.headers
        self.hub.requests.append(Request(self.command, self.path, headers.get("Range"), headers.get("Authorization")))
        name = re.sub(r"^/store/|^/|resolve/main/", "", self.path)
        if name not in self.hub.files:
            self._head(404, {"X-Error-Code": "EntryNotFound", "Content-Length": "0"})
        elif self.path.startswith("/store/"):
            self._send(self.hub.files[name])
        else:
            self._redirect(name, self.hub.files[name])

    def _redirect(self, name: str, content: bytes) -> None:
        sha256 = self.hub.claimed_sha256 or hashlib.sha256(content).hexdigest()
        self._head(
            302,
            {
                "Location": self.hub.store_url(name),
                "X-Linked-Etag": f'"{sha256}"',
                "X-Linked-Size": str(self.hub.claimed_size or len(content)),
                "X-Repo-Commit": "0" * 40,
                "Content-Length": "0",
            },
        )

    def _send(self, content: bytes) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "bytes=0-"))
        start, end = int(asked[1]), int(asked[2] or len(content) - 1)
        body = content[start : end + 1]
        headers = {"Content-Length": str(len(body))}
        if "Range" in self.headers:
            headers["Content-Range"] = f"bytes {start}-{end}/{self.hub.claimed_size or len(content)}"
        self._head(206 if "Range" in self.headers else 200, headers)
        is_probe = self.headers.get("Range") == "bytes=0-3"
        self._send_body(body, None if is_probe or not self.hub.faults else self.hub.faults.popleft())

    def _send_body(self, body: bytes, fault: Fault | None) -> None:
        if fault is None:
            self.wfile.write(body)
            return
        self.wfile.write(body[: fault.after])
        fault.reached.set()
        if fault.go is None:
            self.close_connection = True  # the announced rest never comes
        else:
            fault.go.wait(DEADLINE)
            self.wfile.write(body[fault.after :])

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()


def refused_endpoint() -> str:
    """An address of this machine where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"


@dataclass
class Host:
    """A host that accepts connections and then misbehaves; ``accepted`` is set by the first one."""

    endpoint: str
    accepted: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)


@contextmanager
def host_that(speak: Callable[[socket.socket, Host], None]) -> Iterator[Host]:
    """Open a host that treats each connection as told, until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        host = Host(f"http://127.0.0.1:{server.getsockname()[1]}")
        threading.Thread(target=_accept, args=(server, speak, host), daemon=True).start()
        yield host
        host.over.set()
        server.shutdown(socket.SHUT_RDWR)


def silence(connection: socket.socket, host: Host) -> None:
    """Accept and never answer."""
    host.over.wait(DEADLINE)


def trickle(connection: socket.socket, host: Host) -> None:
    """Answer one byte at a time, often enough that no single wait runs out, and never finish."""
    connection.sendall(b"HTTP/1.1 302 Found\r\nX-Endless: ")
    while not host.over.wait(0.5):
        connection.sendall(b".")


def _accept(server: socket.socket, speak: Callable[[socket.socket, Host], None], host: Host) -> None:
    while not host.over.is_set():
        try:
            connection, _ = server.accept()
        except OSError:
            return  # the block has ended
        host.accepted.set()
        threading.Thread(target=_speak, args=(connection, speak, host), daemon=True).start()


def _speak(connection: socket.socket, speak: Callable[[socket.socket, Host], None], host: Host) -> None:
    with connection:
        try:
            speak(connection, host)
        except OSError:
            return  # the client has gone
