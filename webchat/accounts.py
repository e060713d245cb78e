"""Operators' accounts: which names and passwords are accepted, and the passwords' Argon2 hashes."""

from __future__ import annotations

import threading
import unicodedata
from functools import cache

from pwdlib.hashers.argon2 import Argon2Hasher

MAX_NAME_CHARS = 40
MIN_CHARS = 10
MAX_CHARS = 200  # everyone may send a sign-in form, and Argon2 reads the whole password

# OWASP's smallest recommendation: 19 MiB for about 60 ms. One at a time, so that many sign-ins at once
# cannot take the memory that the model lives in.
_hasher = Argon2Hasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_one_at_a_time = threading.Lock()


def operator_name(text: str) -> str:
    """The spelling under which a name is stored and looked up.

    Raises:
        ValueError: it is empty, too long, or has characters that cannot be shown.
    """
    name = _one_spelling(text[:MAX_CHARS]).strip()
    if not name or len(name) > MAX_NAME_CHARS or any(unicodedata.category(char) == "Cc" for char in name):
        raise ValueError(f"A name must have 1 to {MAX_NAME_CHARS} ordinary characters.")
    return name


def long_enough(password: str) -> bool:
    """Whether a new password has an acceptable length."""
    return MIN_CHARS <= len(password) <= MAX_CHARS


def hash_password(password: str) -> str:
    """The hash to store.

    Raises:
        ValueError: the password is too short or too long.
    """
    if not long_enough(password):
        raise ValueError(f"A password must have {MIN_CHARS} to {MAX_CHARS} characters.")
    return _hash(password)


def verify_password(password: str, password_hash: str | None) -> bool:
    """Whether the password is right. Without a hash (nobody has that name) it takes as long to say no."""
    if len(password) > MAX_CHARS:
        return False
    nobodys = _nobodys_hash()
    with _one_at_a_time:
        matches = _hasher.verify(_one_spelling(password), password_hash or nobodys)
    return matches and password_hash is not None


def _hash(password: str) -> str:
    with _one_at_a_time:
        return _hasher.hash(_one_spelling(password))


def _one_spelling(password: str) -> str:
    """Keyboards write the same letter with different code points."""
    return unicodedata.normalize("NFKC", password)


@cache
def _nobodys_hash() -> str:
    return _hash("compared with when a name is unknown")
