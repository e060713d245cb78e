"""A tiny OpenAI-compatible server on this machine, whose answers a test scripts piece by piece."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DEADLINE = 60.0  # seconds; reached only when something is broken


def piece(text: str | None, finish: str | None = None) -> bytes:
    """One event of a stream."""
    delta = {} if text is None else {"content": text}
    return event({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


def usage(prompt: int, completion: int) -> bytes:
    """The event that tells the lengths."""
    return event({"choices": [], "usage": {"prompt_tokens": prompt, "completion_tokens": completion}})


def event(data: Any) -> bytes:
    """Anything as an event."""
    return b"data: %s\n\n" % json.dumps(data).encode()


DONE = b"data: [DONE]\n\n"


@dataclass
class Asked:
    """One request as it arrived, and when its pieces went out."""

    path: str
    key: str
    body: dict[str, Any]
    arrived: float
    sent: list[float] = field(default_factory=list)

    @property
    def question(self) -> str:
        """What the visitor said last."""
        return self.body["messages"][-1]["content"]


def four_pieces(asked: Asked) -> Iterator[bytes]:
    """An answer of four pieces, six characters and five tokens that ends at its limit."""
    yield from (piece("一"), piece("二三"), piece("四"), piece("五六"), piece(None, "length"), usage(30, 5), DONE)


class OpenAIServer:
    """Serves while its block lasts.

    Attributes:
        answer: makes the stream's events; an exception of its own ends the connection in the middle.
        refusal: a status and a body given instead of any answer.
        models: what ``/v1/models`` answers.
        asked: every question so far.
        most_at_once: the largest number of answers that were being written together.
    """

    def __init__(self, answer: Callable[[Asked], Iterator[bytes]] = four_pieces) -> None:
        self.answer = answer
        self.refusal: tuple[int, bytes] | None = None
        self.models: Any = {"data": [{"id": "webchat"}, {"id": "tiny"}]}
        self.asked: list[Asked] = []
        self.most_at_once = 0
        self.hung_up = threading.Event()  # a client went before its answer was over
        self._now = 0
        self._lock = threading.Lock()
        self._http = _HTTP(("127.0.0.1", 0), _Handler)
        self._http.owner = self
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"

    @contextmanager
    def serving(self) -> Iterator[OpenAIServer]:
        """Serve until the block ends."""
        thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield self
        finally:
            self._http.shutdown()
            thread.join()
            self._http.server_close()

    @contextmanager
    def answering(self, asked: Asked) -> Iterator[None]:
        """Counts an answer while it is written."""
        with self._lock:
            self.asked.append(asked)
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        try:
            yield
        finally:
            with self._lock:
                self._now -= 1


class _HTTP(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    owner: OpenAIServer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _HTTP

    def do_GET(self) -> None:
        self._whole(*(self.server.owner.refusal or (200, json.dumps(self.server.owner.models).encode())))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        asked = Asked(self.path, self.headers.get("Authorization", ""), body, time.perf_counter())
        owner = self.server.owner
        with owner.answering(asked):
            if owner.refusal:
                self._whole(*owner.refusal)
            else:
                self._stream(asked)
        self.close_connection = True

    def _whole(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, asked: Asked) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for each in self.server.owner.answer(asked):
                asked.sent.append(time.perf_counter())
                self.wfile.write(b"%x\r\n%s\r\n" % (len(each), each))
            self.wfile.write(b"0\r\n\r\n")
        except ConnectionError:
            self.server.owner.hung_up.set()
        except Cut:
            pass

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class Cut(Exception):  # noqa: N818 - reads as what happened
    """Raised by a scripted answer to break its connection off."""
