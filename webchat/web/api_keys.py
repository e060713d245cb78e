"""Who may use ``/v1``: programs that show an API key."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from flask import g, request

from webchat.storage import api_keys
from webchat.storage.database import StorageUnavailable
from webchat.web.problems import Problem
from webchat.web.services import services

if TYPE_CHECKING:
    from webchat.storage.tables import ApiKey

log = structlog.get_logger(__name__)

_MISSING = "Send an API key in the header `Authorization: Bearer …`; `webchat key add NAME` makes one."
_WRONG = "This API key is wrong, or was revoked."


def require_key() -> None:
    """Let holders of a key pass, and leave its row in ``g.api_key``. Runs before every view of ``/v1``.

    Raises:
        Problem: 401.
    """
    scheme, _, shown = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not shown.strip():
        raise Problem(401, _MISSING)
    with services().database.read() as rows:
        key = api_keys.in_force(rows, shown.strip())
    if key is None:
        raise Problem(401, _WRONG)
    if api_keys.use_is_worth_noting(key):
        _note_use(key)
    g.api_key = key


def _note_use(key: ApiKey) -> None:
    try:
        with services().database.write() as rows:
            api_keys.note_use(rows, key.id)
    except StorageUnavailable as error:  # answers of the model need no database that can be written
        log.warning("use of an API key not noted", problem=str(error))
