"""How alike two questions are spelt: TF-IDF over small pieces, the cosine by way of an inverted index."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Rarity:
    """How much each piece tells texts apart (Salton and Buckley, 1988): what few of them have says most."""

    def __init__(self, texts: Sequence[Counter[str]]) -> None:
        found: Counter[str] = Counter()
        for pieces in texts:
            found.update(pieces.keys())
        self._weights = {piece: float(np.log1p(len(texts) / (1 + count))) for piece, count in found.items()}
        self._unknown = float(np.log1p(max(len(texts), 1)))

    def weight(self, piece: str, count: int = 1) -> float:
        """The weight of a piece that a text has ``count`` times."""
        return float(1 + np.log(count)) * self._weights.get(piece, self._unknown)

    def length(self, pieces: Counter[str]) -> float:
        """The length of a text as a vector of its pieces' weights."""
        return math.sqrt(sum(self.weight(piece, count) ** 2 for piece, count in pieces.items()))


class LexicalIndex:
    """Texts by their pieces; a query touches only what it shares with them.

    Args:
        texts: the pieces of each.
        rarity: what the weights are taken from, of these texts or of those they are added to.
    """

    def __init__(self, texts: Sequence[Counter[str]], rarity: Rarity) -> None:
        self._rarity = rarity
        self._size = len(texts)
        ids: dict[str, int] = {}
        posted: list[tuple[int, int, float]] = []
        for row, pieces in enumerate(texts):
            length = max(rarity.length(pieces), 1e-9)
            posted += [
                (ids.setdefault(piece, len(ids)), row, rarity.weight(piece, count) / length)
                for piece, count in pieces.items()
            ]
        self._ids = ids
        self._starts, self._rows, self._weights = _by_piece(posted, len(ids))

    def scores(self, query: Counter[str]) -> np.ndarray:
        """The cosine with every text; pieces that no text has make it smaller, as they should."""
        scores = np.zeros(self._size, np.float32)
        for piece, count in query.items():
            if (at := self._ids.get(piece)) is not None:
                span = slice(self._starts[at], self._starts[at + 1])
                scores[self._rows[span]] += self._weights[span] * self._rarity.weight(piece, count)
        return scores / max(self._rarity.length(query), 1e-9)


def _by_piece(posted: Iterable[tuple[int, int, float]], pieces: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows and weights in three flat arrays, those of one piece side by side: small, however many pieces there are."""
    table = np.array(list(posted), dtype=[("piece", np.int32), ("row", np.int32), ("weight", np.float32)])
    table = table[np.argsort(table["piece"], kind="stable")]
    starts = np.searchsorted(table["piece"], np.arange(pieces + 1))
    return starts, np.ascontiguousarray(table["row"]), np.ascontiguousarray(table["weight"])
