"""From what clients saw to figures, and from figures to ratios; nothing here measures."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from webchat.bench.client import Answer
    from webchat.bench.load import Observed


@dataclass(frozen=True)
class Figures:
    """One run in numbers; times in seconds.

    Attributes:
        characters_per_second: of all streams, from the first request to the last answer's end.
        tokens_per_second: likewise; None where the server does not count them.
        ttft_p50: from sending to the first text, over all answers.
        ttft_p95: likewise.
        together_p50: the same over every stream's first question alone: those who arrived together.
        together_p95: likewise.
        gap_p95: between an answer's pieces of text; None where every answer came in one piece.
        answers: how many there were.
        early: how many of them the model ended before the limit.
        prompt_tokens: the median prompt's length; None where the server does not count.
        client_cpu: the clients' share of one core.
        memory: bytes resident in the server's processes; None where that cannot be seen.
    """

    characters_per_second: float
    tokens_per_second: float | None
    ttft_p50: float
    ttft_p95: float
    together_p50: float
    together_p95: float
    gap_p95: float | None
    answers: int
    early: int
    prompt_tokens: float | None
    client_cpu: float
    memory: int | None


@dataclass(frozen=True)
class Ratio:
    """How two servers compare: the ratio of their medians, and the lowest and highest of the rounds' own ratios."""

    value: float
    low: float
    high: float


def summarise(observed: Observed, memory: int | None) -> Figures:
    """Turn one run into figures."""
    answers = [answer for stream in observed.streams for answer in stream]
    span = max(answer.ended for answer in answers) - min(answer.sent for answer in answers)
    waits = [_ttft(answer) for answer in answers]
    first_waits = [_ttft(stream[0]) for stream in observed.streams]
    gaps = [later - earlier for answer in answers for earlier, later in pairwise(answer.pieces)]
    tokens = _known([answer.tokens for answer in answers])
    prompt_tokens = _known([answer.prompt_tokens for answer in answers])
    return Figures(
        characters_per_second=sum(len(answer.text) for answer in answers) / span,
        tokens_per_second=sum(tokens) / span if tokens else None,
        ttft_p50=percentile(waits, 50),
        ttft_p95=percentile(waits, 95),
        together_p50=percentile(first_waits, 50),
        together_p95=percentile(first_waits, 95),
        gap_p95=percentile(gaps, 95) if gaps else None,
        answers=len(answers),
        early=sum(answer.early for answer in answers),
        prompt_tokens=median(prompt_tokens) if prompt_tokens else None,
        client_cpu=observed.client_cpu / span,
        memory=memory,
    )


def percentile(values: Sequence[float], percent: float) -> float:
    """The value below which so many percent lie, interpolated between neighbours (type 7 of Hyndman and Fan)."""
    ordered = sorted(values)
    position = (len(ordered) - 1) * percent / 100
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    between = ordered[below] + (ordered[above] - ordered[below]) * (position - below)
    return min(between, ordered[above])  # rounding could lead beyond


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Ratio | None:
    """Compare two servers' rounds, given in their order; None before both have one, or where a zero divides."""
    rounds = list(zip(ours, theirs, strict=False))  # a run that was cut off has one more on one side
    if not rounds or any(their <= 0 for _, their in rounds):
        return None
    each = [our / their for our, their in rounds]
    value = median(our for our, _ in rounds) / median(their for _, their in rounds)
    return Ratio(value, min(each), max(each))


def _ttft(answer: Answer) -> float:
    return answer.pieces[0] - answer.sent


def _known(counts: list[int | None]) -> list[int]:
    """The counts, or nothing unless every one is known: a part would pass for the whole."""
    known = [count for count in counts if count is not None]
    return known if len(known) == len(counts) else []
