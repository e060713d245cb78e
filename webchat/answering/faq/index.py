"""The FAQ in memory: what it says to a question, true to the database at that moment.

Every look-up compares the index's version with the stamp in the database, one primary-key read. When they differ, the
entries that changed are read and put beside the others, so that an edit in any process answers the very next question.
A thread in the background then builds the matcher anew, with vectors of the new phrasings and bars measured again.

The index only finds entries. What an entry says, and whether it may say it, is read when it answers.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import structlog

from webchat.answering.faq.matcher import Match, Matcher
from webchat.answering.faq.rows import Phrasing
from webchat.answering.faq.spelling import clauses
from webchat.answering.faq.vectors import forget_unused, vectors_of
from webchat.engine.generation import EngineUnavailable
from webchat.storage import faq
from webchat.storage.database import StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    import numpy as np

    from webchat.answering.faq.calibration import Bars
    from webchat.answering.faq.matcher import Band, Candidate
    from webchat.engine.encoders import Encoder
    from webchat.storage.database import Database, Session

log = structlog.get_logger(__name__)

SUGGESTIONS = 3
_EDITED = 500  # entries put beside the built ones; more of them wait for the next build
_SHARE = 50  # a build waits until one in so many entries has changed: with 100,000 entries it takes half a minute
_RETRY = 10.0  # seconds until the encoder or the database is tried again
# After a build nothing is built for so many times as long as it took, at most so many seconds: edits in a row leave the
# processor to visitors.
_REST, _LONGEST_REST = 4, 10.0
_EACH = 10.0  # seconds between two lines in the log while many texts are encoded


@dataclass(frozen=True, slots=True)
class Answer:
    """An entry that answers, as it was at that moment, and how it was found."""

    entry_id: int
    question: str
    answer: str
    phrasing: str
    how: Literal["exact", "matched"]
    score: float


@dataclass(frozen=True, slots=True)
class Suggestion:
    """An entry that a question may mean, by the question it is shown with."""

    entry_id: int
    question: str
    answer: str = ""  # for the model to go by; where suggestions are only shown it is not read


@dataclass(frozen=True, slots=True)
class Found:
    """What the FAQ says to a question.

    Attributes:
        answer: the entry that answers by itself; None outside the band ``answer``.
        suggestions: entries the question may mean, likeliest first. Beside an answer: the next likeliest.
        near: the likeliest is about the same thing.
    """

    band: Band
    answer: Answer | None = None
    suggestions: tuple[Suggestion, ...] = ()
    near: bool = False


NOTHING = Found("abstain")


@dataclass(frozen=True, slots=True)
class _Loaded:
    """What look-ups use; replaced as one, so that readers need no lock.

    Attributes:
        version: of the FAQ as the matcher knows it.
        built: the version it was built from.
        edited: the entries that changed since and were put beside.
        size: phrasings it was built from.
        behind: more changed than could be put beside: only a build brings the rest.
    """

    matcher: Matcher
    version: int
    built: int
    edited: frozenset[int]
    size: int
    behind: bool = False


class FaqIndex:
    """The published entries behind a matcher.

    Args:
        database: where the entries are.
        encoder: compares by meaning; None compares by letters and sounds.
    """

    def __init__(self, database: Database, encoder: Encoder | None = None) -> None:
        self._database = database
        self._encoder = encoder
        self._loaded: _Loaded | None = None
        self._changing = threading.Lock()
        self._work = threading.Condition()
        self._wanted = False
        self._idle = True
        self._closed = False
        self._builder: threading.Thread | None = None

    def find(self, question: str, previous: str | None = None) -> Found:
        """What the FAQ says.

        Args:
            question: as it was typed.
            previous: the visitor's question before this one, which this one may lean on.

        Raises:
            StorageUnavailable: the database cannot be read now.
        """
        with self._database.read() as session:
            if matcher := self._up_to_date(faq.version(session)):
                return _asked(session, matcher, question, previous)
        matcher = self._caught_up().matcher
        with self._database.read() as session:
            return _asked(session, matcher, question, previous)

    def completing(self, text: str, count: int) -> list[str]:
        """Questions of the shop that somebody who has typed this much may be about to ask, best first.

        Raises:
            StorageUnavailable: the database cannot be read now.
        """
        found = self._caught_up().matcher.completing(text, count)
        with self._database.read() as session:
            live = faq.live(session, [entry for entry, _ in found])
        return [phrasing for entry, phrasing in found if entry in live and phrasing in live[entry].phrasings]

    def matcher(self) -> Matcher:
        """The FAQ's matcher with every committed change in it.

        Raises:
            StorageUnavailable: the database cannot be read now.
        """
        return self._caught_up().matcher

    def with_edit(
        self, entry: int, phrasings: Sequence[Phrasing], encode: Callable[[Sequence[str]], np.ndarray] | None
    ) -> Matcher:
        """The matcher as it would be with an edit that is not made; nobody else sees it.

        Args:
            entry: whose edit.
            phrasings: all that it would have then; none when it would not answer.
            encode: makes the vectors of texts; None compares them by letters and sounds.

        Raises:
            EngineUnavailable: the encoder has been closed.
            StorageUnavailable: the database cannot be used now.
        """
        loaded = self._caught_up()
        with self._database.read() as session:
            beside = [*_phrasings(session, loaded.edited - {entry}), *phrasings]
        vectors = encode([phrasing.text for phrasing in beside]) if encode and beside else None
        return loaded.matcher.edited(loaded.edited | {entry}, beside, vectors)

    def start(self) -> None:
        """Load the index in the background, so that the first visitor need not wait for it."""
        self._want_build()

    def settle(self, timeout: float = 60) -> bool:
        """Wait until nothing is left to build; whether that was so in time (seconds)."""
        with self._work:
            return self._work.wait_for(lambda: self._idle and not self._wanted, timeout)

    def close(self) -> None:
        """End the builder after what it is doing."""
        with self._work:
            self._closed = True
            self._work.notify_all()
        if self._builder:
            self._builder.join()

    def _up_to_date(self, version: int) -> Matcher | None:
        loaded = self._loaded
        return loaded.matcher if loaded and loaded.version >= version else None

    def _caught_up(self) -> _Loaded:
        before = self._loaded
        with self._changing:
            loaded = self._changed()
        if loaded is not before:
            self._want_build()
        return loaded

    def _changed(self) -> _Loaded:
        """The index with every committed change in it; under the lock."""
        loaded = self._loaded
        with self._database.read() as session:
            version = faq.version(session)
            if loaded is None:
                asked = _phrasings(session)
                # Letters and sounds are quick to compare; the builder adds the meaning.
                loaded = _Loaded(Matcher(asked), version, version, frozenset(), len(asked))
            elif loaded.version < version:
                loaded = _with_changes(session, loaded, version)
            else:
                return loaded
        self._loaded = loaded
        return loaded

    def _want_build(self) -> None:
        with self._work:
            if self._closed:
                return
            self._wanted, self._idle = True, False
            self._work.notify_all()
            if self._builder is None:
                builder = threading.Thread(target=self._build_on, name="faq-index", daemon=True)
                try:
                    builder.start()
                except RuntimeError:  # the machine has no thread left: the next change tries again
                    log.warning("no thread to build the FAQ's index: questions are matched by letters and sounds")
                else:
                    self._builder = builder

    def _build_on(self) -> None:
        while True:
            with self._work:
                self._idle = not self._wanted
                self._work.notify_all()
                self._work.wait_for(lambda: self._wanted or self._closed)
                if self._closed:
                    return
                self._wanted = False
            began = time.monotonic()
            try:
                self._build()
                with self._work:
                    rest = min(_REST * (time.monotonic() - began), _LONGEST_REST) if self._wanted else 0
                    self._work.wait_for(lambda: self._closed, rest)
            except (StorageUnavailable, EngineUnavailable) as error:
                log.warning("the FAQ's index could not be built, will be tried again", reason=str(error))
                with self._work:
                    self._wanted = not self._work.wait_for(lambda: self._closed, _RETRY)

    def _build(self) -> None:
        """Build the matcher from all entries; where few of many were edited, only give those their vectors."""
        with self._changing:
            loaded = self._changed()  # letters and sounds first: nobody waits for the encoder
        few = len(loaded.edited) * _SHARE < loaded.size and loaded.size > _EDITED
        if loaded.edited and few and not loaded.behind:
            self._place_edited(loaded)
            return
        with self._database.read() as session:
            version, asked = faq.version(session), _phrasings(session)
        if loaded.built == version and self._encoder is None:
            return
        began = time.monotonic()
        vectors = self._vectors(asked)
        matcher = Matcher(asked, self._encoder, vectors)
        with self._changing:
            # What was committed meanwhile is put beside it at the next look-up, as its version tells.
            self._loaded = _Loaded(matcher, version, version, frozenset(), len(asked))
        log.info("faq index built", phrasings=len(asked), seconds=round(time.monotonic() - began, 1))
        if self._encoder and asked:
            forget_unused([phrasing.text for phrasing in asked], self._encoder, self._database)

    def _place_edited(self, loaded: _Loaded) -> None:
        if self._encoder is None:
            return
        with self._database.read() as session:
            asked = _phrasings(session, loaded.edited)
        vectors = self._vectors(asked)
        with self._changing:
            if self._loaded is loaded:  # else another edit came, and its own build after it
                self._loaded = replace(loaded, matcher=loaded.matcher.edited(loaded.edited, asked, vectors))

    def _vectors(self, asked: Sequence[Phrasing]) -> np.ndarray | None:
        if self._encoder is None or not asked:
            return None
        told = time.monotonic()

        def show(done: int, total: int) -> None:
            nonlocal told
            if self._closed:
                raise EngineUnavailable("the index is closed")
            if time.monotonic() - told > _EACH:
                told = time.monotonic()
                log.info("questions are being encoded", done=done, total=total)

        return vectors_of([phrasing.text for phrasing in asked], self._encoder, self._database, show)


def _with_changes(session: Session, loaded: _Loaded, version: int) -> _Loaded:
    """The index with what changed since it was loaded put beside the rest."""
    changed = faq.changes_since(session, loaded.version)
    edited = loaded.edited | (changed or frozenset())
    if changed is None or len(edited) > _EDITED:
        # Too much to be put beside: until the next build the entries that were there answer, as they are now.
        return replace(loaded, version=version, behind=True)
    matcher = loaded.matcher.edited(edited, _phrasings(session, edited))
    return replace(loaded, matcher=matcher, version=version, edited=edited)


def _phrasings(session: Session, entries: Collection[int] | None = None) -> list[Phrasing]:
    return [Phrasing(*asked) for asked in faq.asked(session, entries)]


def _asked(session: Session, matcher: Matcher, question: str, previous: str | None) -> Found:
    try:
        match = matcher.match(question, previous)
        if not match.exact:
            match = _of_clauses(matcher, question) or match
    except EngineUnavailable:  # the encoder was closed: the process ends
        return NOTHING
    if match.band == "abstain":
        return NOTHING
    return _found(match, matcher.bars, faq.live(session, [candidate.entry for candidate in match.candidates]))


def _of_clauses(matcher: Matcher, question: str) -> Match | None:
    """What to offer to several questions in one message: the entries that answer them, if each has one of its own."""
    asked = clauses(question)
    if not 1 < len(asked) <= SUGGESTIONS:
        return None
    matches = [matcher.match(clause) for clause in asked]
    if any(match.band != "answer" for match in matches):
        return None
    best = {match.candidates[0].entry: match.candidates[0] for match in matches}
    return Match("suggest", tuple(best.values())) if len(best) > 1 else None


def _found(match: Match, bars: Bars, entries: Mapping[int, faq.Live]) -> Found:
    """What candidates say now: those whose entry or phrasing is gone meanwhile say nothing."""
    there = [candidate for candidate in match.candidates if _still(candidate, entries)]
    if match.exact:
        there.sort(key=lambda candidate: candidate.entry)  # of several entries with one phrasing the oldest answers
    best = there[0] if there else None
    if best and match.band == "answer" and (match.exact or best is match.candidates[0]):
        return Found("answer", _answer(match, best, entries), _suggestions(there[1:], bars, entries), near=True)
    suggestions = _suggestions(there, bars, entries)
    if not best or not suggestions:
        return NOTHING
    return Found("suggest", None, suggestions, near=bool(best.guards) or best.score >= bars.near)


def _still(candidate: Candidate, entries: Mapping[int, faq.Live]) -> bool:
    entry = entries.get(candidate.entry)
    return entry is not None and candidate.phrasing in entry.phrasings


def _answer(match: Match, candidate: Candidate, entries: Mapping[int, faq.Live]) -> Answer:
    entry = entries[candidate.entry]
    how: Literal["exact", "matched"] = "exact" if match.exact else "matched"
    return Answer(entry.id, entry.question, entry.answer, candidate.phrasing, how, candidate.score)


def _suggestions(
    candidates: Iterable[Candidate], bars: Bars, entries: Mapping[int, faq.Live]
) -> tuple[Suggestion, ...]:
    near = [entries[candidate.entry] for candidate in candidates if candidate.guards or candidate.score >= bars.suggest]
    return tuple(Suggestion(entry.id, entry.question, entry.answer) for entry in near[:SUGGESTIONS])
