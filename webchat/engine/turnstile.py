"""Lets one thread through at a time, and those first whom a visitor waits for."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Turnstile:
    """A lock with two queues and an end."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._taken = self._closed = False
        self._urgent = 0  # who wait and go before the others

    @contextmanager
    def turn(self, *, urgent: bool) -> Iterator[bool]:
        """Wait for one's turn and hold it until the block ends.

        Yields:
            Whether it is open: False once it has been closed.
        """
        with self._changed:
            self._urgent += urgent
            self._changed.wait_for(lambda: not self._taken and (urgent or not self._urgent))
            self._urgent -= urgent
            self._taken = True
        try:
            yield not self._closed
        finally:
            with self._changed:
                self._taken = False
                self._changed.notify_all()

    def close(self) -> bool:
        """Close it after the turn that is under way; False when it was closed before."""
        with self.turn(urgent=True) as was_open:
            self._closed = True
            return was_open
