"""A generation: one request inside the engine, and the mailbox its answer arrives in."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

FinishReason = Literal["stop", "length", "stopped", "late", "error"]


class EngineError(Exception):
    """The engine cannot take or finish a request; the message is a sentence for the log."""


class EngineUnavailable(EngineError):  # noqa: N818 - a state, named as callers say it
    """There is no model to run: it is missing, broken, or the engine is closing."""


class EngineClosed(EngineUnavailable):
    """The engine is being closed; another one will come."""


class QueueFull(EngineError):  # noqa: N818 - a state, named as callers say it
    """As many requests wait as the queue holds; try again in ``retry_after`` seconds."""

    def __init__(self, waiting: int, retry_after: float) -> None:
        super().__init__(f"{waiting} requests are waiting; the queue is full")
        self.retry_after = retry_after


class PromptTooLong(EngineError):  # noqa: N818 - a state, named as callers say it
    """The prompt and its answer do not fit the context of ``limit`` tokens; None where only the server knows it."""

    def __init__(self, sentence: str, limit: int | None = None) -> None:
        super().__init__(sentence)
        self.limit = limit


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen. ``temperature`` 0 always takes the likeliest."""

    # Colder, long answers go in circles; warmer, the model forgets what was said (tools/measure_answers.py).
    temperature: float = 0.3
    top_p: float = 0.8
    top_k: int = 20
    min_p: float = 0.0
    repeat_penalty: float = 1.1
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """What to generate.

    Attributes:
        prompt: token ids, template included.
        max_new_tokens: the answer ends with reason ``length`` after so many.
        stop: strings that end the answer and are not part of it.
        owner: whose turn it is; waiting requests are served round owners, not in a line.
        patience: seconds after which the answer ends with reason ``late``, begun or not; None waits for ever.
        queue_share: the part of the waiting queue that it may join; once so much is taken, the rest is for others.
        ahead: whether nobody waits for it: the prompt is read before anybody asks, and is no answer to be counted.
            What was computed for it outlives the process.
        head: how many tokens of the prompt are its system text, which others share.
    """

    prompt: tuple[int, ...]
    max_new_tokens: int
    sampling: Sampling = Sampling()
    stop: tuple[str, ...] = ()
    owner: str = ""
    patience: float | None = None
    queue_share: float = 1.0
    ahead: bool = False
    head: int = 0


@dataclass(frozen=True, slots=True)
class Waiting:
    """The request is in the queue, ``position`` others before it, about ``eta_seconds`` to go."""

    position: int
    eta_seconds: float


@dataclass(frozen=True, slots=True)
class Text:
    """The next piece of the answer: whole characters, no part of a stop string."""

    text: str


@dataclass(frozen=True, slots=True)
class Stats:
    """What a generation cost. Times in seconds since it was submitted."""

    prompt_tokens: int
    reused_tokens: int
    new_tokens: int
    queued_seconds: float
    first_text_seconds: float | None
    total_seconds: float


@dataclass(frozen=True, slots=True)
class Ended:
    """The last thing in every mailbox, exactly once.

    ``error`` says why a generation ended with reason ``error`` before its first text, where that is known only
    after it was queued.
    """

    reason: FinishReason
    stats: Stats
    error: EngineError | None = None


Output = Waiting | Text | Ended


@dataclass(eq=False)
class Generation:
    """The mailbox of a submitted request. The engine's thread puts outputs in, one consumer takes them out."""

    submitted_at: float = field(default_factory=time.monotonic)
    _outputs: list[Output] = field(default_factory=list)
    _arrived: threading.Condition = field(default_factory=threading.Condition)

    def put(self, output: Output) -> None:
        """Add an output (engine's thread)."""
        with self._arrived:
            self._outputs.append(output)
            self._arrived.notify()

    def take(self, timeout: float | None = None) -> list[Output]:
        """Wait for outputs and take all that are there; an empty list after ``timeout`` seconds."""
        with self._arrived:
            self._arrived.wait_for(lambda: bool(self._outputs), timeout)
            outputs, self._outputs = self._outputs, []
            return outputs

    def __iter__(self) -> Iterator[Output]:
        """Every output up to and including ``Ended``."""
        while True:
            for output in self.take():
                yield output
                if isinstance(output, Ended):
                    return
