"""Which way a question leans by its meaning: towards sentences about a shop, or towards all the others."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Protocol

import numpy as np

from webchat.answering.normalise import nfkc
from webchat.config import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Sequence

_FILE = CHECKOUT / "webchat" / "answering" / "prototypes.toml"
_NEAREST = 3  # one alone may be near by a single word


class Encoding(Protocol):
    """What is used of an encoder."""

    @property
    def parts(self) -> tuple[int, ...]:
        """How many numbers of a vector each of its encoders made."""
        ...

    def encode(self, texts: Sequence[str], *, urgent: bool = True) -> np.ndarray:
        """The texts' vectors, a row for each."""
        ...


class Prototypes:
    """The sentences of ``prototypes.toml`` as one encoder sees them: seconds to make, one encoding to ask."""

    def __init__(self, encoder: Encoding) -> None:
        self._encoder = encoder
        sentences = read_prototypes()
        self._of_shop = len(sentences["shop"])
        vectors = encoder.encode([*sentences["shop"], *sentences["general"]], urgent=False)
        # What all sentences have in common says nothing.
        self._centre = vectors.mean(axis=0)
        self._vectors = self._unit(vectors)

    def leaning(self, question: str) -> float:
        """From -1, like nothing about a shop, to 1; most lie within 0.3 of 0."""
        likeness = self._vectors @ self._unit(self._encoder.encode([nfkc(question)]))[0]
        return _nearest(likeness[: self._of_shop]) - _nearest(likeness[self._of_shop :])

    def _unit(self, vectors: np.ndarray) -> np.ndarray:
        """Centred; each encoder's part as long as the others'."""
        ends = np.cumsum(self._encoder.parts)[:-1]
        parts = np.split(vectors - self._centre, ends, axis=1)
        lengths = [np.maximum(np.linalg.norm(part, axis=1, keepdims=True), 1e-9) for part in parts]
        units: np.ndarray = np.concatenate([part / length for part, length in zip(parts, lengths, strict=True)], axis=1)
        units /= np.sqrt(len(parts))
        return units


def read_prototypes() -> dict[str, list[str]]:
    """The sentences by kind."""
    return tomllib.loads(_FILE.read_text(encoding="utf-8"))


def _nearest(likeness: np.ndarray) -> float:
    return float(np.sort(likeness)[-_NEAREST:].mean())
