"""Operators' regular expressions: compiled once, and searched for no longer than they may take.

The standard library's ``re`` cannot be interrupted: one pattern such as ``(a+)+$`` would stop the site for hours.
"""

from __future__ import annotations

import unicodedata
from typing import NewType

import regex

MAX_CHARS = 500
_NESTING = 50  # groups in groups; the compiler goes deeper by calling itself

Compiled = NewType("Compiled", object)


class BadPattern(ValueError):  # noqa: N818 - named as callers say it
    """A pattern cannot be compiled; ``position`` counts characters from 1, where it is known."""

    def __init__(self, reason: str, position: int | None = None) -> None:
        super().__init__(reason)
        self.position = position


class TooSlow(Exception):  # noqa: N818 - a state, named as callers say it
    """A search ran out of time."""


def compile_pattern(pattern: str) -> Compiled:
    """Compile a pattern that ignores case.

    Raises:
        BadPattern: it cannot be compiled.
    """
    if pattern.count("(") > _NESTING:
        raise BadPattern(f"more than {_NESTING} groups")
    try:
        return Compiled(regex.compile(pattern, regex.IGNORECASE | regex.VERSION0, cache_pattern=False))
    except regex.error as error:
        raise BadPattern(error.msg, None if error.pos is None else error.pos + 1) from None
    except (ValueError, OverflowError, RecursionError, MemoryError, KeyError, TypeError) as error:
        raise BadPattern(str(error) or "it is too complicated") from None  # what the compiler did not foresee


def search(pattern: Compiled, text: str, seconds: float) -> str | None:
    """The first piece of ``text`` that a pattern describes, full width folded; None when there is none.

    Args:
        pattern: what was compiled.
        text: as it was typed.
        seconds: of this process's computing.

    Raises:
        TooSlow: the time was not enough.
    """
    try:
        found = pattern.search(unicodedata.normalize("NFKC", text), timeout=seconds)  # type: ignore[attr-defined]  # regex has no types
    except (TimeoutError, MemoryError) as error:
        raise TooSlow from error
    return found and str(found[0])
