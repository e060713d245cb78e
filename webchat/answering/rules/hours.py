"""When the shop's staff are there: a few lines that operators write, on the shop's clock.

周一至周五 9:00-12:00, 13:00-18:00
Sat 10:00-16:00
closed 2026-10-01 - 2026-10-07
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING

from webchat.answering.normalise import nfkc
from webchat.answering.rules.schedule import EVERY_DAY, Window

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_NAMES = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAYS = {name: number for number, name in enumerate(_NAMES)} | {
    char: number for number, char in enumerate("一二三四五六日")
}
_DAYS["天"] = 6
_DAILY = re.compile(r"每天|每日|天天|daily|every ?day", re.IGNORECASE)
_DAY = re.compile(
    r"(?:周|星期|礼拜)?(?P<zh>[一二三四五六日天])|(?P<en>mon|tue|wed|thu|fri|sat|sun)[a-z]*", re.IGNORECASE
)
_TO = r"\s*(?:-|–|—|~|至|到|to)\s*"
_TIMES = re.compile(rf"(?P<start>\d{{1,2}}:\d{{2}}){_TO}(?P<end>\d{{1,2}}:\d{{2}})")
_CLOSED = re.compile(r"休息?|放假|关门|closed", re.IGNORECASE)
_DATE = re.compile(r"\d{4}-\d{1,2}-\d{1,2}")
_LONGEST_HOLIDAY = 366  # days
_LOOKED_AHEAD = 60  # days in which an opening is looked for


class BadHours(ValueError):  # noqa: N818 - named as callers say it
    """A line cannot be read; ``line`` counts from 1."""

    def __init__(self, line: int) -> None:
        super().__init__(f"line {line} cannot be read")
        self.line = line


@dataclass(frozen=True, slots=True)
class Hours:
    """The windows of every week, and the days on which they do not hold."""

    windows: tuple[Window, ...]
    closed: frozenset[date] = frozenset()

    def covers(self, now: datetime) -> bool:
        """Whether somebody is there at a moment of the shop's clock."""
        return now.date() not in self.closed and any(window.covers(now) for window in self.windows)

    def next_opening(self, now: datetime) -> datetime | None:
        """When somebody is there again, in the zone of ``now``; None when that is far away or never."""
        for days in range(_LOOKED_AHEAD):
            day = now.date() + timedelta(days)
            if day in self.closed:
                continue
            starts = (
                datetime.combine(day, window.start, now.tzinfo)
                for window in self.windows
                if day.weekday() in window.days
            )
            if later := [start for start in starts if start > now]:
                return min(later)
        return None


def read_hours(lines: Iterable[str]) -> Hours | None:
    """Read what an operator has written; None for nothing.

    Raises:
        BadHours: a line says neither hours nor days on which nobody is there.
    """
    windows: list[Window] = []
    closed: set[date] = set()
    for number, line in enumerate(lines, start=1):
        text = nfkc(line).strip()
        try:
            if _CLOSED.match(text):
                closed.update(_dates(text))
            elif text:
                windows += _windows(text)
        except ValueError:
            raise BadHours(number) from None
    return Hours(tuple(windows), frozenset(closed)) if windows else None


def _windows(text: str) -> Iterator[Window]:
    times = list(_TIMES.finditer(text))
    if not times or _TIMES.sub("", text[times[0].start() :]).strip(" ,、;和and"):
        raise ValueError(text)
    days = _days(text[: times[0].start()])
    for each in times:
        yield Window(days, _time(each["start"]), _time(each["end"]))


def _time(text: str) -> time:
    hour, minute = map(int, text.split(":"))
    return time(0, minute) if hour == 24 else time(hour, minute)  # noqa: PLR2004 - the end of the day


def _days(text: str) -> frozenset[int]:
    """The days that words name, one by one or from one to another; no words are every day."""
    text = text.strip(" :")
    if not text or _DAILY.fullmatch(text):
        return EVERY_DAY
    found: set[int] = set()
    for part in re.split(r"[,、;和]|\band\b", text):
        ends = [_DAYS[(each["zh"] or each["en"]).casefold()] for each in _DAY.finditer(part)]
        if _DAY.sub("", re.sub(_TO, "", part)).strip() or len(ends) not in (1, 2):
            raise ValueError(part)
        first, last = ends[0], ends[-1]
        found.update((first + step) % 7 for step in range((last - first) % 7 + 1))
    return frozenset(found)


def _dates(text: str) -> Iterator[date]:
    ends = [date(*map(int, each.split("-"))) for each in _DATE.findall(text)]
    if len(ends) not in (1, 2) or not 0 <= (ends[-1] - ends[0]).days < _LONGEST_HOLIDAY:
        raise ValueError(text)
    for days in range((ends[-1] - ends[0]).days + 1):
        yield ends[0] + timedelta(days)
