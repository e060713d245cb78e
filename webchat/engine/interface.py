"""What the rest of webchat may ask of an engine, whether the model runs in this process or behind a URL."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from webchat.engine.generation import Sampling

if TYPE_CHECKING:
    from webchat.engine.generation import Generation

State = Literal["loading", "ready", "failed", "closed"]
Role = Literal["system", "user", "assistant"]  # the words of chat templates, not ours


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message of what the model is shown."""

    role: Role
    text: str


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A conversation for the model to go on with.

    Attributes:
        messages: system text if any, then questions and answers in turn, the question last.
        max_new_tokens: the answer ends with reason ``length`` after so many.
        context_tokens: what prompt and answer may take together; the oldest turns are left out to fit. None: as
            much as the engine has room for, and nothing is left out.
        sampling: how tokens are chosen.
        stop: strings that end the answer and are not part of it.
        owner: whose turn it is; waiting requests are served round owners, not in a line.
        patience: seconds after which the answer ends with reason ``late``, begun or not; None waits for ever.
        queue_share: the part of the waiting queue that it may join; once so much is taken, the rest is for others.
    """

    messages: tuple[ChatMessage, ...]
    max_new_tokens: int
    context_tokens: int | None = None
    sampling: Sampling = field(default_factory=Sampling)
    stop: tuple[str, ...] = ()
    owner: str = ""
    patience: float | None = None
    queue_share: float = 1.0


@dataclass(frozen=True, slots=True)
class EngineStats:
    """A look at the engine, for ``/metrics`` and ``/readyz``. Totals count since the start."""

    state: State
    problem: str | None
    running: int
    waiting: int
    answers: int
    prompt_tokens: int
    reused_tokens: int
    new_tokens: int


class Engine(Protocol):
    """A model being served.

    Attributes:
        name: the model's, as pages and logs say it.
        places: how many requests can be under way, running and waiting.
    """

    name: str

    @property
    def places(self) -> int: ...  # noqa: D102 - above

    def start(self) -> None:
        """Begin to load, or to look for the server."""
        ...

    def wait_until_ready(self, timeout: float | None = None) -> None:
        """Wait until requests are taken.

        Raises:
            EngineUnavailable: there is no model, or not within ``timeout`` seconds.
        """
        ...

    def chat(self, request: ChatRequest) -> Generation:
        """Queue a request; its outputs arrive in the generation.

        Raises:
            EngineUnavailable: there is no model.
            PromptTooLong: persona and question alone, or a prompt of which nothing may be left out, do not fit.
            QueueFull: too many are waiting, for its share of the queue.
        """
        ...

    def read_ahead(self, messages: tuple[ChatMessage, ...]) -> None:
        """Prepare for prompts that begin with these messages, where that makes their first words come sooner."""
        ...

    def queue_full(self, *, expected: int = 0) -> float | None:
        """Seconds after which to try again when no more requests can wait; None while there is room.

        Args:
            expected: requests under way in all, those included whose prompts are still being made.
        """
        ...

    def cancel(self, generation: Generation) -> None:
        """End a generation at once; its mailbox gets ``Ended("stopped")``. Ended ones stay as they are."""
        ...

    def stats(self) -> EngineStats:
        """A consistent look at the engine."""
        ...

    def close(self) -> None:
        """End everything that runs with ``error`` and free what is held."""
        ...
