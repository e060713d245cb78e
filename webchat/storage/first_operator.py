"""How the first operator comes to be: through a link that works once, or from a setting on unattended deploys."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING

from webchat.accounts import hash_password
from webchat.config import ConfigurationError
from webchat.storage import audit, operators, settings
from webchat.storage.database import Conflict

if TYPE_CHECKING:
    from webchat.storage.database import Database, Session
    from webchat.storage.tables import Operator

_TOKEN = "admin_setup"  # noqa: S105 - the name of a setting, which holds the token's hash
_DEPLOYED_NAME = "admin"


def issue_setup_token(database: Database) -> str | None:
    """Make the token of a new set-up link, which ends the link before; None when there is an operator."""
    token = secrets.token_urlsafe(32)
    with database.read() as rows:  # so that a read-only database that has an operator can be served
        if operators.any_exist(rows):
            return None
    with database.write() as rows:
        if operators.any_exist(rows):
            return None
        settings.put(rows, _TOKEN, _digest(token))
    return token


def ensure_admin_password(database: Database, password: str) -> None:
    """Add the operator ``admin`` with this password unless there is one, whose password then stays.

    Raises:
        ConfigurationError: the password is too short or too long.
    """
    with database.read() as rows:
        if operators.by_name(rows, _DEPLOYED_NAME):
            return
    try:
        password_hash = hash_password(password)
    except ValueError as error:
        raise ConfigurationError(f"WEBCHAT_ADMIN_PASSWORD cannot be used. {error}") from None
    with suppress(Conflict), database.write() as rows:  # a conflict: another process was faster
        _add(rows, _DEPLOYED_NAME, password_hash)


def is_valid(rows: Session, token: str) -> bool:
    """Whether the token is that of the last link and nobody has become an operator since."""
    issued = settings.get(rows, _TOKEN)
    return isinstance(issued, str) and hmac.compare_digest(issued, _digest(token)) and not operators.any_exist(rows)


def add_with_token(rows: Session, token: str, name: str, password_hash: str) -> Operator | None:
    """Spend the token and add the first operator; None for all but one of those who try at once."""
    if not is_valid(rows, token) or not settings.remove(rows, _TOKEN):
        return None
    return _add(rows, name, password_hash)


def _add(rows: Session, name: str, password_hash: str) -> Operator:
    operator = operators.add(rows, name, password_hash)
    audit.record(rows, name, "operator.add", name)
    return operator


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
