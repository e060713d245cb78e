"""A circuit breaker, without clock or network: who has failed often enough is left alone for a while.

The pattern is Michael Nygard's (Release It!, 2007): closed, open, and half open when a look has found the other
side there again but it has not yet done its work.
"""

from __future__ import annotations

_LIMIT = 3  # failures in a row
_SHORTEST, _LONGEST = 1.0, 10.0  # seconds


class Breaker:
    """Counts failures in a row. Not thread-safe.

    Attributes:
        open: nothing should be asked now.
        pause: seconds to wait before the next look while it is open; doubles with each that finds nobody.
    """

    def __init__(self) -> None:
        self.open = False
        self.pause = 0.0
        self._failures = 0

    def worked(self) -> None:
        """What was asked has been done: all is forgotten."""
        self.open, self.pause, self._failures = False, 0.0, 0

    def failed(self) -> None:
        """What was asked has failed; after three in a row, or one since a look, nothing more is asked."""
        self._failures += 1
        if self._failures >= _LIMIT and not self.open:
            self.trip()

    def trip(self) -> None:
        """Open at once, or stay open and wait longer: a look has found nobody, or asking more is of no use."""
        self.open = True
        self.pause = min(max(_SHORTEST, 2 * self.pause), _LONGEST)

    def found(self) -> None:
        """A look has found the other side there: it may be asked, but its first failure opens again."""
        if self.open:
            self.open = False
            self._failures = _LIMIT - 1
