"""The KV cache as a resource: slots in the model, states parked beside it, beginnings kept over restarts.

Joins the bookkeeping (``slots``, ``parking``) with the backend that holds the keys and values. For the engine's
thread alone.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import structlog

from webchat.engine.parking import ParkingLot
from webchat.engine.slots import Slots

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from webchat.engine.backend import Backend
    from webchat.engine.parking import Parked
    from webchat.engine.slots import Placement

log = structlog.get_logger(__name__)

_WORTH_RESTORING = 16  # tokens that need not be computed; for fewer a slot's own are as good
_WORTH_PARKING = 32
_MOST_BEGINNINGS = 8  # the personas of some shops' names and models that were served


@dataclass(frozen=True, slots=True)
class CacheLimits:
    """How much the cache keeps of what has ended.

    Attributes:
        idle_cells: tokens in idle slots. They are shared without being copied, but every cell in use slows
            every step a little.
        parked_bytes: states in host memory.
        file: where beginnings marked to be kept outlive the process; None keeps none.
    """

    idle_cells: int = 1024
    parked_bytes: int = 0
    file: Path | None = None


class KvCache:
    """Finds each prompt the slot and the computed beginning that save it most."""

    def __init__(self, backend: Backend, limits: CacheLimits) -> None:
        self._backend = backend
        self._limits = limits
        self._slots = Slots(backend.sequences, backend.cells, idle_cells=limits.idle_cells)
        self._parked = ParkingLot(limits.parked_bytes)
        self._beginnings: dict[tuple[int, ...], bytearray] = {}
        self._recall()

    @property
    def parked_bytes(self) -> int:
        """Bytes of host memory that parked states take."""
        return self._parked.size

    def place(self, prompt: tuple[int, ...], reserve: int) -> Placement | None:
        """Give a prompt that will grow to ``reserve`` tokens a slot with as much of it as is known.

        Args:
            prompt: token ids.
            reserve: tokens, the answer's included.

        Returns:
            The placement, carried out; None when the running generations leave no room.
        """
        parked = self._parked.find(prompt[:-1])
        found = self._slots.place(prompt, reserve)
        if found is None:
            return None
        placement, emptied = found
        self._prepare(placement)
        for slot in emptied:
            self._backend.truncate(slot, 0)
        if parked and len(parked[0].tokens) <= reserve and parked[1] >= placement.reused + _WORTH_RESTORING:
            return self._unpark(placement, parked[0], prompt[: parked[1]])
        return placement

    def known(self, prompt: tuple[int, ...]) -> int:
        """How many tokens of a prompt would not have to be computed now."""
        parked = self._parked.find(prompt[:-1])
        return max(self._slots.known(prompt), parked[1] if parked else 0)

    def grow(self, slot: int, tokens: Sequence[int]) -> None:
        """Note that these tokens have been computed."""
        self._slots.tokens(slot).extend(tokens)

    def release(self, slot: int, head: int = 0) -> None:
        """The generation in this slot has ended: its state is parked, its tokens stay as long as idle ones may.

        Args:
            slot: where it ran.
            head: tokens of its prompt's system text, which is parked once for all that begin with it.
        """
        if self._limits.parked_bytes and len(self._slots.tokens(slot)) >= head + _WORTH_PARKING:
            self._park(slot, self._slots.tokens(slot), head)
        self._release(slot)

    def keep(self, slot: int) -> None:
        """Let what this slot has computed outlive the process."""
        tokens = tuple(self._slots.tokens(slot))
        if self._limits.file is None or tokens in self._beginnings:
            return
        while len(self._beginnings) >= _MOST_BEGINNINGS:  # of shops and models that had other names
            del self._beginnings[next(iter(self._beginnings))]
        self._beginnings[tokens] = self._backend.save(slot)
        self._write()

    def _park(self, slot: int, tokens: list[int], head: int) -> None:
        save = partial(self._backend.save, slot)
        beginning = self._parked.head(tokens[:head], partial(save, 0, head)) if head else None
        self._parked.put(tokens, save(len(beginning.tokens) if beginning else 0), beginning)

    def _unpark(self, placement: Placement, parked: Parked, tokens: tuple[int, ...]) -> Placement:
        if parked.head is None:
            return self._restore(placement, tokens, (parked.state,))
        if placement.reused >= parked.start:
            return self._restore(placement, tokens, (parked.state,), behind=parked.start)
        return self._restore(placement, tokens, (parked.head.state, parked.state))

    def _release(self, slot: int) -> None:
        for emptied in self._slots.release(slot):
            self._backend.truncate(emptied, 0)

    def _prepare(self, placement: Placement) -> None:
        slot, reused, source = placement.slot, placement.reused, placement.source
        if source == slot:
            self._backend.truncate(slot, reused)
        else:
            self._backend.truncate(slot, 0)
            self._backend.copy(source, slot, reused)

    def _restore(
        self, placement: Placement, tokens: tuple[int, ...], states: Iterable[bytearray], behind: int = 0
    ) -> Placement:
        """Let a placement's slot hold these tokens: the first ones it has, the others come from saved states.

        Where a state is refused the slot is empty, and all is computed anew.
        """
        self._backend.truncate(placement.slot, behind)
        try:
            for state in states:
                self._backend.load(placement.slot, state)
        except RuntimeError as error:
            log.warning("a saved state is of no use", problem=str(error))
            tokens = ()
        self._backend.truncate(placement.slot, len(tokens))
        return self._slots.restored(placement, tokens)

    # ---- beginnings on disk --------------------------------------------------------------------

    def _write(self) -> None:
        """All beginnings in one file: a line that describes them, then their states."""
        path = self._limits.file
        if path is None:
            return
        states = b"".join(self._beginnings.values())
        head = {
            "model": self._backend.identity,
            "digest": hashlib.sha256(states).hexdigest(),
            "beginnings": [{"tokens": tokens, "bytes": len(state)} for tokens, state in self._beginnings.items()],
        }
        fresh = path.with_suffix(f".{os.getpid()}.new")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            fresh.write_bytes(json.dumps(head).encode() + b"\n" + states)
            fresh.replace(path)
        except OSError as error:
            log.warning("beginnings of prompts not kept", problem=str(error))
            with suppress(OSError):
                fresh.unlink()

    def _recall(self) -> None:
        """Put the kept beginnings into idle slots. What another model wrote, or was damaged, is left alone."""
        path = self._limits.file
        if path is None:
            return
        with suppress(OSError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError):
            line, _, states = path.read_bytes().partition(b"\n")
            head = json.loads(line)
            if head["model"] != self._backend.identity or head["digest"] != hashlib.sha256(states).hexdigest():
                return
            for kept in head["beginnings"]:
                self._adopt(tuple(kept["tokens"]), bytearray(states[: kept["bytes"]]))
                states = states[kept["bytes"] :]

    def _adopt(self, tokens: tuple[int, ...], state: bytearray) -> None:
        """Put a beginning into an idle slot."""
        if (placement := self.place((*tokens, -1), len(tokens))) is None:
            return
        if self._restore(placement, tokens, (state,)).reused:
            self._beginnings[tokens] = state
        self._release(placement.slot)
