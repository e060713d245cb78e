"""The HTTP side of the remote engine: one try of one request, and what each kind of failure means."""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Literal

import httpx2

from webchat.engine import completions
from webchat.engine.generation import EngineError, EngineUnavailable, PromptTooLong, QueueFull

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator
    from types import TracebackType
    from typing import Self

    from webchat.engine.completions import Chunk, Model

_CONNECT = 5.0  # seconds, for each of: name, connection and TLS; sending the request
_LOOK = 5.0  # seconds for a look whether the server is there
_KEPT_ALIVE = 2.0  # seconds an unused connection is kept; most servers hang up after five
_LARGEST_EVENT = 1 << 20  # bytes
_LARGEST_REPLY = 1 << 20  # bytes of a list of models, or of an error's text
_BUSY_RETRY = 5.0  # seconds, when a busy server does not say
_OK, _FIRST_ERROR, _FIRST_SERVER_ERROR = 200, 400, 500
_TOO_LONG = re.compile(r"exceed_context|context.{0,20}(length|size|window)|too many tokens", re.IGNORECASE)

Fault = Literal["request", "server", "settings"]


class TryFailed(Exception):  # noqa: N818 - reads as what happened
    """One try has come to nothing.

    Attributes:
        error: what to tell who asked.
        fault: whose it is: of this request alone, of the server, or of how the server is asked, which no further
            try can mend.
        again: another try may have more luck.
        after: seconds before which the server does not want another try; None when it has not said.
    """

    def __init__(
        self, error: EngineError, fault: Fault = "server", *, again: bool = False, after: float | None = None
    ) -> None:
        super().__init__(str(error))
        self.error = error
        self.fault = fault
        self.again = again
        self.after = after


@dataclass(frozen=True, slots=True)
class Address:
    """Where the server is, and the key it wants; empty for none."""

    url: str
    key: str = ""

    @property
    def base(self) -> str:
        """The URL with the version of the interface at its end, as in ``/v1``."""
        url = self.url.rstrip("/")
        return url if re.search(r"/v\d+$", url) else f"{url}/v1"


class Upstream:
    """A client for one server, used on one event loop as a context manager."""

    def __init__(self, address: Address) -> None:
        headers = {"User-Agent": "webchat"} | ({"Authorization": f"Bearer {address.key}"} if address.key else {})
        self._base = address.base
        # Reads have no bound of their own here: who reads an answer knows how long silence may last.
        self._http = httpx2.AsyncClient(
            headers=headers,
            timeout=httpx2.Timeout(None, connect=_CONNECT, write=_CONNECT),
            limits=httpx2.Limits(keepalive_expiry=_KEPT_ALIVE),
        )

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.__aexit__(kind, error, trace)

    async def models(self) -> list[Model]:
        """Ask which models there are.

        Raises:
            TryFailed: nobody answers, or not as a server of models would.
        """
        try:
            async with asyncio.timeout(_LOOK), self._request("GET", "models") as response:
                return completions.models(await _beginning(response))
        except TimeoutError:
            raise TryFailed(EngineUnavailable("the server does not answer in time")) from None

    async def answer(self, body: dict[str, Any]) -> AsyncGenerator[Chunk]:
        """Ask for an answer and give back what comes, to the end of the stream. Closing it ends the request.

        Raises:
            TryFailed: the request is refused, or the stream breaks off or cannot be read.
        """
        async with self._request("POST", "chat/completions", json=body) as response:
            async for event in httpx2.EventSource(response, max_event_size=_LARGEST_EVENT):
                yield completions.chunk(event.data)

    @asynccontextmanager
    async def _request(self, method: str, path: str, **options: Any) -> AsyncIterator[httpx2.Response]:
        """A response that is no refusal; whatever goes wrong until it is closed becomes ``TryFailed``."""
        try:
            async with self._http.stream(method, f"{self._base}/{path}", **options) as response:
                if response.status_code != _OK:
                    raise _refusal(response.status_code, await _words(response), response.headers)
                yield response
        except completions.ErrorEvent as error:
            raise _refusal(error.status, str(error), httpx2.Headers()) from None
        except (completions.Unreadable, httpx2.SSEError, httpx2.DecodingError) as error:
            raise TryFailed(EngineUnavailable(f"the server sends no answer that can be read: {error}")) from None
        except httpx2.TimeoutException:
            raise TryFailed(EngineUnavailable("the server does not take the request in time")) from None
        except httpx2.TransportError as error:  # refused, reset, hung up
            problem = f"the server cannot be reached or hangs up: {error or type(error).__name__}"
            raise TryFailed(EngineUnavailable(problem), again=True) from None


async def _beginning(response: httpx2.Response) -> bytes:
    """The body, or as much of it as anybody needs."""
    content = b""
    async for part in response.aiter_bytes():
        content += part
        if len(content) > _LARGEST_REPLY:
            break
    return content


async def _words(response: httpx2.Response) -> str:
    """What the server says to a refusal, in its words."""
    try:
        return completions.message(json.loads(await _beginning(response)))
    except (ValueError, RecursionError):
        return response.reason_phrase


def _refusal(status: int, words: str, headers: httpx2.Headers) -> TryFailed:
    """What a status other than 200 means."""
    if mistake := _mistake(status, words):
        return TryFailed(EngineUnavailable(mistake), "settings")
    match status:
        case 400 | 413 | 422 if _TOO_LONG.search(words):
            return TryFailed(PromptTooLong(words), "request")
        case 429:  # alive, and says itself when it has had enough
            after = _retry_after(headers)
            busy = QueueFull(0, after or _BUSY_RETRY)
            busy.args = (f"the server has enough to do (429): {words}",)
            return TryFailed(busy, "request", again=True, after=after)
        case 502 | 503 | 504:
            problem = EngineUnavailable(f"the server is not available ({status}): {words}")
            return TryFailed(problem, again=True, after=_retry_after(headers))
        case _ if status < _FIRST_SERVER_ERROR:
            return TryFailed(EngineError(f"the server refuses the request ({status}): {words}"), "request")
        case _:
            return TryFailed(EngineUnavailable(f"the server has an error ({status}): {words}"))


def _mistake(status: int, words: str) -> str | None:
    """What is wrong with the settings; None when something else is."""
    match status:
        case 401 | 403:  # without the server's words, which may quote the key
            return f"the server refuses the key ({status}): see WEBCHAT_ENGINE_KEY"
        case 404 | 405:
            return f"no such model or address ({status}): see WEBCHAT_ENGINE_MODEL and WEBCHAT_ENGINE_URL; {words}"
        case _ if status < _FIRST_ERROR:
            return f"the server sends us elsewhere ({status}): WEBCHAT_ENGINE_URL needs its final address"
        case _:
            return None


def _retry_after(headers: httpx2.Headers) -> float | None:
    """Seconds of a ``Retry-After`` header, which holds a number or a date."""
    value = headers.get("Retry-After", "")
    try:
        seconds = float(value) if value.isdecimal() else _seconds_until(value)
    except (ValueError, TypeError, OverflowError):
        return None
    return max(0.0, seconds)


def _seconds_until(date: str) -> float:
    when = parsedate_to_datetime(date)
    return (when.replace(tzinfo=when.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
