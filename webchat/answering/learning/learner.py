"""Brings the inbox up to date, in a thread of its own: places new questions, and drafts entries from repeated answers.

Several processes may do so at once. Each looks at what is new, finds the groups without holding anything, and stores
them in one transaction that first makes sure that nobody else has stored them.
"""

from __future__ import annotations

import threading
import time
from itertools import count
from typing import TYPE_CHECKING

import structlog

from webchat.answering.faq.rows import Phrasing
from webchat.answering.learning.drafting import draft_of
from webchat.answering.learning.grouping import Grouping
from webchat.answering.learning.masking import masked
from webchat.answering.normalise import normalise
from webchat.engine.generation import EngineUnavailable
from webchat.storage import faq, inbox
from webchat.storage.database import Conflict, StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from webchat.engine.encoders import Encoder
    from webchat.storage.database import Database, Session
    from webchat.storage.inbox import News, Unplaced

log = structlog.get_logger(__name__)

_EVERY = 10.0  # seconds between two looks
_LONGEST = 200  # characters of a question; what is longer is no phrasing of an entry
_REMEASURED = 200  # groups put beside the others before their bars are measured again


class Learner:
    """Keeps the inbox.

    Args:
        database: where questions come from, and groups are kept.
        encoder: tells which questions mean the same; None goes by letters and sounds.
    """

    def __init__(self, database: Database, encoder: Encoder | None) -> None:
        self._database = database
        self._encoder = encoder
        self._grouping: Grouping | None = None  # as it was after the answer ``_grouped``
        self._grouped = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="learner", daemon=True)

    def start(self) -> None:
        """Begin to look for what is new."""
        self._thread.start()

    def close(self) -> None:
        """End after what is being placed."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def catch_up(self, *, gently: bool = False) -> int:
        """Place everything that is new; how many questions that were.

        Args:
            gently: rest after each question as long as it took: visitors are answered on the same processors.

        Raises:
            EngineUnavailable: the encoder has been closed.
            StorageUnavailable: the database cannot be used now.
        """
        placed = 0
        while not self._stop.is_set():
            with self._database.read() as session:
                known, news = inbox.seen(session), inbox.news(session)
            if not news.questions and news.seen == known:
                break
            placed += self._place(known, news, gently=gently)
        return placed

    def _run(self) -> None:
        while not self._stop.wait(_EVERY):
            try:
                if placed := self.catch_up(gently=True):
                    log.info("inbox", questions=placed)
            except (StorageUnavailable, EngineUnavailable) as error:
                log.warning("the inbox could not be brought up to date, will be tried again", reason=str(error))
            except Exception:  # visitors are answered without it
                log.exception("the inbox could not be brought up to date, will be tried again")

    def _place(self, known: int, news: News, *, gently: bool) -> int:
        """Place what was found; nothing when another process has done so."""
        # What holds no word is worth a look only when somebody complains about the answer.
        worth = [found for found in news.questions if found.outcome == "voted_down" or normalise(found.question)]
        grouping = self._grouping if self._grouping and self._grouped == known else None
        if worth and (grouping is None or grouping.added > _REMEASURED):
            grouping = self._new_grouping()
        groups = _groups_for(worth, grouping, self._rest if gently else _no_rest) if grouping else []
        self._grouping = None  # until it is known that they are stored
        try:
            with self._database.write() as session:
                if not inbox.begin_placing(session, news, known):
                    return 0
                stored = _store(session, worth, groups)
        except Conflict:  # a conversation was deleted meanwhile
            return 0
        if grouping:
            grouping.renumber(stored)
        self._grouping, self._grouped = grouping, news.seen
        return len(worth)

    def _rest(self, seconds: float) -> None:
        self._stop.wait(seconds)

    def _new_grouping(self) -> Grouping:
        with self._database.read() as session:
            wordings = inbox.grouped(inbox.wordings(session))
            asked = [Phrasing(*each) for each in faq.asked(session) if not each.negative]
        return Grouping(wordings, asked, self._encoder, self._database)


def _no_rest(_seconds: float) -> None:
    """Go on at once."""


def _groups_for(found: list[Unplaced], grouping: Grouping, rest: Callable[[float], None]) -> list[int]:
    """A group for each question: its number, or one below zero that stands for a new group."""
    numbers = count(-1, -1)
    groups: list[int] = []
    for question in found:
        began = time.monotonic()
        text = _as_kept(question.question)
        group = grouping.group_of(text)
        if group is None:
            group = next(numbers)
            grouping.add(group, text)
        groups.append(group)
        rest(time.monotonic() - began)
    return groups


def _as_kept(question: str) -> str:
    """A question as a line that could be a phrasing, without personal numbers."""
    return masked(" ".join(question.split()))[:_LONGEST]


def _store(session: Session, found: list[Unplaced], groups: list[int]) -> dict[int, int]:
    """Put questions into their groups, and draft what has been answered often enough.

    Returns:
        The numbers of groups that are new, or are new again because they were removed meanwhile.
    """
    there = inbox.groups(session, {group for group in groups if group > 0})
    for question, group in zip(found, groups, strict=True):
        there[group] = inbox.place(session, question, _as_kept(question.question), there.get(group))
    numbers = {number: group.id for number, group in there.items() if number != group.id}
    for met in {group.id: group for group in there.values()}.values():
        if met.status == "open" and not met.drafted and met.entry_id is None:
            met.entry_id = draft_of(session, met)
            met.drafted = met.entry_id is not None
    for orphan in inbox.tidy(session):
        faq.remove(session, orphan)
    return numbers
