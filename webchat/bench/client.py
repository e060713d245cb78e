"""One client of an OpenAI-compatible server: asks, reads the stream, notes when each piece of text came.

Plain ``http.client`` in threads, because the client shares the processor with what it measures: it takes half the time
per piece of a full HTTP library.
"""

from __future__ import annotations

import http.client
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

Message = dict[str, str]

_LONGEST_LINE = 1 << 20  # bytes of one event; more is no answer of 64 tokens
_LONGEST_REASON = 200  # characters of what a server says about an error
_FAILURES = (OSError, http.client.HTTPException, UnicodeError)  # the last: a host's name that cannot be one
_PIPELINE = "webchat"  # the model name under which webchat answers from its FAQ too: another measurement


class BenchError(Exception):
    """A server cannot be measured; the message is a sentence that names it."""


class Stopped(Exception):  # noqa: N818 - reads as what happened
    """Another stream of the run failed, so this one gave up."""


@dataclass(frozen=True)
class Server:
    """A server under load.

    Attributes:
        name: how results call it.
        url: where it serves, without ``/v1``.
        key: sent as ``Authorization: Bearer``; empty sends none.
        model: the name to ask for.
    """

    name: str
    url: str
    key: str = ""
    model: str = ""


@dataclass(frozen=True)
class Answer:
    """What one client saw of one answer; all times are seconds of ``time.perf_counter``.

    Attributes:
        sent: when the client began to connect.
        pieces: when each event with text came.
        ended: when the stream was over.
        text: the whole answer.
        tokens: its length as the server reports it, if it does.
        prompt_tokens: the prompt's length, likewise.
        early: whether the model ended it before the limit of tokens.
    """

    sent: float
    pieces: tuple[float, ...]
    ended: float
    text: str
    tokens: int | None
    prompt_tokens: int | None
    early: bool


def server_at(name: str, url: str, key: str, model: str, timeout: float) -> Server:
    """A server by its address; without a model's name it is the first bare model that the server lists.

    Raises:
        BenchError: the address is none, or nobody answers there as an OpenAI-compatible server does.
    """
    address = url.rstrip("/").removesuffix("/v1").rstrip("/")
    if not _is_address(address):
        raise BenchError(f"{url} is not an address to measure; write one as in http://127.0.0.1:8000")
    if not (key.isascii() and key.isprintable()):
        raise BenchError(f"What was given as the {name}'s API key holds characters that no key has.")
    server = Server(name, address, key)
    return Server(name, address, key, model or _first_model(server, timeout))


def ask(server: Server, messages: list[Message], tokens: int, timeout: float, stop: threading.Event) -> Answer:
    """Ask one question and read its answer to the end.

    Args:
        server: whom.
        messages: the conversation, the question last.
        tokens: the answer's limit.
        timeout: seconds that the whole answer may take.
        stop: set by whoever no longer wants the answer.

    Raises:
        BenchError: there was no complete answer.
        Stopped: ``stop`` was set meanwhile.
    """
    body = {
        "model": server.model,
        "messages": messages,
        "max_tokens": tokens,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    sent = time.perf_counter()
    try:
        return _Stream(server, sent, sent + timeout).read(body, stop)
    except TimeoutError:
        raise BenchError(f"{_who(server)} did not finish an answer within {timeout:g} s.") from None
    except _FAILURES as error:
        raise BenchError(f"{_who(server)} cannot be reached or broke off: {_plainly(error)}.") from None


class _Stream:
    """A request and what has come of its answer so far."""

    def __init__(self, server: Server, sent: float, deadline: float) -> None:
        self._server = server
        self._sent = sent
        self._deadline = deadline
        self._pieces: list[float] = []
        self._text: list[str] = []
        self._finish: str | None = None
        self._usage: dict[str, Any] = {}

    def read(self, body: dict[str, Any], stop: threading.Event) -> Answer:
        connection = _connection(self._server.url, self._deadline - self._sent)
        try:
            connection.connect()
            socket = connection.sock  # the response takes it over
            response = _request(connection, self._server, "POST", "/v1/chat/completions", body)
            for event in _events(self._server, response):
                self._take(event)
                if stop.is_set():
                    raise Stopped
                left = self._deadline - time.perf_counter()
                if left <= 0:
                    raise TimeoutError
                socket.settimeout(left)
        finally:
            connection.close()
        return self._answer()

    def _take(self, event: dict[str, Any]) -> None:
        if "error" in event:
            raise BenchError(f"{_who(self._server)} gave up during an answer: {_reason(event)}")
        try:
            self._usage = dict(event.get("usage") or self._usage)
            for choice in event["choices"]:
                self._finish = choice.get("finish_reason") or self._finish
                if text := choice["delta"].get("content"):
                    self._pieces.append(time.perf_counter())
                    self._text.append("" + text)
        except (KeyError, TypeError, AttributeError, ValueError):
            raise BenchError(
                f"{_who(self._server)} sent an event that is no part of an answer: {event!r:.120}"
            ) from None

    def _answer(self) -> Answer:
        if not self._finish:
            raise BenchError(f"{_who(self._server)} closed the connection before an answer was complete.")
        if not self._pieces:
            raise BenchError(f"{_who(self._server)} gave an answer without any text.")
        return Answer(
            sent=self._sent,
            pieces=tuple(self._pieces),
            ended=time.perf_counter(),
            text="".join(self._text),
            tokens=_count(self._usage.get("completion_tokens")),
            prompt_tokens=_count(self._usage.get("prompt_tokens")),
            early=self._finish != "length",
        )


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) else None


