"""Hours of the week, on the shop's clock on the wall."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

EVERY_DAY = frozenset(range(7))  # Monday is 0


@dataclass(frozen=True, slots=True)
class Window:
    """From ``start`` until ``end`` on each of ``days``; an end that is not later than the start is on the next day."""

    days: frozenset[int]
    start: time
    end: time

    def covers(self, now: datetime) -> bool:
        """Whether a moment of the wall clock lies in it; the end does not."""
        today, at = now.weekday(), now.time()
        if self.start < self.end:
            return today in self.days and self.start <= at < self.end
        return (today in self.days and at >= self.start) or ((today - 1) % 7 in self.days and at < self.end)


@dataclass(frozen=True, slots=True)
class Schedule:
    """The hours of some windows, or all hours outside them."""

    windows: tuple[Window, ...]
    outside: bool = False

    def covers(self, now: datetime) -> bool:
        """Whether a moment, in the shop's time zone, is meant."""
        return any(window.covers(now) for window in self.windows) is not self.outside

    def pack(self) -> dict[str, Any]:
        """As a row keeps it."""
        windows = [
            {"days": sorted(window.days), "start": f"{window.start:%H:%M}", "end": f"{window.end:%H:%M}"}
            for window in self.windows
        ]
        return {"outside": self.outside, "windows": windows}

    @classmethod
    def unpack(cls, packed: Mapping[str, Any]) -> Schedule:
        """From a row."""
        windows = (
            Window(frozenset(window["days"]), time.fromisoformat(window["start"]), time.fromisoformat(window["end"]))
            for window in packed["windows"]
        )
        return cls(tuple(windows), packed["outside"])
