"""Words that no answer may contain, found however they are cased, spaced or split over pieces of text."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# What a word may be broken with and still be read: spaces, what nobody sees, and Markdown's signs.
_UNSEEN = re.compile(r"[\s\u00ad\u200b-\u200f\u2060\ufeff*_~`·-]")


class BannedWords:
    """The operators' words, ready to be looked for. Looking costs about the same for one word as for a hundred."""

    def __init__(self, words: Sequence[str]) -> None:
        squeezed = sorted({"".join(_letters(word)) for word in words} - {""}, key=len, reverse=True)
        self._any = re.compile("|".join(map(_pattern, squeezed))) if squeezed else None
        self._beginnings = {word[:end] for word in squeezed for end in range(1, len(word) + 1)}
        self._longest = len(squeezed[0]) if squeezed else 0

    def found_in(self, text: str) -> bool:
        """Whether one of them stands in a text; of Latin letters only as a whole word."""
        return self._any is not None and self._any.search(_folded(text)) is not None

    def begun_at(self, text: str) -> int:
        """Where an ending of the text begins that may become one of them, or is one; its length when none does."""
        begun, ending = len(text), ""
        for place in range(len(text) - 1, -1, -1):
            if _UNSEEN.match(text[place]):
                continue
            ending = _folded(text[place]) + ending
            if len(ending) > self._longest:
                break
            if ending in self._beginnings:
                begun = place
        return begun


def _pattern(word: str) -> str:
    between = f"{_UNSEEN.pattern}{{0,4}}"
    spelled = between.join(re.escape(letter) for letter in word)
    before = r"(?<![a-z0-9])" if word[0].isascii() and word[0].isalnum() else ""
    behind = r"(?![a-z0-9])" if word[-1].isascii() and word[-1].isalnum() else ""
    return f"{before}{spelled}{behind}"


def _letters(text: str) -> list[str]:
    return [letter for letter in _folded(text) if not _UNSEEN.match(letter)]


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()
