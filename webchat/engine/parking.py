"""Parked states: what the cache held for conversations that wait for their next turn, kept in host memory.

Reading a prompt of 1,000 tokens takes seconds, putting its keys and values back a millisecond. States are found
by content: whoever comes with a prompt that begins with the same tokens gets them, whatever the tokens are.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from webchat.engine.slots import common_prefix

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_BLOCK = 32  # tokens; a state is found by the deepest whole block that it shares with a prompt


@dataclass(frozen=True, eq=False, slots=True)
class Parked:
    """The state of a sequence, with the tokens it was computed from."""

    tokens: tuple[int, ...]
    state: bytearray


class ParkingLot:
    """States of at most ``limit`` bytes together; the longest unused leave first. For one thread."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.size = 0
        self._kept: OrderedDict[Parked, None] = OrderedDict()  # the longest unused first
        self._by_block: dict[int, Parked] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def put(self, tokens: Sequence[int], state: bytearray) -> None:
        """Keep a state; one that it continues makes room for it."""
        parked = Parked(tuple(tokens), state)
        if len(state) > self.limit:
            return
        while (before := self._deepest(parked.tokens)) and before.tokens == parked.tokens[: len(before.tokens)]:
            self._remove(before)
        self._kept[parked] = None
        self.size += len(state)
        for block in _blocks(parked.tokens):
            self._by_block[block] = parked
        while self.size > self.limit:
            self._remove(next(iter(self._kept)))

    def find(self, prompt: Sequence[int]) -> tuple[Parked, int] | None:
        """The state that shares most with the beginning of a prompt, to the block, and how many tokens it shares."""
        tokens = tuple(prompt)
        found = self._deepest(tokens)
        if found is None:
            return None
        self._kept.move_to_end(found)
        return found, common_prefix(found.tokens, tokens)

    def _deepest(self, tokens: tuple[int, ...]) -> Parked | None:
        found = None
        for block in _blocks(tokens):
            if (parked := self._by_block.get(block)) is None:
                break
            found = parked
        return found

    def _remove(self, parked: Parked) -> None:
        del self._kept[parked]
        self.size -= len(parked.state)
        for block in _blocks(parked.tokens):
            if self._by_block.get(block) is parked:
                del self._by_block[block]


def _blocks(tokens: tuple[int, ...]) -> Iterator[int]:
    """A hash for every whole block, of it and all before it (as in vLLM's prefix caching)."""
    chained = 0
    for at in range(_BLOCK, len(tokens) + 1, _BLOCK):
        chained = hash((chained, tokens[at - _BLOCK : at]))
        yield chained
