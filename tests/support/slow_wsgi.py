"""The application with a model that takes its time, so that a test surely finds an answer in its middle."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from webchat.engine.llama import LlamaBackend
from webchat.web import socket, worker
from wsgi import app

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["app"]

_never = threading.Event()
_decode = LlamaBackend.decode


def _slow_decode(self: LlamaBackend, batch: Sequence[tuple[int, int, list[int], bool]]) -> list[int]:
    _never.wait(float(os.environ.get("SLOW_STEP", "0.02")))  # seconds
    return _decode(self, batch)


LlamaBackend.decode = _slow_decode  # type: ignore[method-assign]
worker._STALLED = socket._STALLED = 1  # seconds: a test has no patience for clients that do not read,
socket._HEARTBEAT = 0.5  # nor for silence
