"""How fast a file of weights is on this machine, and how well it predicts our texts."""

from __future__ import annotations

import math
import time
from contextlib import closing
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

from webchat.engine.generation import Sampling
from webchat.engine.llama import LlamaBackend
from webchat.engine.llama_reader import Reader
from webchat.engine.progress import Meter

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import numpy as np

TEXTS = ("chinese", "english")  # written for this; conversations with customers, and prose
_CALIBRATION = "calibration"  # another text, so that a file is not measured by what it was fitted to
WIDTHS = (1, 2, 4, 8, 16)  # answers written at the same time
_PREFIX = 128  # tokens that stand before every answer
_PROMPT = 384  # tokens of a prompt
_STEPS = 12
_SECONDS_TO_LOAD = 1.5
_GREEDY = Sampling(temperature=0, repeat_penalty=1.0)
_LONGEST = 2304  # tokens of a text: a model that spells it letter by letter does not take ten times as long
TOKENS = 3693  # of the texts, for Qwen2.5


@dataclass(frozen=True)
class Reading:
    """What a file makes of one text: see ``Reader.scores``."""

    logarithms: np.ndarray
    likeliest: np.ndarray

    @property
    def perplexity(self) -> float:
        """The exponential of the mean surprise per token: among how many tokens it hesitates."""
        return math.exp(-float(self.logarithms.mean()))

    def loss(self, other: Reading) -> float:
        """How much higher the perplexity is than another's; 0.05 is 5 %."""
        return self.perplexity / other.perplexity - 1

    def agreement(self, other: Reading) -> float:
        """The share of tokens where both guess the same first."""
        return float((self.likeliest == other.likeliest).mean())


def text(name: str) -> str:
    """One of the texts that come with the package."""
    return files("webchat.engine").joinpath("tuning_text", f"{name}.txt").read_text("utf-8")


def read_texts(path: Path, threads: int) -> dict[str, Reading]:
    """Let a file predict each of our texts."""
    with closing(Reader(path, threads=threads)) as reader:
        tokens = {name: _tokens(reader, name) for name in TEXTS}
        with Meter(f"reading with {path.stem}", sum(map(len, tokens.values())), "tokens") as meter:
            before = 0
            readings = {}
            for name, text in tokens.items():
                readings[name] = Reading(*reader.scores(text, lambda read, before=before: meter.update(before + read)))  # type: ignore[misc]  # mypy does not see the default
                before += len(text)
    return readings


def importance(path: Path, threads: int) -> dict[str, np.ndarray]:
    """How much each column of each matrix matters to our calibration text."""
    with closing(Reader(path, threads=threads)) as reader:
        tokens = _tokens(reader, _CALIBRATION)
        with Meter("learning which weights matter", len(tokens), "tokens") as meter:
            return reader.importance(tokens, meter.update)


def _tokens(reader: Reader, name: str) -> list[int]:
    return reader.tokenize(text(name))[:_LONGEST]


def speed(path: Path, threads: int) -> dict[str, float]:
    """Tokens/s of reading a prompt, and of writing 1, 2, 4, 8 and 16 answers at once, all together.

    The cells are those of a server with eight answers, and the steps are its own.
    """
    with closing(LlamaBackend(path, sequences=max(WIDTHS) + 1, cells=4096, threads=threads)) as backend:
        return {"prefill": _prefill(backend)} | {f"decode {width}": _decode(backend, width) for width in WIDTHS}


def _prefill(backend: LlamaBackend) -> float:
    tokens = _some_tokens(backend, _PROMPT + backend.max_batch)
    _read(backend, tokens[: backend.max_batch], range(1))  # the first step of all also allocates
    begin = time.perf_counter()
    _read(backend, tokens, range(1, len(tokens) // backend.max_batch))
    return _PROMPT / (time.perf_counter() - begin)


def _read(backend: LlamaBackend, tokens: list[int], pieces: Iterable[int]) -> None:
    size = backend.max_batch
    for piece in pieces:
        backend.decode([(0, piece * size, tokens[piece * size : (piece + 1) * size], 0)])


def _decode(backend: LlamaBackend, width: int) -> float:
    """Each answer stands behind the first tokens of sequence 0, which the prefill left there."""
    sequences = range(1, width + 1)
    for sequence in sequences:
        backend.truncate(sequence, 0)
        backend.copy(0, sequence, _PREFIX)
        backend.begin(sequence, _GREEDY)
    token = _some_tokens(backend, 1)
    begin = time.perf_counter()
    for step in range(_STEPS):
        backend.decode([(sequence, _PREFIX + step, token, 1) for sequence in sequences])
    return width * _STEPS / (time.perf_counter() - begin)


def _some_tokens(backend: LlamaBackend, count: int) -> list[int]:
    tokens = backend.tokenize(text(_CALIBRATION))
    return (tokens * (count // len(tokens) + 1))[:count]


def seconds_of_speed(speed: dict[str, float]) -> float:
    """How long measuring a speed takes, after its result."""
    steps = sum(width * _STEPS / speed[f"decode {width}"] for width in WIDTHS)
    return _SECONDS_TO_LOAD + 2 * _PROMPT / speed["prefill"] + steps
