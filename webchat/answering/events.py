"""What happens while a question is answered. One set of events serves WebSocket, SSE, REST and the plain page."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from webchat.answering.faq.index import Suggestion

Source = Literal["faq", "rule", "model", "human"]
FinishReason = Literal["stop", "length", "stopped", "error"]

# Why an answer could not be given; the web room has a sentence for each, in every language.
Failure = Literal["busy", "no_model", "too_long", "interrupted", "engine_error", "not_stored"]


@dataclass(frozen=True, slots=True)
class Queued:
    """Waiting for the model: ``position`` others go first, about ``eta_seconds`` until it starts."""

    position: int
    eta_seconds: float


@dataclass(frozen=True, slots=True)
class Suggested:
    """Entries that the question may mean, likeliest first; the answer follows."""

    entries: tuple[Suggestion, ...]


@dataclass(frozen=True, slots=True)
class Started:
    """The answer has a source; text follows."""

    source: Source


@dataclass(frozen=True, slots=True)
class Delta:
    """The next piece of the answer's text, whole characters."""

    text: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The answer is complete, cut at its limit, stopped by the visitor, or ended early for a ``reason`` of ours."""

    source: Source
    finish_reason: FinishReason
    stats: dict[str, float] = field(default_factory=dict)
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """There is no complete answer, and why."""

    failure: Failure


Event = Queued | Suggested | Started | Delta | Finished | Failed
