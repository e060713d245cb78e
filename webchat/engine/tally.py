"""What all answers of an engine add up to, and how long one takes: totals since the start and a running mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

from webchat.engine.interface import EngineStats

if TYPE_CHECKING:
    from webchat.engine.generation import Stats
    from webchat.engine.interface import State

_SMOOTHING = 0.2  # weight of the newest answer in the running mean


class Tally:
    """Counts answers. Not thread-safe.

    Args:
        width: answers that are written at the same time.
        first_guess: seconds an answer takes, before any has been measured.
    """

    def __init__(self, width: int, first_guess: float) -> None:
        self._width = width
        self._mean_seconds = first_guess  # of an answer, from admission to end
        self._answers = self._prompt_tokens = self._reused_tokens = self._new_tokens = 0

    def add(self, stats: Stats, *, whole: bool) -> None:
        """Count an answer; only a ``whole`` one says how long answers take."""
        self._answers += 1
        self._prompt_tokens += stats.prompt_tokens
        self._reused_tokens += stats.reused_tokens
        self._new_tokens += stats.new_tokens
        if whole:
            self._mean_seconds += _SMOOTHING * (stats.total_seconds - stats.queued_seconds - self._mean_seconds)

    def eta(self, position: int) -> float:
        """Seconds until the request with so many before it starts, when answers of the mean length end in turn."""
        return self._mean_seconds * (position + 1) / self._width

    def stats(self, state: State, problem: str | None, *, running: int, waiting: int) -> EngineStats:
        """A look at the engine."""
        return EngineStats(
            state=state,
            problem=problem,
            running=running,
            waiting=waiting,
            answers=self._answers,
            prompt_tokens=self._prompt_tokens,
            reused_tokens=self._reused_tokens,
            new_tokens=self._new_tokens,
        )
