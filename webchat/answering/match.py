"""The FAQ in memory: a question meets an entry when their normalised spellings are equal."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from webchat.answering.normalise import normalise
from webchat.storage import faq

if TYPE_CHECKING:
    from collections.abc import Iterable

    from webchat.storage.database import Database
    from webchat.storage.tables import Entry


@dataclass(frozen=True, slots=True)
class Match:
    """An entry that answers, as it was at that moment, and how it was found."""

    entry_id: int
    question: str
    answer: str
    phrasing: str
    valid_from: datetime | None
    valid_until: datetime | None

    def valid(self, now: datetime) -> bool:
        """Whether the entry may answer at this time."""
        return (self.valid_from is None or self.valid_from <= now) and (
            self.valid_until is None or now < self.valid_until
        )


class FaqIndex:
    """Published phrasings by normalised spelling.

    Every look-up compares the index's version with the stamp in the database, one primary-key read, so
    that an edit in any process answers the very next question.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._loaded: tuple[int, dict[str, list[Match]]] = (-1, {})  # swapped as one, so readers need no lock

    def find(self, question: str) -> Match | None:
        """The entry with a phrasing equal to the question, or None. Of several, the oldest valid one."""
        key = normalise(question)
        now = datetime.now(UTC)
        return next((match for match in self._current().get(key, ()) if match.valid(now)), None)

    def _current(self) -> dict[str, list[Match]]:
        with self._database.read() as session:
            version, (loaded, matches) = faq.version(session), self._loaded
            if version == loaded:
                return matches
            entries = faq.published(session)
        matches = _by_spelling(entries)
        self._loaded = (version, matches)
        return matches


def _by_spelling(entries: Iterable[Entry]) -> dict[str, list[Match]]:
    matches: dict[str, list[Match]] = {}
    for entry in entries:
        for phrasing in entry.phrasings:
            match = Match(entry.id, entry.question, entry.answer, phrasing.text, entry.valid_from, entry.valid_until)
            if key := normalise(phrasing.text):
                matches.setdefault(key, []).append(match)
    return matches
