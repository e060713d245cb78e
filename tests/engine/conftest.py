"""Engines on the tiny model and on the scripted backend."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from support.backends import DEADLINE

from webchat.engine.worker import LocalEngine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from webchat.engine.backend import Backend

# How long an example takes depends on what else the machine does.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


@pytest.fixture
def serve() -> Iterator[Callable[..., LocalEngine]]:
    """Start an engine on a backend; it is closed after the test."""
    with ExitStack() as engines:

        def start(backend: Backend, *, max_running: int = 4, max_waiting: int = 64, **more) -> LocalEngine:
            engine = LocalEngine("tiny", lambda: backend, max_running=max_running, max_waiting=max_waiting, **more)
            engines.callback(engine.close)
            if hasattr(backend, "gate"):
                engines.callback(backend.gate.open)  # before the engine is closed
            engine.start()
            engine.wait_until_ready(DEADLINE)
            return engine

        yield start
