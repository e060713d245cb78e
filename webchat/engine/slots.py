"""Slots: which tokens lie in which sequence of the KV cache, and who may use them.

Pure bookkeeping; the cache carries its placements out. A slot keeps its tokens when its generation ends, as long as no
other needs it, so that whatever comes next with the same beginning computes only what is new.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a prompt goes: ``reused`` tokens are there already, copied from ``source`` when that is another slot."""

    slot: int
    reused: int
    source: int


@dataclass(slots=True)
class _Slot:
    tokens: list[int] = field(default_factory=list)
    reserved: int = 0  # cells promised to the running generation; 0 when idle
    used_at: int = 0  # when it was last released or copied from, in such events

    @property
    def cells(self) -> int:
        return max(self.reserved, len(self.tokens))


class Slots:
    """A fixed number of sequences over a fixed number of cells (one cell holds one token).

    Idle slots hold at most ``idle_cells``: what has ended waits elsewhere for its next turn.
    """

    def __init__(self, count: int, cells: int, *, idle_cells: int) -> None:
        self.cells = cells
        self.idle_cells = idle_cells
        self._slots = [_Slot() for _ in range(count)]
        self._clock = 0

    def tokens(self, slot: int) -> list[int]:
        """The tokens in a slot, for the cache to extend as it is computed."""
        return self._slots[slot].tokens

    def place(self, prompt: tuple[int, ...], reserve: int) -> tuple[Placement, list[int]] | None:
        """Take a slot for a prompt that will grow to ``reserve`` tokens.

        Args:
            prompt: token ids.
            reserve: tokens, the answer's included.

        Returns:
            The placement and the idle slots that had to be emptied for it, or None when the running
            generations leave no room. At least the last token of the prompt is always computed anew,
            because its logits choose the first token of the answer.
        """
        busy = sum(s.reserved for s in self._slots)
        idle = [i for i, s in enumerate(self._slots) if not s.reserved]
        if not idle or busy + reserve > self.cells:
            return None
        source, reused = self._longest_prefix(prompt[:-1])
        slot = self._slot_to_use(idle, source, reused)
        evicted = self._make_room(reserve, keep=slot, prefer=source)
        if source is not None:
            self._touch(source)
        self._slots[slot] = _Slot(list(prompt[:reused]), reserve)
        return Placement(slot, reused, slot if source is None else source), evicted

    def known(self, prompt: tuple[int, ...]) -> int:
        """How many tokens of a prompt could be reused from some slot."""
        return self._longest_prefix(prompt[:-1])[1]

    def restored(self, placement: Placement, tokens: tuple[int, ...]) -> Placement:
        """Note that a placement's slot got a longer beginning of its prompt from elsewhere."""
        self._slots[placement.slot].tokens = list(tokens)
        return Placement(placement.slot, len(tokens), placement.slot)

    def release(self, slot: int) -> list[int]:
        """The generation in this slot has ended; its tokens stay until the cells are needed.

        Returns:
            The idle slots, longest unused first, that had to be emptied because all of them hold too much.
        """
        self._touch(slot)
        self._slots[slot].reserved = 0
        emptied = []
        held = sum(len(s.tokens) for s in self._slots if not s.reserved)
        for i in sorted(range(len(self._slots)), key=lambda i: self._slots[i].used_at):
            if held <= self.idle_cells:
                break
            if not self._slots[i].reserved and self._slots[i].tokens:
                held -= len(self._slots[i].tokens)
                self._slots[i].tokens = []
                emptied.append(i)
        return emptied

    def _touch(self, slot: int) -> None:
        self._clock += 1
        self._slots[slot].used_at = self._clock

    def _longest_prefix(self, prompt: tuple[int, ...]) -> tuple[int | None, int]:
        """The slot that shares most with the beginning of a prompt, and how much; None when none shares any.

        Of equals the one that holds least besides, so that what many begin with stays in use by itself.
        """
        shared = [(common_prefix(slot.tokens, prompt), -len(slot.tokens), i) for i, slot in enumerate(self._slots)]
        length, _, best = max(shared, default=(0, 0, 0))
        return (best, length) if length else (None, 0)

    def _slot_to_use(self, idle: list[int], source: int | None, reused: int) -> int:
        """Continue in place when the idle source loses less than half by it; else an empty or the oldest slot."""
        if source in idle and 2 * reused >= len(self._slots[source].tokens):
            return source
        others = [i for i in idle if i != source] or idle
        return min(others, key=lambda i: (bool(self._slots[i].tokens), self._slots[i].used_at))

    def _make_room(self, reserve: int, *, keep: int, prefer: int | None) -> list[int]:
        """Empty idle slots, longest unused first (the prompt's source last), until ``reserve`` cells are free."""
        evicted = []
        others = [i for i, s in enumerate(self._slots) if i != keep and not s.reserved and s.tokens]
        others.sort(key=lambda i: (i == prefer, self._slots[i].used_at))
        held = sum(s.cells for i, s in enumerate(self._slots) if i != keep)
        for i in others:
            if held + reserve <= self.cells:
                break
            held -= self._slots[i].cells
            self._slots[i].tokens = []
            evicted.append(i)
        return evicted


def common_prefix(a: Sequence[int], b: tuple[int, ...]) -> int:
    """Number of equal tokens at the beginning of both."""
    limit = min(len(a), len(b))
    # Slices compare in C: halve towards the first difference instead of walking there in Python.
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        if tuple(a[low:middle]) == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
