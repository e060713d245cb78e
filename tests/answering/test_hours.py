"""When staff are there, as operators write it."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from webchat.answering.rules.hours import BadHours, read_hours

SHOP = ZoneInfo("Asia/Shanghai")
WEEK = ["周一至周五 9:00-12:00, 13:00-18:00", "Sat 10:00-16:00", "休 2026-10-01 - 2026-10-07"]


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=SHOP)


@pytest.mark.parametrize(
    ("moment", "there", "again"),
    [
        ("2026-11-24 09:00", True, "2026-11-24 13:00"),
        ("2026-11-24 12:00", False, "2026-11-24 13:00"),
        ("2026-11-24 18:00", False, "2026-11-25 09:00"),
        ("2026-11-28 15:59", True, "2026-11-30 09:00"),
        ("2026-11-29 12:00", False, "2026-11-30 09:00"),
        ("2026-10-01 10:00", False, "2026-10-08 09:00"),
    ],
)
def test_a_week_with_a_holiday(moment, there, again):
    hours = read_hours(WEEK)
    assert hours.covers(at(moment)) is there
    assert hours.next_opening(at(moment)) == at(again)


@pytest.mark.parametrize(
    ("line", "days"),
    [
        ("每天 9:00-18:00", "0123456"),
        ("9:00-18:00", "0123456"),
        ("周六、周日 9:00-18:00", "56"),
        ("星期五到周一 9:00—18:00", "0456"),
        ("一至五：９：００－１８：００", "01234"),
        ("Mon-Fri 9:00 to 18:00", "01234"),
        ("Monday, Wednesday and Friday 9:00-18:00", "024"),
        ("daily 9:00-18:00", "0123456"),
    ],
)
def test_days_as_people_write_them(line, days):
    (window,) = read_hours([line]).windows
    assert "".join(map(str, sorted(window.days))) == days
    assert (window.start.hour, window.end.hour) == (9, 18)


def test_a_night_belongs_to_the_day_on_which_it_begins():
    hours = read_hours(["周五 20:00-2:00"])
    assert hours.covers(at("2026-11-28 01:59"))
    assert not hours.covers(at("2026-11-29 01:00"))


@pytest.mark.parametrize(
    "line",
    [
        "随时",
        "9:00",
        "周八 9:00-18:00",
        "周一 25:00-26:00",
        "休 明天",
        "休 2026-13-01",
        "周一 9:00-18:00 左右",
        "x 9:00-18:00",
    ],
)
def test_what_cannot_be_read_is_named_by_its_line(line):
    with pytest.raises(BadHours) as refused:
        read_hours(["周一 9:00-18:00", line])
    assert refused.value.line == 2


def test_nothing_written_says_nothing():
    assert read_hours([]) is None
    assert read_hours(["", "休 2026-10-01"]) is None


def test_hours_that_never_come_have_no_next_opening():
    assert read_hours(["周一 9:00-18:00", "休 2026-11-24 - 2027-11-01"]).next_opening(at("2026-11-24 09:00")) is None
