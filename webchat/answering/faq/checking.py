"""What a change of the FAQ would do: real questions asked again, and what entries must and must not answer.

A replay asks the matcher as the site does, against the entries that answer at this moment. The bars stay those of the
last build; a change of a few entries moves them by less than a hundredth.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

from webchat.answering.normalise import normalise

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from webchat.answering.faq.matcher import Matcher
    from webchat.storage.replays import RealQuestion, Required

Kind = Literal["new", "stopped", "changed"]


class Asked(NamedTuple):
    """A question and the one before it."""

    text: str
    previous: str | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """A question that would be answered otherwise; ``before`` and ``after`` are entries by their question, or empty.

    ``meant`` says that it is spelt like a question of the entry that would answer, or like one that the entry which
    answered must not answer: nobody need be warned of what they have written themselves.
    """

    question: str
    times: int
    before: str
    after: str
    meant: bool = False

    @property
    def kind(self) -> Kind:
        """What happens to it."""
        if not self.before:
            return "new"
        return "changed" if self.after else "stopped"


@dataclass(frozen=True, slots=True)
class Broken:
    """A question that an entry must answer and does not, or must not and does."""

    entry: str
    question: str
    must_hit: bool
    answered_by: str


@dataclass(slots=True)
class Report:
    """What a change would do.

    Attributes:
        asked: different questions that were asked again.
        of: different questions there are; more than ``asked`` when time ran out.
        checked: requirements that were looked at.
        of_required: requirements there are.
    """

    changes: list[Change] = field(default_factory=list)
    broken: list[Broken] = field(default_factory=list)
    asked: int = 0
    of: int = 0
    checked: int = 0
    of_required: int = 0
    _places: dict[Change, int] = field(default_factory=dict, repr=False, compare=False)

    def of_kind(self, kind: Kind) -> list[Change]:
        """The changes of one kind, the most frequent questions first."""
        return sorted((each for each in self.changes if each.kind == kind), key=lambda each: -each.times)

    @property
    def takes_something_away(self) -> bool:
        """Whether somebody should look before it is done: more than questions that are newly answered."""
        return bool(self.broken) or any(each.kind != "new" and not each.meant for each in self.changes)

    def add(self, change: Change) -> None:
        """Note a change; what was asked after different questions and ends alike is one."""
        place = self._places.setdefault(replace(change, times=0), len(self.changes))
        if place == len(self.changes):
            self.changes.append(change)
        else:
            self.changes[place] = replace(change, times=change.times + self.changes[place].times)


class Answering:
    """Which entry answers a question, by a matcher and the entries that answer at this moment.

    Args:
        matcher: of the FAQ.
        live: the entries that answer.
        titles: by which question entries are shown.
    """

    def __init__(self, matcher: Matcher, live: Collection[int], titles: Mapping[int, str]) -> None:
        self._matcher = matcher
        self._live = live
        self._titles = titles

    def entry(self, asked: Asked) -> int | None:
        """The entry that answers by itself; None when none does."""
        match = self._matcher.match(asked.text, asked.previous)
        if match.band != "answer":
            return None
        there = [candidate for candidate in match.candidates if candidate.entry in self._live]
        if not there or (not match.exact and there[0] is not match.candidates[0]):
            return None
        return there[0].entry

    def is_spelt(self, asked: Asked) -> bool:
        """Whether a question is spelt like one of the entry that answers it."""
        return self._matcher.exact(asked.text) is not None

    def is_denied(self, asked: Asked, entry: int | None) -> bool:
        """Whether a question is spelt like one that an entry must not answer."""
        return entry in self._matcher.denied(asked.text)

    def title(self, entry: int | None) -> str:
        """By which question an entry is shown; empty for none."""
        return "" if entry is None else self._titles.get(entry, "?")


def counted(questions: Iterable[RealQuestion]) -> Counter[Asked]:
    """Different questions and how often each was asked, in the order given."""
    return Counter(Asked(question.text, question.previous) for question in questions)


def compare(
    questions: Mapping[Asked, int],
    before: Answering,
    after: Answering,
    required: Sequence[Required],
    others: Sequence[Required] = (),
    *,
    end: float,
) -> Report:
    """Ask questions of two states of the FAQ whose entries have the same numbers.

    Requirements come first, and what is not done by ``end`` is left out; the report says so.

    Args:
        questions: how often each was asked.
        before: the FAQ as it is.
        after: the FAQ as it would be.
        required: what the changed entries must and must not answer.
        others: the same of all other entries; what is broken as it was ``before`` is not this change's doing.
        end: on the monotonic clock.
    """
    report = Report(of=len(questions), of_required=len(required) + len(others))
    for place, requirement in enumerate((*required, *others)):
        if time.monotonic() > end:
            return report
        report.checked += 1
        broken = _broken(requirement, after)
        if broken and (place < len(required) or broken != _broken(requirement, before)):
            report.broken.append(broken)
    for asked, times in questions.items():
        if time.monotonic() > end:
            break
        report.asked += 1
        was, would = before.entry(asked), after.entry(asked)
        if was != would:
            meant = after.is_spelt(asked) or after.is_denied(asked, was)
            report.add(Change(asked.text, times, before.title(was), after.title(would), meant))
    return report


def replay(
    questions: Sequence[RealQuestion],
    after: Answering,
    required: Sequence[Required],
    before: Callable[[RealQuestion], str],
    show: Callable[[int], None] = lambda _: None,
) -> Report:
    """Ask real questions of the FAQ and compare with what answered before.

    Args:
        questions: what visitors asked.
        after: the FAQ.
        required: what its entries must and must not answer.
        before: by which question the entry is shown that answered; empty for none.
        show: told how many are done.
    """
    times = counted(questions)
    different = {Asked(question.text, question.previous): question for question in questions}
    report = Report(asked=len(times), of=len(times), checked=len(required), of_required=len(required))
    for done, (asked, question) in enumerate(different.items(), 1):
        was, would = before(question), after.title(after.entry(asked))
        if normalise(was) != normalise(would):
            report.add(Change(asked.text, times[asked], was, would, after.is_spelt(asked)))
        show(done)
    report.broken = [broken for requirement in required if (broken := _broken(requirement, after))]
    return report


def _broken(requirement: Required, after: Answering) -> Broken | None:
    answering = after.entry(Asked(requirement.text))
    if (answering == requirement.entry_id) == requirement.must_hit:
        return None
    entry = after.title(requirement.entry_id)
    return Broken(entry, requirement.text, requirement.must_hit, after.title(answering))
