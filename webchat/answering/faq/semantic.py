"""How alike two questions are in meaning: products of their vectors, freed of what all of the FAQ's have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

# Numbers kept of an encoder's vector. What is left out does not tell the FAQ's own questions apart (docs/answers.md).
_KEPT = 256


class Space:
    """Where questions of one FAQ are compared, each encoder's vectors by themselves.

    Sentence encoders put all questions about one shop into one corner; without the mean of the FAQ's own vectors the
    angles between them tell more. Of a large FAQ only the directions in which its questions differ are kept
    (principal components), which saves most of the memory and time.

    Args:
        vectors: float32, a row for each phrasing.
        parts: how many numbers each encoder made.
    """

    def __init__(self, vectors: np.ndarray, parts: Sequence[int]) -> None:
        self._ends = np.cumsum(parts)[:-1]
        self._mean = vectors.mean(axis=0) if len(vectors) > 1 else np.zeros(sum(parts), np.float32)
        self._directions = [_directions(part) for part in self._centred(vectors)]

    @property
    def is_reduced(self) -> bool:
        """Whether the numbers of a placed vector come by how much they tell, those that tell most first."""
        return all(directions is not None for directions in self._directions)

    def place(self, vectors: np.ndarray) -> list[np.ndarray]:
        """Vectors as they are compared, a matrix for each encoder: products of rows are cosines."""
        centred = self._centred(vectors)
        return [part if kept is None else part @ kept for part, kept in zip(centred, self._directions, strict=True)]

    def _centred(self, vectors: np.ndarray) -> list[np.ndarray]:
        parts = np.split(vectors - self._mean, self._ends, axis=-1)
        return [part / np.maximum(np.linalg.norm(part, axis=-1, keepdims=True), 1e-6) for part in parts]


def _directions(centred: np.ndarray) -> np.ndarray | None:
    rows, numbers = centred.shape
    if rows <= numbers or numbers <= _KEPT:
        return None
    _, directions = np.linalg.eigh(centred.T @ centred)  # by rising variance
    return np.ascontiguousarray(directions[:, : -_KEPT - 1 : -1], np.float32)
