"""What a step costs on this machine, and what follows from it for the plan.

They are no straight line: with llama.cpp's own kernels two answers computed together may cost more than one after the
other, and four less than three. They are measured once for a model and a processor and kept on disk.
"""

from __future__ import annotations

import bisect
import dataclasses
import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import structlog

from webchat.engine.generation import Sampling
from webchat.engine.lookup import MOST
from webchat.engine.processor import processor

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from webchat.engine.backend import Backend, Part

log = structlog.get_logger(__name__)

_WIDTHS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)  # answers in a step
_READINGS = (4, 8, 16, 32, 64)  # prompt tokens in a step
_MOST_SECONDS = 8.0  # on a machine that is busy, what is measured by then must do; sizes beyond follow in proportion
_REPEATS = 3  # the fastest counts: what disturbs a measurement only ever makes it slower
_WORTH_IT = 1.05  # a narrower step must bring so much more, or its gain is noise
_CONTEXT = 16  # tokens in front of what is measured
_FAR = 256  # tokens in front of a piece whose attention is measured
_LARGEST, _LONGEST = 1 << 16, 60.0  # tokens and seconds of a step; kept results beyond were not measured


@dataclass(frozen=True)
class Costs:
    """Seconds of one step.

    Attributes:
        writing: by the number of rows behind which a token is chosen: answers, and guesses at how they go on.
        reading: by the number of prompt tokens it reads, with nothing in front of them.
        attending: for each pair of a token that is read and one that lies in front of its piece.
    """

    writing: Mapping[int, float]
    reading: Mapping[int, float]
    attending: float = 0.0

    def step(self, answers: int) -> float:
        """Seconds of a step that moves so many answers on."""
        return _between(self._writing, answers)

    def read(self, tokens: int) -> float:
        """Seconds of a step that reads so many prompt tokens."""
        return _between(self._reading, tokens)

    def width(self, answers: int) -> int:
        """How many of so many answers a step should move on for the most tokens per second in all."""
        if not answers:
            return 0
        best = max(range(1, answers + 1), key=lambda width: width / self.step(width))
        gain = best / self.step(best) * self.step(answers) / answers
        return best if gain > _WORTH_IT else answers

    def mixed(self, answers: int, tokens: int, behind: int = 0) -> float:
        """Seconds of a step that reads so many tokens ``behind`` others, and chooses the answers' next ones."""
        attention = self.attention(tokens, behind)
        if not answers or not tokens:
            return attention + (self.step(answers) if answers else self.read(tokens))
        return attention + self.read(answers + tokens) + max(self.step(answers) - self.read(answers), 0.0)

    def attention(self, tokens: int, behind: int) -> float:
        """Seconds by which a step is longer when so many tokens are read ``behind`` others."""
        return self.attending * tokens * behind

    def readable(self, seconds: float, most: int, beside: int, behind: int = 0) -> int:
        """How many prompt tokens, up to ``most``, can be read in a step of ``beside`` answers that takes so long."""
        return bisect.bisect_right(range(1, most + 1), seconds, key=lambda tokens: self.mixed(beside, tokens, behind))

    @cached_property
    def _writing(self) -> list[tuple[int, float]]:
        return sorted(self.writing.items())

    @cached_property
    def _reading(self) -> list[tuple[int, float]]:
        return sorted(self.reading.items())


# For models that have not been measured: a step costs what it computes.
UNMEASURED = Costs({1: 0.001}, {1: 0.001})


def _between(points: list[tuple[int, float]], size: int) -> float:
    """The cost of a size: on the line between its neighbours, beyond the last in proportion to it."""
    at = bisect.bisect_left(points, (size,))
    if at == len(points):
        last, seconds = points[-1]
        return seconds * size / last
    upper, above = points[at]
    if at == 0 or upper == size:
        return above
    lower, below = points[at - 1]
    return below + (above - below) * (size - lower) / (upper - lower)


