"""What happens while a question is answered. One set of events serves WebSocket, SSE, REST and the plain page."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

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
class Started:
    """The answer has a source; text follows."""

    source: Source


@dataclass(frozen=True, slots=True)
class Delta:
    """The next piece of the answer's text, whole characters."""

    text: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The answer is complete, cut at its limit, or stopped by the visitor."""

    source: Source
    finish_reason: FinishReason
    stats: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Failed:
    """There is no complete answer, and why."""

    failure: Failure


Event = Queued | Started | Delta | Finished | Failed
