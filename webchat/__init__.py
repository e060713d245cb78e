"""webchat: customer-service chat a small shop runs by itself. ``webchat.app.create_app`` is the map of the system."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from webchat.app import close_app, create_app

__all__ = ["close_app", "create_app"]


def __getattr__(name: str) -> Any:
    """Load the application when it is asked for: gunicorn's first process and most commands never need it."""
    if name in __all__:
        from webchat import app  # noqa: PLC0415 - see above

        return getattr(app, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
