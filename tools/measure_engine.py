"""Measures the engine alone: its steps, also beside a long prompt, and what guessing brings (decision 13).

A server guesses as many tokens as are worth the costs of its steps, which may be none. The costs are measured as at its
first start, so "as a server" is what it would do; beside that stands the same without any guess.

Usage: .venv/bin/python tools/measure_engine.py MODEL [ROUNDS]
MODEL: a GGUF file, see `webchat model path --served`. The machine should do nothing else meanwhile.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING
from unittest.mock import patch

from webchat.answering.example_faq import read_example
from webchat.engine import scheduler
from webchat.engine.calibration import Costs, measure
from webchat.engine.generation import Ended, Sampling, Text
from webchat.engine.interface import ChatMessage, ChatRequest
from webchat.engine.llama import LlamaBackend
from webchat.engine.lookup import MOST
from webchat.engine.worker import LocalEngine

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from webchat.engine.backend import Backend, Part
    from webchat.engine.generation import Generation, Stats

TOGETHER = (1, 4, 16)  # answers at once
BESIDE = (1, 4, 8)  # answers being written while a long prompt is read
LONG = 2000  # tokens
WHILE = 150  # tokens of the answers beside it
QUESTIONS = 16
TOKENS = 64
GREEDY = Sampling(temperature=0, repeat_penalty=1.0)


class TimedBackend(LlamaBackend):
    """Notes the seconds of steps that read a prompt while answers are being written, and how much is guessed."""

    mixed: list[float]
    guessed: int

    def decode(self, batch: Sequence[Part]) -> list[list[int]]:
        """Compute a step; see ``Backend.decode``."""
        began = time.perf_counter()
        chosen = super().decode(batch)
        if len(batch) > 1 and any(len(tokens) > choose for _, _, tokens, choose in batch):
            self.mixed.append(time.perf_counter() - began)
        self.guessed += sum(max(choose - 1, 0) for _, _, _, choose in batch)
        return chosen


def main() -> None:
    """Load the model once, measure its steps, then the same questions with and without guesses."""
    file, rounds = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 3  # noqa: PLR2004 - a position
    costs: list[Costs] = []
    backends: list[TimedBackend] = []

    def load() -> TimedBackend:
        backends.append(TimedBackend(file, sequences=2 * max(TOGETHER), cells=8192))
        backends[0].mixed, backends[0].guessed = [], 0
        return backends[0]

    def calibrate(backend: Backend) -> Costs:
        costs.append(measure(backend, max(TOGETHER)))
        return costs[0]

    engine = LocalEngine(
        file.stem,
        load,
        max_running=max(TOGETHER),
        max_waiting=QUESTIONS,
        calibrate=calibrate,
    )
    engine.start()
    engine.wait_until_ready(120)
    print_costs("answers in a step", costs[0].writing)
    print_costs("prompt tokens read in a step", costs[0].reading)
    for beside in BESIDE:
        longest = median(longest_step(engine, backends[0], beside, round_) for round_ in range(rounds))
        print(f"{beside:2} answers while a prompt of {LONG} tokens is read: steps of {longest * 1000:.0f} ms at most")
    for together in TOGETHER:
        tokens_per_second(engine, together)  # makes the prompt known
        backends[0].guessed = 0
        pairs = [with_and_without(engine, together, round_) for round_ in range(rounds)]
        guessing, plain = (median(speeds) for speeds in zip(*pairs, strict=True))
        gain = median(with_ / without for with_, without in pairs)
        guessed = backends[0].guessed // rounds
        print(f"{together:2} together: {plain:.0f} tokens/s without guesses,", end=" ")
        print(f"as a server {guessing:.0f} ({guessed} tokens guessed), {gain:.2f} times")
    engine.close()


def with_and_without(engine: LocalEngine, together: int, round_: int) -> tuple[float, float]:
    """Tokens/s with the guesses that a server would make, and with none; who is first changes from round to round."""
    speeds = {}
    for most in (MOST, 0) if round_ % 2 == 0 else (0, MOST):
        with patch.object(scheduler, "MOST", most):
            speeds[most] = tokens_per_second(engine, together)
    return speeds[MOST], speeds[0]


def longest_step(engine: LocalEngine, backend: TimedBackend, beside: int, round_: int) -> float:
    """Seconds of the longest step while a long prompt is read and so many answers are being written."""
    asked = [ask(engine, f"写一篇关于第{round_}个茶壶的长文章，第{number}稿。", WHILE) for number in range(beside)]
    for answer in asked:
        next(output for output in answer if isinstance(output, Text))
    backend.mixed.clear()
    newcomer = ask(engine, f"{round_}-{beside}" + "茶壶茶杯茶叶礼盒。" * (LONG // 7), 1)
    for answer in (newcomer, *asked):
        read = stats_of(answer).prompt_tokens
        if answer is newcomer and read < LONG:
            raise SystemExit(f"The prompt had only {read} tokens.")
    return max(backend.mixed)


def ask(engine: LocalEngine, question: str, tokens: int) -> Generation:
    """A question under no persona; each waits for its turn as a visitor of its own."""
    message = ChatMessage("user", question)
    return engine.chat(ChatRequest((message,), tokens, 4096, sampling=GREEDY, owner=question[:40]))


def stats_of(generation: Generation) -> Stats:
    """Read an answer to its end."""
    return next(output.stats for output in generation if isinstance(output, Ended))


def print_costs(what: str, seconds: Mapping[int, float]) -> None:
    """A line of sizes, a line of milliseconds."""
    print(f"{what:30}", *(f"{size:6}" for size in seconds))
    print(f"{'ms':30}", *(f"{each * 1000:6.1f}" for each in seconds.values()))


def tokens_per_second(engine: LocalEngine, together: int) -> float:
    """Ask about the shop's entries, which stand in the prompt; so many questions at a time."""
    entries = [(entry.phrasings[0], entry.answer) for entry in read_example()]
    facts = "".join(f"问：{question}\n答：{answer}\n" for question, answer in entries[:5])
    system = ChatMessage("system", f"你是小舟商店的客服。只根据下面的资料回答。\n{facts}")
    began, written = time.perf_counter(), 0
    for first in range(0, QUESTIONS, together):
        asked = [entries[number % 5][0] + "？" * (number // 5) for number in range(first, first + together)]
        running = [
            engine.chat(ChatRequest((system, ChatMessage("user", question)), max_new_tokens=TOKENS, sampling=GREEDY))
            for question in asked
        ]
        for generation in running:
            written += stats_of(generation).new_tokens
    return written / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
