"""When a rule applies: all parts of its condition that are filled in must hold, and each can say why it does.

Answering and the operators' test box run the same checks; answering stops at the first that fails, so the cheap ones
come first.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from webchat.answering.normalise import spelling, without_manners
from webchat.answering.rules.intents import recognised
from webchat.answering.rules.patterns import BadPattern, Compiled, TooSlow, compile_pattern, search
from webchat.answering.rules.schedule import Schedule

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

PATTERN_SECONDS = 0.02  # of computing, for one search
ALL_PATTERNS_SECONDS = 0.06  # for all searches behind one question: no list of slow rules can hold a visitor up
Part = Literal["schedule", "intent", "keywords", "unless", "pattern"]


@dataclass(frozen=True, slots=True)
class Condition:
    """What operators fill in; what is empty is not asked.

    Attributes:
        intent: one of ``intents.INTENTS``.
        keywords: words of which one must occur, or every one.
        every_keyword: which of the two.
        unless: words of which none may occur.
        pattern: a regular expression.
        schedule: the hours, on the shop's clock.
    """

    intent: str = ""
    keywords: tuple[str, ...] = ()
    every_keyword: bool = False
    unless: tuple[str, ...] = ()
    pattern: str = ""
    schedule: Schedule | None = None

    @property
    def empty(self) -> bool:
        """Whether nothing is asked but what may not occur; such a condition never holds."""
        return not (self.intent or self.keywords or self.pattern or self.schedule)

    def pack(self) -> dict[str, Any]:
        """As a row keeps it: what is filled in."""
        parts: dict[str, Any] = {
            "intent": self.intent,
            "keywords": list(self.keywords),
            "every_keyword": self.every_keyword,
            "unless": list(self.unless),
            "pattern": self.pattern,
            "schedule": self.schedule and self.schedule.pack(),
        }
        return {name: part for name, part in parts.items() if part}

    @classmethod
    def unpack(cls, packed: Mapping[str, Any]) -> Condition:
        """From a row."""
        parts: dict[str, Any] = {name: tuple(part) if isinstance(part, list) else part for name, part in packed.items()}
        if "schedule" in parts:
            parts["schedule"] = Schedule.unpack(parts["schedule"])
        return cls(**parts)


@dataclass(frozen=True, slots=True)
class Finding:
    """Whether one part of a condition held, and the words of the message by which it did or did not."""

    part: Part
    held: bool
    evidence: str = ""
    slow: bool = False


@dataclass
class Asked:
    """A message at a moment, in the spellings that conditions look at; each is made once, when it is needed."""

    text: str
    now: datetime  # in the shop's time zone
    seconds_left: float = ALL_PATTERNS_SECONDS
    _intents: dict[str, bool] = field(default_factory=dict)

    @cached_property
    def question(self) -> str:
        """As the FAQ's key has it."""
        return without_manners(self.message)

    @cached_property
    def message(self) -> str:
        """All words, in one spelling."""
        return spelling(self.text)

    def has_intent(self, intent: str) -> bool:
        """Whether the message has an intent; several rules may ask."""
        if intent not in self._intents:
            self._intents[intent] = recognised(intent, question=self.question, message=self.message)
        return self._intents[intent]

    def search(self, pattern: Compiled) -> str | None:
        """Search the message, within what is left of the time.

        Raises:
            TooSlow: it was not enough.
        """
        if self.seconds_left <= 0:
            raise TooSlow
        allowed, began = min(PATTERN_SECONDS, self.seconds_left), time.thread_time()
        try:
            found = search(pattern, self.text, allowed)
        finally:
            took = time.thread_time() - began
            self.seconds_left -= took
        if took > allowed:  # the searcher looks at its clock now and then only
            raise TooSlow
        return found


class Checks:
    """A condition made ready to be asked often."""

    def __init__(self, condition: Condition) -> None:
        self._condition = condition
        self._keywords = [(word, spelling(word)) for word in condition.keywords]
        self._unless = [(word, spelling(word)) for word in condition.unless]
        self._pattern = _compiled(condition.pattern) if condition.pattern else None

    def findings(self, asked: Asked) -> Iterator[Finding]:
        """Ask part after part; empty parts are left out."""
        condition = self._condition
        if condition.schedule:
            yield Finding("schedule", condition.schedule.covers(asked.now))
        if condition.intent:
            yield Finding("intent", asked.has_intent(condition.intent))
        if self._keywords:
            yield self._keywords_found(asked.message)
        if self._unless:
            found = _first_in(asked.message, self._unless)
            yield Finding("unless", found is None, found or "")
        if condition.pattern:
            yield self._pattern_found(asked)

    def _keywords_found(self, message: str) -> Finding:
        if not self._condition.every_keyword:
            found = _first_in(message, self._keywords)
            return Finding("keywords", found is not None, found or "")
        missing = next((word for word, spelled in self._keywords if not _occurs(spelled, message)), None)
        return Finding("keywords", missing is None, missing or "")

    def _pattern_found(self, asked: Asked) -> Finding:
        if self._pattern is None:  # a row that another version of the compiler has accepted
            return Finding("pattern", held=False)
        try:
            found = asked.search(self._pattern)
        except TooSlow:
            return Finding("pattern", held=False, slow=True)
        return Finding("pattern", found is not None, found or "")


def _compiled(pattern: str) -> Compiled | None:
    try:
        return compile_pattern(pattern)
    except BadPattern:
        return None


def _first_in(message: str, words: list[tuple[str, str]]) -> str | None:
    return next((word for word, spelled in words if _occurs(spelled, message)), None)


def _occurs(word: str, message: str) -> bool:
    """Whether a word occurs; Latin letters and digits are whole words, so that ship is not in relationship.

    >>> _occurs("ship", "friendship"), _occurs("退款", "我要退款吧")
    (False, True)
    """
    place = message.find(word) if word else -1
    while place >= 0:
        end = place + len(word)
        if not (_joined(message[place - 1 : place], word[0]) or _joined(word[-1], message[end : end + 1])):
            return True
        place = message.find(word, place + 1)
    return False


def _joined(left: str, right: str) -> bool:
    return left.isascii() and right.isascii() and left.isalnum() and right.isalnum()
