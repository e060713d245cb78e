"""Parked states: what the cache held for conversations that wait for their next turn, kept in host memory.

Reading a prompt of 1,000 tokens takes seconds, putting its keys and values back a millisecond. States are found
by content: whoever comes with a prompt that begins with the same tokens gets them, whatever the tokens are.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from webchat.engine.slots import common_prefix

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_BLOCK = 32  # tokens; a state is found by the deepest whole block that it shares with a prompt


@dataclass(frozen=True, eq=False, slots=True)
class Parked:
    """The state of a sequence, with the tokens it was computed from.

    Of those that ``head`` holds the state is there: many conversations begin with the same system text, and it would
    take half the room.
    """

    tokens: tuple[int, ...]
    state: bytearray
    head: Parked | None = None

    @property
    def start(self) -> int:
        """How many tokens come before the first one in ``state``."""
        return len(self.head.tokens) if self.head else 0


class ParkingLot:
    """States of at most ``limit`` bytes together; the longest unused leave first. For one thread."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.size = 0
        self._kept: OrderedDict[Parked, None] = OrderedDict()  # the longest unused first
        self._heads: dict[tuple[int, ...], Parked] = {}
        self._by_block: dict[int, Parked] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def put(self, tokens: Sequence[int], state: bytearray, head: Parked | None = None) -> None:
        """Keep a state; one that it continues makes room for it."""
        parked = Parked(tuple(tokens), state, head)
        if len(state) > self.limit:
            return
        while (before := self._deepest(parked.tokens)) and self._continues(parked, before):
            self._remove(before)
        self._keep(parked)

    def head(self, tokens: Sequence[int], state: Callable[[], bytearray]) -> Parked | None:
        """The state of what many conversations begin with, kept now if it is not; None when it is too short or long.

        Args:
            tokens: what they begin with.
            state: makes the state, a copy of megabytes; called when it may be kept.
        """
        wanted = tuple(tokens)
        if parked := self._heads.get(wanted):
            return parked
        if len(wanted) < _BLOCK:
            return None
        parked = Parked(wanted, state())
        if len(parked.state) > self.limit:
            return None
        self._heads[wanted] = parked
        self._keep(parked)
        return parked

    def find(self, prompt: Sequence[int]) -> tuple[Parked, int] | None:
        """The state that shares most with the beginning of a prompt, to the block, and how many tokens it shares."""
        tokens = tuple(prompt)
        found = self._deepest(tokens)
        if found is None:
            return None
        self._touch(found)
        return found, common_prefix(found.tokens, tokens)

    def _deepest(self, tokens: tuple[int, ...]) -> Parked | None:
        found = None
        for block in _blocks(tokens):
            if (parked := self._by_block.get(block)) is None:
                break
            found = parked
        return found

    def _continues(self, parked: Parked, before: Parked) -> bool:
        known = before.tokens == parked.tokens[: len(before.tokens)]
        return known and self._heads.get(before.tokens) is not before

    def _keep(self, parked: Parked) -> None:
        self._kept[parked] = None
        self._touch(parked)
        self.size += len(parked.state)
        while self.size > self.limit:
            self._remove(next(iter(self._kept)))

    def _touch(self, parked: Parked) -> None:
        """Note a use. What it begins with counts as used after it, and so never leaves before it.

        Blocks that several states share belong to the latest, and are there as long as any of them.
        """
        for used in filter(None, (parked, parked.head)):
            self._kept.move_to_end(used)
            self._by_block.update(dict.fromkeys(self._own_blocks(used), used))

    def _remove(self, parked: Parked) -> None:
        del self._kept[parked]
        if self._heads.get(parked.tokens) is parked:
            del self._heads[parked.tokens]
        self.size -= len(parked.state)
        for block in self._own_blocks(parked):
            if self._by_block.get(block) is parked:
                del self._by_block[block]

    def _own_blocks(self, parked: Parked) -> Iterator[int]:
        return islice(_blocks(parked.tokens), parked.start // _BLOCK, None)


def _blocks(tokens: tuple[int, ...]) -> Iterator[int]:
    """A hash for every whole block, of it and all before it (as in vLLM's prefix caching)."""
    chained = 0
    for at in range(_BLOCK, len(tokens) + 1, _BLOCK):
        chained = hash((chained, tokens[at - _BLOCK : at]))
        yield chained