def _first_model(server: Server, timeout: float) -> str:
    connection = _connection(server.url, timeout)
    try:
        listed = json.loads(_request(connection, server, "GET", "/v1/models").read(_LONGEST_LINE))
        names = [str(model["id"]) for model in listed["data"]]
    except TimeoutError:
        raise BenchError(f"{_who(server)} did not answer within {timeout:g} s.") from None
    except _FAILURES as error:
        raise BenchError(f"{_who(server)} cannot be reached: {_plainly(error)}.") from None
    except (ValueError, KeyError, TypeError):
        raise BenchError(f"{_who(server)} does not list its models as OpenAI's interface does; name one.") from None
    finally:
        connection.close()
    bare = [name for name in names if name != _PIPELINE]
    if not bare:
        raise BenchError(f"{_who(server)} lists no model.")
    return bare[0]


def _is_address(url: str) -> bool:
    try:
        parts: SplitResult = urlsplit(url)
        spelt = url.isascii() and url.isprintable() and " " not in url
        return (
            spelt and parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and "@" not in url
        )
    except ValueError:  # brackets that do not match, a port beyond 65535
        return False


def _connection(url: str, timeout: float) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    return kind(parts.hostname or "", parts.port, timeout=timeout)


def _request(
    connection: http.client.HTTPConnection, server: Server, method: str, path: str, body: Any = None
) -> http.client.HTTPResponse:
    headers = {"Content-Type": "application/json"}
    if server.key:
        headers["Authorization"] = f"Bearer {server.key}"
    connection.request(method, urlsplit(server.url).path + path, json.dumps(body) if body else None, headers)
    response = connection.getresponse()
    if response.status == http.client.OK:
        return response
    said = _said(response.read(_LONGEST_LINE))
    if response.status in (http.client.UNAUTHORIZED, http.client.FORBIDDEN):
        raise BenchError(f"{_who(server)} does not accept the API key (status {response.status}): {said}")
    raise BenchError(f"{_who(server)} answered with status {response.status}: {said}")


def _events(server: Server, response: http.client.HTTPResponse) -> Iterator[dict[str, Any]]:
    """The stream's events as JSON; its comments, blank lines and closing ``[DONE]`` are left out."""
    while line := response.readline(_LONGEST_LINE):
        data = line.removeprefix(b"data:").strip()
        if line.startswith(b"data:") and data != b"[DONE]":
            try:
                event = json.loads(data)
            except ValueError:
                event = None
            if not isinstance(event, dict):
                raise BenchError(f"{_who(server)} sent an event that is no JSON object: {data[:120]!r}")
            yield event


def _said(body: bytes) -> str:
    try:
        return _reason(json.loads(body))
    except ValueError:
        return _cut(body.decode(errors="replace"))


def _reason(said: Any) -> str:
    """What OpenAI's errors, RFC 9457's or anybody's say to people."""
    inner = said.get("error", said) if isinstance(said, dict) else said
    if isinstance(inner, dict):
        inner = inner.get("message") or inner.get("detail") or inner.get("title") or inner
    return _cut(str(inner))


def _cut(text: str) -> str:
    return " ".join(text.split())[:_LONGEST_REASON] or "(nothing more was said)"


def _plainly(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _who(server: Server) -> str:
    return f"The {server.name} at {server.url}"
