"""A tiny model that a test can hold between two steps, so that an answer surely is in its middle."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from webchat.engine.llama import LlamaBackend
from webchat.engine.worker import LocalEngine

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from webchat.engine.backend import Part

_DEADLINE = 60.0


class HeldModel(LlamaBackend):
    """Computes while it is let go, and waits while it is held."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, sequences=8, cells=16384, threads=1)
        self._go = threading.Event()
        self._go.set()

    def hold(self) -> None:
        """Let the next step wait."""
        self._go.clear()

    def let_go(self) -> None:
        """Go on."""
        self._go.set()

    def decode(self, batch: Sequence[Part]) -> list[list[int]]:
        """Compute one step when it may."""
        assert self._go.wait(_DEADLINE), "held for ever"
        return super().decode(batch)

    def engine(self, *, max_running: int = 4, max_waiting: int = 8) -> LocalEngine:
        """An engine that serves this model."""
        return LocalEngine("tiny", lambda: self, max_running=max_running, max_waiting=max_waiting)
