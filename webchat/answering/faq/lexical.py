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
        return (1 + math.log(count)) * self._weights.get(piece, self._unknown)

    def unit(self, pieces: Counter[str]) -> dict[str, float]:
        """A text's pieces with their weights, as a vector of length 1."""
        weights = {piece: self.weight(piece, count) for piece, count in pieces.items()}
        length = max(math.sqrt(sum(weight * weight for weight in weights.values())), 1e-9)
        return {piece: weight / length for piece, weight in weights.items()}


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
            posted += [(ids.setdefault(piece, len(ids)), row, weight) for piece, weight in rarity.unit(pieces).items()]
        self._ids = ids
        self._starts, self._rows, self._weights = _by_piece(posted, len(ids))

    def scores(self, query: Counter[str]) -> np.ndarray:
        """The cosine with every text; pieces that no text has make it smaller, as they should."""
        shared = [
            (slice(self._starts[at], self._starts[at + 1]), weight)
            for piece, weight in self._rarity.unit(query).items()
            if (at := self._ids.get(piece)) is not None
        ]
        if not shared:
            return np.zeros(self._size, np.float32)
        rows = np.concatenate([self._rows[span] for span, _ in shared])
        products = np.concatenate([self._weights[span] * weight for span, weight in shared])
        return np.bincount(rows, products, self._size).astype(np.float32)


def _by_piece(posted: Iterable[tuple[int, int, float]], pieces: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows and weights in three flat arrays, those of one piece side by side: small, however many pieces there are."""
    table = np.array(list(posted), dtype=[("piece", np.int32), ("row", np.int32), ("weight", np.float32)])
    table = table[np.argsort(table["piece"], kind="stable")]
    starts = np.searchsorted(table["piece"], np.arange(pieces + 1))
    return starts, np.ascontiguousarray(table["row"]), np.ascontiguousarray(table["weight"])
