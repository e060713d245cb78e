"""Backends under a test's control: one in pure Python whose answers are scripted, and llama.cpp with a record.

Both can be held inside a step, so that a test decides what happens while the engine computes.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from webchat.engine.llama import LlamaBackend

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from webchat.engine.backend import Part
    from webchat.engine.generation import Sampling

IM_START, IM_END = 256, 257
_SPECIALS = {"<|im_start|>": IM_START, "<|im_end|>": IM_END}
DEADLINE = 20.0


class Gate:
    """Counts steps and holds them: a step begins only when the test has allowed it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._allowed: float = float("inf")
        self.begun = 0

    def enter(self) -> None:
        """Begin a step (engine's thread)."""
        with self._changed:
            self.begun += 1
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: self.begun <= self._allowed, DEADLINE), "the test forgot this step"

    def hold(self) -> None:
        """Hold the next step."""
        with self._changed:
            self._allowed = self.begun

    def allow(self, steps: float = 1) -> None:
        """Let so many more steps finish, the held one included."""
        with self._changed:
            self._allowed += steps
            self._changed.notify_all()

    def open(self) -> None:
        """Hold no step any more."""
        self.allow(float("inf"))

    def wait_until_held(self) -> None:
        """Wait until the engine stands inside a step."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.begun > self._allowed, DEADLINE), "the engine began no step"


@dataclass
class _Sequence:
    """What a KV cache would hold, and what is left of the scripted answer."""

    tokens: list[int] = field(default_factory=list)
    answer: deque[int] | None = None


class ByteBackend:
    """Bytes as tokens. ``reply`` makes the answer's bytes of the prompt's; the default writes it in capitals.

    It keeps the tokens of each sequence as a KV cache would and checks that every step continues them.
    """

    def __init__(
        self,
        reply: Callable[[bytes], bytes] = bytes.upper,
        *,
        sequences: int = 8,
        cells: int = 4096,
        max_batch: int = 512,
    ) -> None:
        self.sequences, self.cells, self.max_batch = sequences, cells, max_batch
        self.identity = "bytes"
        self.reply = reply
        self.gate = Gate()
        self.batches: list[list[Part]] = []
        self.error: Exception | None = None  # raised by the next step
        self.closed = False
        self._kept = [_Sequence() for _ in range(sequences)]

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        return [_SPECIALS[text]] if special and text in _SPECIALS else list(text.encode())

    def piece(self, token: int) -> bytes:
        return bytes([token]) if token < IM_START else b""

    def is_end(self, token: int) -> bool:
        return token == IM_END

    def begin(self, sequence: int, sampling: Sampling) -> None:
        self._kept[sequence].answer = None

    def decode(self, batch: Sequence[Part]) -> list[list[int]]:
        self.gate.enter()
        if self.error:
            raise self.error
        assert sum(len(tokens) for _, _, tokens, _ in batch) <= self.max_batch
        self.batches.append(list(batch))
        return [chosen for part in batch if (chosen := self._compute(*part))]

    def truncate(self, sequence: int, length: int) -> None:
        del self._kept[sequence].tokens[length:]

    def copy(self, source: int, target: int, length: int) -> None:
        assert len(self._kept[source].tokens) >= length, "the source was emptied before it was copied"
        self._kept[target].tokens = self._kept[source].tokens[:length]

    def save(self, sequence: int, start: int = 0, end: int = -1) -> bytearray:
        tokens = self._kept[sequence].tokens
        return bytearray(json.dumps([start, *(tokens[start:] if end < 0 else tokens[start:end])]).encode())

    def load(self, sequence: int, state: bytearray) -> None:
        start, *tokens = json.loads(state)
        assert len(self._kept[sequence].tokens) == start, "what was before it is missing"
        self._kept[sequence].tokens += tokens

    def close(self) -> None:
        self.closed = True

    def prompts(self) -> list[bytes]:
        """What lies in each sequence, template tokens left out."""
        return [bytes(token for token in kept.tokens if token < IM_START) for kept in self._kept]

    def _compute(self, sequence: int, start: int, tokens: list[int], choose: int) -> list[int]:
        kept = self._kept[sequence]
        assert start == len(kept.tokens), f"sequence {sequence} goes on at {start} but holds {len(kept.tokens)} tokens"
        kept.tokens += tokens
        if not choose:
            return []
        if kept.answer is None:
            prompt = bytes(token for token in kept.tokens if token < IM_START)
            kept.answer = deque([*self.reply(prompt), IM_END])
        chosen: list[int] = []
        for guess in (*tokens[len(tokens) - choose + 1 :], None):
            chosen.append(kept.answer.popleft())
            if chosen[-1] != guess:
                break
        return chosen


class RecordedLlama(LlamaBackend):
    """llama.cpp, with a record of every step and of the tokens chosen for each generation, in order of admission."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.gate = Gate()
        self.batches: list[list[Part]] = []
        self.answers: list[list[int]] = []
        self._writing: dict[int, list[int]] = {}

    def begin(self, sequence: int, sampling: Sampling) -> None:
        super().begin(sequence, sampling)
        self._writing[sequence] = []
        self.answers.append(self._writing[sequence])

    def decode(self, batch: Sequence[Part]) -> list[list[int]]:
        self.gate.enter()
        chosen = super().decode(batch)
        self.batches.append(list(batch))
        for sequence, tokens in zip((part[0] for part in batch if part[3]), chosen, strict=True):
            self._writing[sequence] += tokens
        return chosen
