"""The rules in memory: which one answers a question, and why."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import structlog

from webchat.answering.normalise import has_han
from webchat.answering.rules.conditions import Asked, Checks, Condition, Finding
from webchat.answering.rules.replies import fill_in
from webchat.answering.rules.shipped import BLOCK, HANDOFF, SHIPPED, Words
from webchat.storage import rules
from webchat.storage.database import Conflict, StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from webchat.storage.database import Database
    from webchat.storage.tables import Language, Rule, RuleAction

log = structlog.get_logger(__name__)

_NOTE_SLOW_EVERY = 60.0  # seconds between two notes in the database about the same rule
_PATIENCE_OF_OPERATORS = 1.0  # seconds of searching in the test box, where every pattern is tried
_NOTHING = Words("", "")
_KIND: dict[RuleAction, str] = {"reply": "rule", "handoff": "handoff", "block": "block", "tag": "tag"}


@dataclass(frozen=True, slots=True)
class Reply:
    """What a rule answers.

    Attributes:
        reason: what kind of answer it is, and whose: ``rule: weather``, ``handoff: human``, ``block: 12``.
        text: ready to show.
        faq_first: whether an entry with exactly this question goes before it.
    """

    action: RuleAction
    reason: str
    text: str
    faq_first: bool


@dataclass(frozen=True, slots=True)
class Ruling:
    """What the rules say about a question: the answer of the first that has one, and the tags of all that apply."""

    reply: Reply | None
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tried:
    """A rule in the test box: what each part of its condition found, and whether it is the one that answers."""

    rule: Rule
    findings: tuple[Finding, ...]
    applies: bool
    answers: bool


class Rulebook:
    """The rules, as they stand in the database at each question."""

    def __init__(self, database: Database, *, shop: str, timezone: str) -> None:
        self._database = database
        self._shop = shop
        self._zone = ZoneInfo(timezone)
        self._loaded: tuple[int, list[tuple[Rule, Checks]]] = (-1, [])  # swapped as one, so readers need no lock
        self._noted: dict[int, float] = {}  # when a rule was last noted as slow

    def ruling(self, text: str, *, model: str) -> Ruling:
        """What the rules say about a message now; ``model`` is the name by which a reply may call it."""
        asked = Asked(text, datetime.now(self._zone))
        answering: Rule | None = None
        tags: list[str] = []
        slow: list[Rule] = []
        for rule, checks in self._current():
            if not rule.enabled or (answering and rule.action != "tag"):
                continue
            findings = list(_until_one_fails(checks, asked))
            slow += [rule for finding in findings if finding.slow]
            if not _hold(findings):
                continue
            if rule.action == "tag":
                tags.append(rule.tag)
            else:
                answering = rule
        if slow:
            self._note(slow)
        return Ruling(self._reply(answering, asked, model) if answering else None, tuple(dict.fromkeys(tags)))

    def try_out(self, text: str, now: datetime, draft: Rule | None = None) -> list[Tried]:
        """What every rule finds in a message at a moment; nothing is stored.

        Args:
            text: the message.
            now: in any time zone.
            draft: a rule that is being edited, in the place of the stored one with its id, or in front of all.
        """
        asked = Asked(text, now.astimezone(self._zone), seconds_left=_PATIENCE_OF_OPERATORS)
        tried: list[Tried] = []
        answered = False
        for rule, checks in _with_draft(self._current(), draft):
            findings = tuple(checks.findings(asked))
            applies = rule.enabled and _hold(findings)
            answers = applies and rule.action != "tag" and not answered
            answered = answered or answers
            tried.append(Tried(rule, findings, applies, answers))
        return tried

    def reply_of(self, rule: Rule, text: str, now: datetime, *, model: str) -> str:
        """What a rule would answer to a message at a moment."""
        return self._words(rule, Asked(text, now.astimezone(self._zone)), model)

    def _current(self) -> list[tuple[Rule, Checks]]:
        with self._database.read() as session:
            version, (loaded, ready) = rules.version(session), self._loaded
            if version == loaded:
                return ready
            rows = rules.in_order(session)
        ready = [(row, Checks(Condition.unpack(row.condition))) for row in rows]
        self._loaded = (version, ready)
        return ready

    def _reply(self, rule: Rule, asked: Asked, model: str) -> Reply:
        return Reply(rule.action, reason_of(rule), self._words(rule, asked, model), rule.faq_first)

    def _words(self, rule: Rule, asked: Asked, model: str) -> str:
        language: Language = "zh" if has_han(asked.text) else "en"
        own, usual = Words(rule.reply_zh, rule.reply_en), usual_words(rule)
        in_turn = (own.zh, usual.zh, own.en) if language == "zh" else (own.en, usual.en, own.zh)
        text = next((words for words in in_turn if words), "")
        return fill_in(text, language, shop=self._shop, model=model, now=asked.now)

    def _note(self, slow: Iterable[Rule]) -> None:
        """Tell the operators, seldom and without holding up the answer for a database that is busy."""
        now = time.monotonic()
        due = [rule for rule in slow if now - self._noted.get(rule.id, -_NOTE_SLOW_EVERY) >= _NOTE_SLOW_EVERY]
        if not due:
            return
        for rule in due:
            if rule.id not in self._noted:
                log.warning("a rule's pattern is too slow and was skipped", rule=rule.name or rule.shipped, id=rule.id)
            self._noted[rule.id] = now
        with suppress(StorageUnavailable, Conflict), self._database.write() as session:
            rules.note_slow(session, [rule.id for rule in due], datetime.now(UTC))


def reason_of(rule: Rule) -> str:
    """Why a rule has answered, as the answer's row keeps it."""
    return f"{_KIND[rule.action]}: {rule.shipped or rule.id}"


def usual_words(rule: Rule) -> Words:
    """What a rule says as long as nobody has written anything else."""
    shipped = SHIPPED.get(rule.shipped or "")
    if shipped and shipped.action == rule.action:
        return shipped.words
    return {"handoff": HANDOFF, "block": BLOCK}.get(rule.action, _NOTHING)


def _until_one_fails(checks: Checks, asked: Asked) -> Iterable[Finding]:
    for finding in checks.findings(asked):
        yield finding
        if not finding.held:
            return


def _hold(findings: Iterable[Finding]) -> bool:
    """Whether a condition holds; one that asks nothing but what may not occur does not."""
    asked = [finding for finding in findings if finding.part != "unless"]
    return bool(asked) and all(finding.held for finding in findings)


def _with_draft(ready: list[tuple[Rule, Checks]], draft: Rule | None) -> list[tuple[Rule, Checks]]:
    if draft is None:
        return ready
    trial = (draft, Checks(Condition.unpack(draft.condition)))
    if any(rule.id == draft.id for rule, _ in ready):
        return [trial if rule.id == draft.id else (rule, checks) for rule, checks in ready]
    return [trial, *ready]
