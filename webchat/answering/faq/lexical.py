"""How alike two questions are spelt: TF-IDF over small pieces, the cosine by way of an inverted index."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable


class Rarity:
    """How much each piece tells texts apart (Salton and Buckley, 1988): what few of them have says most."""

    def __init__(self, texts: Iterable[Counter[str]]) -> None:
        found: Counter[str] = Counter()
        size = 0
        for size, pieces in enumerate(texts, 1):  # noqa: B007 - counted where they pass by
            found.update(pieces.keys())
        self._weights = {piece: float(np.log1p(size / (1 + count))) for piece, count in found.items()}
        self._unknown = float(np.log1p(max(size, 1)))

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

    def __init__(self, texts: Iterable[Counter[str]], rarity: Rarity) -> None:
        self._rarity = rarity
        self._size = 0
        self._ids: dict[str, int] = {}
        posted = _Posted()
        for row, pieces in enumerate(texts):
            self._size = row + 1
            for piece, weight in rarity.unit(pieces).items():
                posted.add(self._ids.setdefault(piece, len(self._ids)), row, weight)
        self._starts, self._rows, self._weights = posted.by_piece(len(self._ids))

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


class _Posted:
    """Which text has which piece with which weight; a dozen bytes for each, not a hundred as tuples would take."""

    def __init__(self) -> None:
        self._pieces, self._rows, self._weights = array("i"), array("i"), array("f")

    def add(self, piece: int, row: int, weight: float) -> None:
        self._pieces.append(piece)
        self._rows.append(row)
        self._weights.append(weight)

    def by_piece(self, pieces: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Where each piece begins, then rows and weights, those of one piece side by side."""
        numbers = np.frombuffer(self._pieces, np.int32)
        order = np.argsort(numbers, kind="stable")
        starts = np.searchsorted(numbers[order], np.arange(pieces + 1))
        return starts, np.frombuffer(self._rows, np.int32)[order], np.frombuffer(self._weights, np.float32)[order]
