"""One request to a server of models: what is asked, what has come of it, and its end, once."""

from __future__ import annotations

import asyncio
import contextvars
import math
import threading
import time
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from webchat.engine import completions, turns
from webchat.engine.generation import Ended, EngineUnavailable, Generation, Stats, Text, Waiting
from webchat.engine.text import TextAssembler
from webchat.engine.upstream import TryFailed

if TYPE_CHECKING:
    from webchat.engine.completions import Chunk, Model, Usage
    from webchat.engine.generation import EngineError, FinishReason
    from webchat.engine.interface import ChatMessage, ChatRequest
    from webchat.engine.upstream import Upstream

_CHARACTERS_PER_TOKEN = 32  # an answer longer than that has passed its limit, whatever the server counts
_TEMPLATE_TOKENS = 8  # of a message, beside its text
_CAUTION = 1.5  # tokens counted for each estimated one: too long a prompt costs another try, a short one a turn


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, in seconds.

    Attributes:
        first: for the first text of a try; servers queue, and long prompts take their time.
        silence: between two pieces of text.
        whole: for an answer, all tries together.
        pause: before the second try; twice that before the third, each up to half longer at random.
        retry_after: the longest that a server's own wish to wait is honoured.
        usage: for the token counts, when the answer is complete.
    """

    first: float = 60.0
    silence: float = 30.0
    whole: float = 300.0
    pause: float = 0.5
    retry_after: float = 10.0
    usage: float = 2.0


class RemoteJob:
    """A request under way. Its tries run on the event loop; any thread may end it."""

    def __init__(self, request: ChatRequest) -> None:
        self.request = request
        self.generation = Generation()
        self.context = contextvars.copy_context()  # log lines carry the id of the request that asked
        self.task: asyncio.Task[None] | None = None
        self.timer: asyncio.TimerHandle | None = None  # of its patience
        self.text_shown = False
        self._head, (*past, self._question) = turns.split(request.messages)
        self._past = _fitting(request, self._head, past, self._question)
        self._lock = threading.Lock()
        self._stats: Stats | None = None  # of the end
        self._position: int | None = None
        self._started_at: float | None = None
        self._first_text_at: float | None = None
        self._reset()

    def forget(self) -> bool:
        """Leave out the older half of the past turns; False when there are none, or nothing may be left out."""
        if self.request.context_tokens is None or not self._past:
            return False
        self._past = self._past[(len(self._past) + 1) // 2 :]
        return True

    async def write(self, upstream: Upstream, model: Model, patience: Patience) -> FinishReason:
        """Try once to have the request answered; text goes into the mailbox as it comes.

        Raises:
            TryFailed: there is no answer, or none with an end.
        """
        self._started_at = self._started_at or time.monotonic()
        self._reset()
        messages = [*self._head, *(message for turn in self._past for message in turn), *self._question]
        body = completions.body(self.request, messages, model)
        try:
            async with asyncio.timeout(patience.first) as deadline, aclosing(upstream.answer(body)) as chunks:
                async for chunk in chunks:
                    if not self._take(chunk):
                        break
                    if self._finish or chunk.progress:
                        seconds = patience.usage if self._finish else patience.silence
                        deadline.reschedule(asyncio.get_running_loop().time() + seconds)
        except TimeoutError:
            if not self._finish:  # else only the token counts are missing
                raise TryFailed(EngineUnavailable("the server has fallen silent")) from None
        if not self._finish:
            raise TryFailed(EngineUnavailable("the server's answer breaks off"), again=True)
        self._show(self._text.flush())
        return self._finish

    def announce(self, position: int, eta_seconds: float) -> None:
        """Say how many wait before this one, when that has changed."""
        if position != self._position:
            self._position = position
            self._put(Waiting(position, eta_seconds))

    def end(self, reason: FinishReason, error: EngineError | None = None) -> Stats | None:
        """Put the end into the mailbox, after which nothing else comes; None when it has ended before."""
        with self._lock:
            if self._stats:
                return None
            self._stats = self._figures()
            self.generation.put(Ended(reason, self._stats, error))
            return self._stats

    def _reset(self) -> None:
        self._text = TextAssembler(self.request.stop)
        self._finish: FinishReason | None = None
        self._usage: Usage | None = None
        self._chunks = self._characters = 0

    def _take(self, chunk: Chunk) -> bool:
        """Deliver what a chunk holds; False when the answer is complete, whatever else the server would say."""
        self._finish = self._finish or chunk.finish
        self._usage = chunk.usage or self._usage
        if not chunk.text:
            return True
        self._chunks += 1
        self._characters += len(chunk.text)
        self._show(self._text.push(chunk.text.encode("utf-8", "ignore")))  # a lone surrogate is no character
        if self._text.stopped:
            self._finish = "stop"
            return False
        if self._characters > self.request.max_new_tokens * _CHARACTERS_PER_TOKEN:
            self._finish = "length"
            return False
        return True

    def _show(self, text: str) -> None:
        if not text:
            return
        self._first_text_at = self._first_text_at or time.monotonic()
        self.text_shown = True
        self._put(Text(text))

    def _put(self, output: Waiting | Text) -> None:
        with self._lock:
            if not self._stats:
                self.generation.put(output)

    def _figures(self) -> Stats:
        """The server's counts, where it sends them; pieces of text are about as many as tokens."""
        now, since = time.monotonic(), self.generation.submitted_at
        usage = self._usage or completions.Usage(0, 0, self._chunks)
        return Stats(
            prompt_tokens=usage.prompt_tokens,
            reused_tokens=usage.reused_tokens,
            new_tokens=usage.new_tokens,
            queued_seconds=(self._started_at or now) - since,
            first_text_seconds=self._first_text_at - since if self._first_text_at else None,
            total_seconds=now - since,
        )


def _fitting(
    request: ChatRequest, head: list[ChatMessage], past: list[list[ChatMessage]], question: list[ChatMessage]
) -> list[list[ChatMessage]]:
    """The past turns that fit by a careful estimate. What cannot be left out is sent even so: the server counts."""
    if request.context_tokens is None:
        return past
    room = request.context_tokens - request.max_new_tokens - _tokens(head) - _tokens(question)
    return turns.newest(past, _tokens, room)


def _tokens(messages: list[ChatMessage]) -> int:
    texts = sum(turns.estimated_tokens(message.text) for message in messages)
    return math.ceil(texts * _CAUTION) + len(messages) * _TEMPLATE_TOKENS
