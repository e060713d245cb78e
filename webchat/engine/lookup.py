"""Guessing what an answer says next from what was said before: prompt look-up decoding (Saxena, 2023).

Answers repeat whole sentences of their prompt: the shop's own words, an address, a rule. Where the last tokens stood
there before, what followed them is guessed to follow again, and computed in the same step as if it had been chosen.
Chosen is as ever, token by token; at the first that is another one, the rest is thrown away. So answers do not change.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

MOST = 7  # tokens guessed at a time
_ALIKE = 3  # tokens that have to have stood there before
_TRUST = 0.5  # how often a first guess is right, until it is known
_PATIENCE = 1.5  # times as long as without guesses: no step of several answers takes longer for them
_LEARNING = 0.25  # weight of the newest guess in that


class Lookup:
    """The tokens of one prompt and its answer, and where each few of them stood last.

    Args:
        tokens: the prompt.

    Attributes:
        trust: how often guesses have been right lately, those that were not computed included.
    """

    def __init__(self, tokens: Iterable[int]) -> None:
        self.trust = _TRUST
        self._tokens = list(tokens)
        ends = range(_ALIKE, len(self._tokens))
        self._behind = {tuple(self._tokens[end - _ALIKE : end]): end for end in ends}
        self._next: int | None = None  # where what is guessed begins
        self._find()

    def add(self, token: int) -> None:
        """The answer goes on with this token."""
        if self._next is not None:
            self.trust += _LEARNING * ((self._tokens[self._next] == token) - self.trust)
        self._tokens.append(token)
        self._find()

    def guess(self, most: int) -> list[int]:
        """What may come next, at most so many tokens; often nothing."""
        return [] if self._next is None else self._tokens[self._next : self._next + most]

    def _find(self) -> None:
        last = tuple(self._tokens[-_ALIKE:])
        self._next = self._behind.get(last)
        if len(last) == _ALIKE:
            self._behind[last] = len(self._tokens)


def worth_guessing(trusts: Sequence[tuple[float, int]], step: Callable[[int], float], most_rows: int) -> list[int]:
    """How many tokens to guess for each of some answers, so that a second brings most tokens.

    A guess costs another row of the step; it is of use when all guesses before it are right, too. Beside others an
    answer that repeats itself may not make their steps much longer.

    Args:
        trusts: of each answer its trust, and how many tokens could be guessed.
        step: seconds of a step of so many rows.
        most_rows: of a step, guesses included.
    """
    longest = step(len(trusts)) * _PATIENCE if len(trusts) > 1 else math.inf
    counts = [0] * len(trusts)
    gained = float(len(trusts))  # tokens a step is expected to bring
    while True:
        chances = [
            trust ** (count + 1) if count < most else 0.0 for count, (trust, most) in zip(counts, trusts, strict=True)
        ]
        best = max(range(len(chances)), key=chances.__getitem__, default=0)
        rows = len(counts) + sum(counts)
        if not chances or not chances[best] or rows >= most_rows or step(rows + 1) > longest:
            return counts
        if (gained + chances[best]) * step(rows) <= gained * step(rows + 1):
            return counts
        counts[best] += 1
        gained += chances[best]
