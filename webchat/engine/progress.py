"""What the person waiting at the terminal sees: a line per step, and how far a long step is.

All of it goes to stderr; stdout belongs to results.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

    from rich.progress import Progress

# A step that is over sooner needs no progress, and no log wants lines more often.
_QUIET_SECONDS = 2.0


def say(line: str) -> None:
    """Write one line to stderr."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def megabytes(size: int) -> str:
    """Show a number of bytes the way people read it, as in ``491.4 MB``."""
    return f"{size / 1e6:,.1f} MB"


class Meter:
    """Shows how much of a step is done: a bar on a terminal, else a line for each tenth."""

    def __init__(self, label: str, total: int, unit: str = "") -> None:
        """Begin a step of ``total`` bytes, or of another unit."""
        self._label = label
        self._total = max(total, 1)
        self._whole = f"{total:,} {unit}" if unit else megabytes(total)
        self._bar = _bar(unit) if sys.stderr.isatty() else None
        self._tenths = 0
        self._last_line = time.monotonic()

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.add_task(self._label, total=self._total)
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    def update(self, done: int) -> None:
        """Show that ``done`` of the total are there; it may fall when a step begins again."""
        if self._bar:
            self._bar.update(self._bar.task_ids[0], completed=done)
        else:
            self._write_tenth(done)

    def _write_tenth(self, done: int) -> None:
        tenths = done * 10 // self._total
        now = time.monotonic()
        if tenths != self._tenths and now - self._last_line >= _QUIET_SECONDS:
            say(f"{self._label}: {tenths * 10} % of {self._whole}")
            self._tenths, self._last_line = tenths, now


def _bar(unit: str) -> Progress:
    # For a terminal with a long step; whoever only wants a size in words does not wait for it.
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    amounts = (MofNCompleteColumn(), TextColumn(unit)) if unit else (DownloadColumn(), TransferSpeedColumn())
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        *amounts,
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
