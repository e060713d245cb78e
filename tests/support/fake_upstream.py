"""An OpenAI-compatible server whose every step a test decides: each connection gets the next part of its script.

Lists of models are answered by ``models`` (a status and a body) and are no part of the script.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, BinaryIO, Self

if TYPE_CHECKING:
    from collections.abc import Callable

DEADLINE = 20.0
MODELS = {"object": "list", "data": [{"id": "Qwen/Qwen2.5-7B-Instruct", "object": "model", "owned_by": "someone"}]}


class Exchange:
    """One request for an answer, and the connection to give it on."""

    def __init__(
        self, connection: socket.socket, headers: dict[str, str], body: dict[str, Any], over: threading.Event
    ) -> None:
        self._connection = connection
        self._over = over
        self.hung_up = threading.Event()
        self.headers = headers
        self.body = body

    def head(self, status: str = "200 OK", content_type: str = "text/event-stream", **headers: str) -> None:
        """Send the head of a response that ends with the connection."""
        lines = {"Content-Type": content_type, "Connection": "close"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        self.send(f"HTTP/1.1 {status}\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items()) + "\r\n")

    def refuse(self, status: str, error: object = "no", **headers: str) -> None:
        """Send a whole response that is an error."""
        self.head(status, "application/json", **headers)
        self.send(json.dumps({"error": error}))

    def event(self, content: Any = None, *, finish: str | None = None, **fields: Any) -> None:
        """Send one chunk of an answer."""
        choice = {"index": 0, "delta": {} if content is None else {"content": content}, "finish_reason": finish}
        self.data(json.dumps({"object": "chat.completion.chunk", "choices": [choice], **fields}))

    def data(self, text: str) -> None:
        """Send one event."""
        self.send(f"data: {text}\n\n")

    def answer(self, *texts: str, finish: str = "stop") -> None:
        """Send a whole answer."""
        self.head()
        for text in texts:
            self.event(text)
        self.event(finish=finish)
        self.data("[DONE]")

    def send(self, text: str | bytes) -> None:
        """Send bytes as they are."""
        self._connection.sendall(text.encode() if isinstance(text, str) else text)

    def reset(self) -> None:
        """Have the connection end, with this step, as one to a machine does that was switched off and on."""
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def dawdle(self, seconds: float) -> None:
        """Let time pass before the next byte, unless the test is over."""
        if self._over.wait(seconds):
            raise OSError("the test is over")

    def wait_for_hang_up(self) -> None:
        """Wait until the client has closed the connection."""
        self._connection.settimeout(DEADLINE)
        with suppress(ConnectionError):  # a reset, where it had not read everything
            while self._connection.recv(4096):
                pass
        self.hung_up.set()


class FakeUpstream:
    """The server. A script left empty answers ``hello``."""

    def __init__(self) -> None:
        self.script: deque[Callable[[Exchange], object]] = deque()
        self.models: tuple[str, object] = ("200 OK", MODELS)
        self.requests: list[Exchange] = []
        self.looks = 0
        self.changed = threading.Condition()
        self.over = threading.Event()
        self._listener: socket.socket | None = None
        self.port = 0

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.shut()

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def open(self) -> None:
        """Listen, on the same port as before."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def shut(self) -> None:
        """Listen no more; connections that are there stay."""
        if self._listener:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None

    def wait_until(self, condition: Callable[[], object]) -> None:
        """Wait for something to be asked."""
        with self.changed:
            assert self.changed.wait_for(condition, DEADLINE), "waited in vain"

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._speak, args=(connection,), daemon=True).start()

    def _speak(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as reader, suppress(OSError):  # the client has hung up
            if first := reader.readline().decode():
                self._answer(connection, reader, first)

    def _answer(self, connection: socket.socket, reader: BinaryIO, first: str) -> None:
        lines = iter(lambda: reader.readline().decode().rstrip("\r\n"), "")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        content = reader.read(int(headers.get("content-length", 0)))
        exchange = Exchange(connection, headers, json.loads(content or "{}"), self.over)
        if first.startswith("GET /v1/models "):
            status, body = self.models
            with self.changed:
                self.looks += 1
                self.changed.notify_all()
            exchange.head(status, "application/json")
            exchange.send(body if isinstance(body, bytes) else json.dumps(body))
            return
        assert first.startswith("POST /v1/chat/completions "), first
        with self.changed:
            step = self.script.popleft() if self.script else lambda exchange: exchange.answer("hello")
            self.requests.append(exchange)
            self.changed.notify_all()
        step(exchange)
