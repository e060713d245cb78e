"""Which questions ask the same: those that would lead to each other, if each were an entry of the FAQ.

The FAQ's own matcher decides, with bars measured on the FAQ and on the groups. So a group is what one entry can settle.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from webchat.answering.faq.matcher import Matcher
from webchat.answering.faq.rows import Phrasing, Rows
from webchat.answering.faq.vectors import vectors_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    from webchat.engine.encoders import Encoder
    from webchat.storage.database import Database

_FROM_THE_FAQ = 300  # phrasings that say what questions of this shop have in common; more say it no better
_FIRST = 1 << 40  # entries of the FAQ have lower numbers
# An operator looks at a group, a visitor does not look at an entry before it answers: of the way from what is worth
# suggesting to what may answer, this much is enough.
_ENOUGH = 0.8
_FRESH = 16  # groups that are compared anew with each that is added; the others stay in rows of so many


class Grouping:
    """Groups of questions, with more put beside them.

    Args:
        groups: wordings by the group's number.
        asked: the FAQ's phrasings, for comparison.
        encoder: compares by meaning; None by letters and sounds.
        database: where vectors are kept.

    Raises:
        EngineUnavailable: the encoder has been closed.
        StorageUnavailable: the database cannot be used now.
    """

    def __init__(
        self,
        groups: Mapping[int, Sequence[str]],
        asked: Sequence[Phrasing],
        encoder: Encoder | None,
        database: Database,
    ) -> None:
        self._encoder, self._database = encoder, database
        self._groups: dict[int, int] = {}  # by the number that stands for it in the matcher
        self._settled: list[Rows] = []
        self._fresh: list[Phrasing] = []
        self._added = 0
        phrasings = random.Random(0).sample(asked, min(len(asked), _FROM_THE_FAQ))  # noqa: S311 - no secret
        for group, texts in groups.items():
            entry = self._entry_for(group)
            phrasings += [Phrasing(entry, text) for text in texts]
        self._matcher = Matcher(phrasings, encoder, self._vectors(phrasings))

    @property
    def added(self) -> int:
        """Groups that were added since the bars were measured."""
        return self._added

    def group_of(self, question: str) -> int | None:
        """The group that asks what a question asks; None when no group does."""
        match = self._matcher.match(question)
        bars = self._matcher.bars
        enough = bars.suggest + _ENOUGH * (bars.answer - bars.suggest)
        for candidate in match.candidates:
            if candidate.entry in self._groups and candidate.score >= enough and not candidate.guards:
                return self._groups[candidate.entry]
        return None

    def add(self, group: int, question: str) -> None:
        """Let a group of its own begin with a question."""
        self._added += 1
        self._fresh.append(Phrasing(self._entry_for(group), question))
        fresh = self._matcher.rows(self._fresh, self._vectors(self._fresh))
        self._matcher = self._matcher.beside([*self._settled, fresh])
        if len(self._fresh) == _FRESH:
            self._settled.append(fresh)
            self._fresh = []

    def renumber(self, numbers: Mapping[int, int]) -> None:
        """Know groups by other numbers from now on."""
        self._groups = {entry: numbers.get(group, group) for entry, group in self._groups.items()}

    def _entry_for(self, group: int) -> int:
        entry = _FIRST + len(self._groups)
        self._groups[entry] = group
        return entry

    def _vectors(self, phrasings: Sequence[Phrasing]) -> np.ndarray | None:
        if self._encoder is None or not phrasings:
            return None
        return vectors_of([phrasing.text for phrasing in phrasings], self._encoder, self._database)