def recall(backend: Backend, folder: Path, *, threads: int, most: int) -> Costs:
    """The costs as measured before, or measured now and kept.

    Args:
        backend: the loaded model, with nothing in its cache.
        folder: where results are kept; one that cannot be written costs a measurement at each start.
        threads: as many as the backend computes with.
        most: answers that are written at the same time.
    """
    path, key = folder / "costs.json", [backend.identity, processor(), threads, most]
    with suppress(OSError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError):
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept["key"] == key:
            return _costs(kept)
    log.info("measuring this machine; once, some seconds")
    costs = measure(backend, most)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(f".{os.getpid()}.new")
        fresh.write_text(json.dumps({"key": key, **dataclasses.asdict(costs)}), encoding="utf-8")
        fresh.replace(path)
    except OSError as error:
        log.warning("measurement not kept", problem=str(error))
    return costs


def measure(backend: Backend, most: int) -> Costs:
    """Time steps of several sizes, up to ``most`` answers; leaves the cache empty."""
    deadline = time.perf_counter() + _MOST_SECONDS
    tokens = backend.tokenize("measure " * _READINGS[-1])[: _READINGS[-1]]
    reading = _within(
        deadline,
        {
            size: [(0, 0, tokens[:size], 0)]
            for size in _READINGS
            if size <= min(backend.max_batch, backend.cells, len(tokens))
        },
        backend,
    )
    widths = [width for width in _WIDTHS if width <= min(max(most, 1 + MOST), backend.max_batch)]
    backend.truncate(0, 0)
    backend.decode([(0, 0, tokens[:_CONTEXT], 0)])
    backend.begin(0, Sampling(temperature=0, repeat_penalty=1.0))
    # A row costs the same in a sequence of its own or behind another row; choosing the token is hardly anything.
    writing = _within(deadline, {width: [(0, _CONTEXT, tokens[:width], width)] for width in widths}, backend)
    attending = _attention(backend, tokens)
    backend.truncate(0, 0)
    return Costs(writing, _rising(reading), attending)


def _attention(backend: Backend, tokens: list[int]) -> float:
    """Seconds for each pair of a token and one in front of its piece, at least none; leaves the cache filled.

    The same piece is read near the beginning and far from it; on a slow machine not so far.
    """
    piece = tokens[: backend.max_batch]
    pieces = min(_FAR, backend.cells - len(piece)) // len(piece)
    if pieces < 1:
        return 0.0
    backend.truncate(0, 0)
    deadline = time.perf_counter() + _MOST_SECONDS / 2
    near, front = _fastest(backend, [(0, 0, piece, 0)]), len(piece)
    while front < pieces * len(piece) and time.perf_counter() < deadline:
        backend.decode([(0, front, piece, 0)])
        front += len(piece)
    far = _fastest(backend, [(0, front, piece, 0)])
    return max(far - near, 0.0) / (len(piece) * front)


def _within(deadline: float, batches: dict[int, list[Part]], backend: Backend) -> dict[int, float]:
    """Seconds of each batch; after the deadline only of the first."""
    measured: dict[int, float] = {}
    for size, batch in batches.items():
        if measured and time.perf_counter() > deadline:
            log.warning("this machine is busy: costs measured in part", measured=len(measured), of=len(batches))
            break
        measured[size] = _fastest(backend, batch)
    return measured


def _fastest(backend: Backend, batch: list[Part]) -> float:
    """Seconds of the fastest of some equal steps."""
    found = float("inf")
    for _ in range(_REPEATS):
        for sequence, start, _tokens, _choose in batch:
            backend.truncate(sequence, start)
        began = time.perf_counter()
        backend.decode(batch)
        found = min(found, time.perf_counter() - began)
    return found


def _rising(measured: Mapping[int, float]) -> dict[int, float]:
    """The same with none dearer than a larger one: where it was, something disturbed its measurement."""
    sizes = sorted(measured)
    return {size: min(measured[other] for other in sizes if other >= size) for size in sizes}


def _costs(kept: Mapping[str, Any]) -> Costs:
    """As they were before JSON made texts of the sizes.

    Raises:
        ValueError, TypeError, LookupError, AttributeError, ArithmeticError: they cannot be costs.
    """
    writing, reading = (
        {int(size): float(seconds) for size, seconds in kept[kind].items()} for kind in ("writing", "reading")
    )
    costs = Costs(writing, reading, float(kept["attending"]))
    for steps in (writing, reading):
        if not steps or not all(1 <= size <= _LARGEST and 0 < steps[size] < _LONGEST for size in steps):
            raise ValueError("no costs of steps")
    if not 0 <= costs.attending < _LONGEST:
        raise ValueError("no cost of attention")
    return costs
