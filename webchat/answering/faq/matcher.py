"""The matcher: which entry a question asks for, how sure that is, and why.

    exact → entries that fit → guards → band

Phrasings are kept in two pieces, those of the last build and those of entries edited since, so that an edit costs what
it holds and not what the FAQ holds.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from webchat.answering.faq.calibration import bars, sample
from webchat.answering.faq.guards import Guard, Guards
from webchat.answering.faq.rows import Asked, Frame, Hit, Phrasing, Rows
from webchat.answering.faq.semantic import Space
from webchat.answering.faq.spelling import clauses, content, plain
from webchat.answering.normalise import nfkc

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    import numpy as np

    from webchat.engine.encoders import Encoder

Band = Literal["answer", "suggest", "abstain"]

TOP = 5  # candidates of a match
_LOOKED_AT = TOP + 1  # entries that the guards look at: one that they speak against gives its place away
EXACT = 2.0  # the score of a phrasing spelt like the question, above all others
_LEAST_CONTENT = 3  # two Chinese characters or three letters
_LONG = 40  # content from which on the clauses of a message are looked at one by one
_CLAUSE = 0.03  # a clause fits a little worse than the whole message
# What all entries near a question have in common says nothing for any of them: this share of the mean of the next
# three best is taken off. A large FAQ has several entries about everything, there it would say nothing.
_COMMON = 0.3
_FOLLOWERS = 3
_PENALTY = 0.5  # for a guard
_PENALTY_OF_THE_BEST = 0.2  # share of it that counts for who is the best: the right entry with a guard stays on top


@dataclass(frozen=True, slots=True)
class Candidate:
    """An entry that a question may ask for.

    Attributes:
        score: comparable between questions to one FAQ; guards have lowered it.
        phrasing: the entry's one that is nearest.
        guards: what speaks against it.
    """

    entry: int
    score: float
    phrasing: str
    guards: tuple[Guard, ...] = ()


@dataclass(frozen=True, slots=True)
class Match:
    """What a FAQ says to a question: candidates, best first, and what to do with them."""

    band: Band
    candidates: tuple[Candidate, ...]
    exact: bool = False


class Matcher:
    """Finds the entry that a question asks for.

    Args:
        phrasings: of all entries that may answer, and their negatives.
        encoder: compares by meaning; None compares by letters and sounds alone.
        vectors: of the phrasings, by this encoder: float32, a row for each; None asks the encoder.
    """

    def __init__(
        self, phrasings: Sequence[Phrasing], encoder: Encoder | None = None, vectors: np.ndarray | None = None
    ) -> None:
        self._encoder = encoder if phrasings else None
        space = None
        if self._encoder:
            if vectors is None:
                vectors = self._encoder.encode([nfkc(phrasing.text) for phrasing in phrasings], urgent=False)
            space = Space(vectors, self._encoder.parts)
        self._frame = Frame(phrasings, space)
        self._built = Rows(phrasings, vectors, self._frame)
        self._added: tuple[Rows, ...] = ()
        self._stale: frozenset[int] = frozenset()
        self._guards = Guards(self._built.texts, self._built.entries.tolist())
        self.bars = bars(
            self._neighbours(),
            entries=self._frame.entries,
            small=self._frame.small,
            by_meaning=space is not None,
        )

    def edited(
        self, entries: Collection[int], phrasings: Sequence[Phrasing], vectors: np.ndarray | None = None
    ) -> Matcher:
        """The matcher after edits; this one stays as it is for those who use it at this moment.

        Args:
            entries: all that changed since this matcher was *built*, removed ones too.
            phrasings: all that those entries have now.
            vectors: of these phrasings; None compares them by letters and sounds until the next build.
        """
        changed = self.beside([self.rows(phrasings, vectors)])
        changed._stale = frozenset(entries)  # noqa: SLF001 - one of us
        return changed

    def rows(self, phrasings: Sequence[Phrasing], vectors: np.ndarray | None) -> Rows:
        """Phrasings ready to be put beside those this matcher was built of."""
        return Rows(phrasings, vectors, self._frame)

    def beside(self, added: Sequence[Rows]) -> Matcher:
        """The matcher with new entries put beside those it was built of, in place of what was there."""
        changed = copy(self)
        changed._added = tuple(added)  # noqa: SLF001 - one of us
        return changed

    def asking(self, encoder: Encoder) -> Matcher:
        """The matcher with another way to the same encoder's vectors, if it compares by meaning at all."""
        changed = copy(self)
        changed._encoder = self._encoder and encoder  # noqa: SLF001 - one of us
        return changed

    def exact(self, question: str) -> Match | None:
        """The entries with a phrasing that is spelt like a question; costs next to nothing."""
        found = self._exact(plain(question))
        return Match("answer", found, exact=True) if found else None

    def match(self, question: str, previous: str | None = None) -> Match:
        """Find the entries that a question may ask for.

        Args:
            question: as it was typed.
            previous: the visitor's question before this one, which this one may lean on.
        """
        if exact := self.exact(question):
            return exact
        text = plain(question)
        if content(text) < _LEAST_CONTENT:
            return Match("abstain", ())
        denied = self.denied(text)
        hits = [hit for hit in self._hits(question, text, previous) if hit.phrasing.entry not in denied]
        candidates = self._guarded(text, plain(previous or ""), hits)
        return Match(self._band(candidates), candidates)

    def completing(self, text: str, count: int) -> list[tuple[int, str]]:
        """Entries that somebody who has typed this much may be about to ask for, each with a phrasing; best first."""
        typed = plain(text)
        if not typed:
            return []
        found = [each for each in self._built.completing(typed, count) if each[1].entry not in self._stale]
        for rows in self._added:
            found += rows.completing(typed, count)
        found.sort(key=lambda each: -each[0])
        return [(phrasing.entry, phrasing.text) for _, phrasing in found[:count]]

    def _neighbours(self) -> list[float]:
        """What a sample of the phrasings scores with entries of others."""
        scores = []
        for row in sample(len(self._built.phrasings)):
            asked, entry = self._built.asked(row), self._built.phrasings[row].entry
            hits = sorted(self._built.hits(asked, without=frozenset((entry,))), key=lambda hit: -hit.score)
            if candidates := self._guarded(asked.text, "", hits):
                scores.append(candidates[0].score)
        return scores

    def _band(self, candidates: Sequence[Candidate]) -> Band:
        if not candidates:
            return "abstain"
        best = candidates[0]
        if best.score >= self.bars.answer and not best.guards:
            return "answer"
        # A guard keeps an entry from answering, not from being offered.
        return "suggest" if best.score + _PENALTY * bool(best.guards) >= self.bars.suggest else "abstain"

    def _spelt_like(self, text: str) -> list[Phrasing]:
        found = [phrasing for phrasing in self._built.exact(text) if phrasing.entry not in self._stale]
        return found + [phrasing for rows in self._added for phrasing in rows.exact(text)]

    def denied(self, question: str) -> set[int]:
        """The entries that must not even be offered for a question: it is spelt like one of their negatives."""
        return {phrasing.entry for phrasing in self._spelt_like(plain(question)) if phrasing.negative}

    def _exact(self, text: str) -> tuple[Candidate, ...]:
        denied = self.denied(text)
        entries = {each.entry: each.text for each in self._spelt_like(text) if each.entry not in denied}
        return tuple(Candidate(entry, EXACT, phrasing) for entry, phrasing in sorted(entries.items()))

    def _hits(self, question: str, text: str, previous: str | None) -> list[Hit]:
        """The entries that fit the whole message, one of its clauses, or it with the one before; best first."""
        variants = [(question, 0.0)]
        if content(text) > _LONG:
            variants += [(clause, _CLAUSE) for clause in clauses(question)]
        answered: set[int] = set()
        if previous:
            variants.append((previous + question, 0.0))
            answered = {candidate.entry for candidate in self._exact(plain(previous))}
        best: dict[int, Hit] = {}
        for number, asked in enumerate(self._asked([words for words, _ in variants])):
            with_previous = bool(previous) and number == len(variants) - 1
            for hit in self._fitting(asked):
                if with_previous and hit.phrasing.entry in answered:
                    continue  # it fits the question before, which it has answered
                score = hit.score - variants[number][1]
                known = best.get(hit.phrasing.entry)
                if known is None or known.score < score:
                    best[hit.phrasing.entry] = replace(hit, score=score)
        return sorted(best.values(), key=lambda hit: -hit.score)

    def _asked(self, questions: Sequence[str]) -> list[Asked]:
        """Questions ready to be compared, in one call of the encoder."""
        if self._encoder is None or self._frame.space is None:
            return [Asked(plain(question), None) for question in questions]
        placed = self._frame.space.place(self._encoder.encode([nfkc(question) for question in questions]))
        return [
            Asked(plain(question), vectors)
            for question, vectors in zip(questions, zip(*placed, strict=True), strict=True)
        ]

    def _fitting(self, asked: Asked) -> Iterator[Hit]:
        if content(asked.text) >= _LEAST_CONTENT:
            yield from self._built.hits(asked, without=self._stale)
            for rows in self._added:
                yield from rows.hits(asked, without=frozenset())

    def _guarded(self, text: str, previous: str, hits: Sequence[Hit]) -> tuple[Candidate, ...]:
        """The best as candidates, less what they have in common and less what speaks against them."""
        followers = [hit.score for hit in hits[1 : 1 + _FOLLOWERS]]
        common = _COMMON * self._frame.small * sum(followers) / max(len(followers), 1)
        candidates = []
        for hit in hits[:_LOOKED_AT]:
            guards = tuple(self._guards.against(text, previous, hit))
            penalty = _PENALTY if guards else 0.0
            candidates.append(Candidate(hit.phrasing.entry, hit.score - common - penalty, hit.phrasing.text, guards))
        candidates.sort(key=lambda each: -each.score)
        if not candidates:
            return ()
        best = max(candidates, key=_rank)
        return (best, *(each for each in candidates if each is not best))[:TOP]


def _rank(candidate: Candidate) -> float:
    return candidate.score + (1 - _PENALTY_OF_THE_BEST) * _PENALTY * bool(candidate.guards)
