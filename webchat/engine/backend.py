"""What the worker needs of a model. ``llama.py`` implements it; so may a test, in a page of Python."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

    from webchat.engine.generation import Sampling


# Of a step: sequence, position of the first token, tokens, and behind how many of them, the last ones, the next token
# is to be chosen.
Part: TypeAlias = tuple[int, int, list[int], int]


class Tokenizer(Protocol):
    """The part of a backend that any thread may use."""

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        """Token ids of a text; only with ``special`` may the text itself name template tokens."""
        ...


class Backend(Tokenizer, Protocol):
    """What the worker needs of a model: a tokenizer, a KV cache of sequences, and one step of decoding.

    Attributes:
        cells: tokens the KV cache holds in all.
        sequences: token sequences it tells apart.
        max_batch: tokens one step may compute.
        identity: what saved states depend on: the weights, and how their states are laid out.
    """

    cells: int
    sequences: int
    max_batch: int
    identity: str

    def piece(self, token: int) -> bytes:
        """The bytes a token stands for; template tokens stand for none."""
        ...

    def is_end(self, token: int) -> bool:
        """Whether this token ends an answer."""
        ...

    def begin(self, sequence: int, sampling: Sampling) -> None:
        """Set up how tokens of this sequence are chosen."""
        ...

    def decode(self, batch: Sequence[Part]) -> list[list[int]]:
        """Compute one step.

        Returns:
            The chosen tokens of each part that asked for some, in order. Where more than one was asked for they end
            with the first that is not the part's own next token: what stands behind that was guessed wrongly.
        """
        ...

    def truncate(self, sequence: int, length: int) -> None:
        """Keep the first ``length`` tokens of a sequence."""
        ...

    def copy(self, source: int, target: int, length: int) -> None:
        """Let ``target`` share the first ``length`` tokens of ``source``."""
        ...

    def save(self, sequence: int, start: int = 0, end: int = -1) -> bytearray:
        """The keys and values of a sequence's tokens from ``start`` on, to be loaded by a backend of the same identity.

        Args:
            sequence: which.
            start: the first of these tokens.
            end: the one behind the last; -1 saves all.
        """
        ...

    def load(self, sequence: int, state: bytearray) -> None:
        """Put what was saved behind the tokens that a sequence holds: those before ``start``."""
        ...

    def close(self) -> None:
        """Free the model."""
        ...
