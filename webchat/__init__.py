"""webchat: customer-service chat a small shop runs by itself. ``webchat.app.create_app`` is the map of the system."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

# Before numpy is loaded: its matrix products would share the cores with a thread for each of them, which wait for each
# other; while the model has the cores, a sentence then takes 200 ms instead of 2.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("PYPINYIN_NO_PHRASES", "true")  # of ours, see webchat.answering.faq.spelling
# Before llama.cpp loads OpenMP: how often its threads look for each other before they sleep, hundreds of times a token.
# On two quiet cores sleeping at once costs a sixth of the speed; with one core taken by something else, spinning for
# long keeps the very thread that is waited for from running (4 tokens/s instead of 20). Some microseconds serve both.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "500")

if TYPE_CHECKING:
    from webchat.app import close_app, create_app

__all__ = ["close_app", "create_app"]


def __getattr__(name: str) -> Any:
    """Load the application when it is asked for: gunicorn's first process and most commands never need it."""
    if name in __all__:
        from webchat import app  # noqa: PLC0415 - see above

        return getattr(app, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
