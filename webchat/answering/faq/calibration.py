"""From which score on a FAQ's matches may answer by themselves: measured on the FAQ's own questions.

The enemy is the neighbouring question that has no answer. How near such neighbours come, each FAQ shows by itself:
every phrasing is asked as if its entry did not exist, and what fits it best then is wrong for certain. Scores of one
FAQ's neighbours say nothing about another's, so the bars follow their mean; how far above it the bar must lie was
chosen on FAQs of 20 to 1,000 entries (docs/answers.md).
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_ALONE, _ENOUGH = 0.3, 3  # what is added for an entry without others, and with how many others nothing is
SAMPLE = 300  # phrasings asked; more of them move the mean by less than a hundredth


@dataclass(frozen=True, slots=True)
class Bars:
    """From which score on a candidate answers by itself, and from which on it is worth suggesting."""

    answer: float
    suggest: float

    @property
    def near(self) -> float:
        """From which score on a question is about what the entry is about, whether or not it asks for it."""
        return (self.answer + self.suggest) / 2


@dataclass(frozen=True, slots=True)
class _Line:
    """Bars of small FAQs, raised with the mean score of neighbours, and of large ones."""

    small: float
    usual: float  # mean score of the neighbours in a small FAQ for which ``small`` holds
    slope: float
    large: float
    suggest_small: float
    suggest_large: float

    def bars(self, neighbours: float, small: float) -> Bars:
        answer = self.small + self.slope * max(neighbours - self.usual, 0)
        return Bars(
            small * answer + (1 - small) * self.large, small * self.suggest_small + (1 - small) * self.suggest_large
        )


_BY_MEANING = _Line(small=0.47, usual=0.24, slope=0.65, large=0.87, suggest_small=0.12, suggest_large=0.5)
_BY_LETTERS = _Line(small=0.44, usual=0.2, slope=0.4, large=0.8, suggest_small=0.1, suggest_large=0.28)


def bars(neighbours: Sequence[float], *, entries: int, small: float, by_meaning: bool) -> Bars:
    """The bars of a FAQ.

    Args:
        neighbours: what its phrasings score with the entries of others.
        entries: how many it has; with a handful there is little to compare with, and the bar is high.
        small: 1 for a small FAQ, 0 for a large one.
        by_meaning: whether an encoder compares; letters alone are judged by bars of their own.
    """
    line = _BY_MEANING if by_meaning else _BY_LETTERS
    mean = sum(neighbours) / len(neighbours) if neighbours else line.usual
    found = line.bars(mean, small)
    alone = _ALONE * max(1 - (entries - 1) / _ENOUGH, 0)
    return Bars(found.answer + alone, found.suggest + alone / 2)


def sample(count: int) -> list[int]:
    """Which of so many rows are asked: the same ones each time."""
    return random.Random(0).sample(range(count), min(count, SAMPLE))  # noqa: S311 - no secret
