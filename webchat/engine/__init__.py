"""TOKENS: runs the model. Knows nothing of Flask, SQL or customers.

A process holds one model: two would not fit a small machine, and each would take the other's cores.
``install`` fills the place at start-up.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from webchat.engine.interface import Engine

_lock = threading.Lock()
_engine: Engine | None = None


def install(engine: Engine) -> None:
    """Start an engine as this process's only one; it may be installed already.

    Raises:
        RuntimeError: there is one already; ``remove`` it first.
    """
    global _engine  # noqa: PLW0603 - the one module-level model, by design
    with _lock:
        if _engine is engine:
            return
        if _engine is not None:
            raise RuntimeError("this process already runs a model")
        _engine = engine
    engine.start()


def remove() -> None:
    """Close the installed engine, if any, and free its model."""
    global _engine
    with _lock:
        engine, _engine = _engine, None
    if engine is not None:
        engine.close()
