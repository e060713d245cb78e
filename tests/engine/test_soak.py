"""Two thousand generations on the real weights leave memory and threads as they were.

Most are short; some are turns of conversations, which are parked between them, and some repeat their prompt, so that
what they say next is guessed.
"""

from __future__ import annotations

import re
from collections import deque
from contextlib import closing
from pathlib import Path

import pytest

from webchat.answering.persona import persona
from webchat.engine.cache import CacheLimits
from webchat.engine.calibration import Costs
from webchat.engine.generation import Ended, Sampling, Text
from webchat.engine.interface import ChatMessage, ChatRequest
from webchat.engine.llama import LlamaBackend
from webchat.engine.worker import LocalEngine

pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux says what is in memory"),
]

GENERATIONS, SETTLED = 2000, 400  # after so many all that is bounded is full
SLACK = 8_000_000  # bytes: what allocators keep
CONVERSATIONS, TURNS = 6, 5  # at a time; one that has had so many turns begins anew
GREEDY = Sampling(temperature=0, repeat_penalty=1.0)
# Of two cores, as they were measured: guesses are worth their rows, however busy this machine is.
COSTS = Costs({1: 0.015, 8: 0.045, 16: 0.080}, {4: 0.018, 64: 0.160})
SYSTEM = ChatMessage("system", persona("", "en", shop="Little Boat", model="Qwen2.5"))
PARAGRAPH = "The parcel leaves on Monday, the parcel leaves on Tuesday, the parcel leaves on Wednesday."


class CountedLlama(LlamaBackend):
    """llama.cpp, with a count of the tokens that were guessed, and of the states that came back."""

    guessed = restored = 0

    def decode(self, batch):
        self.guessed += sum(max(choose - 1, 0) for *_, choose in batch)
        return super().decode(batch)

    def load(self, sequence, state):
        super().load(sequence, state)
        self.restored += 1


def status(name):
    """A figure that Linux keeps of this process."""
    return int(re.search(rf"^{name}:\s+(\d+)", Path("/proc/self/status").read_text(), re.MULTILINE)[1])


def own_memory():
    """Bytes that are this process's own, without the pages of files."""
    return status("RssAnon") * 1024


class Visitors:
    """Who asks: one after the other, up to 32 at the same time."""

    def __init__(self, engine):
        self._engine = engine
        self._under_way = deque()
        self._said = [[] for _ in range(CONVERSATIONS)]
        self.ended = 0

    def ask(self, number):
        if number % 200 == 50:
            self.wait_for_all()  # while prompts are read nothing is guessed
            self._answer([ChatMessage("user", f"Repeat this text three times: {PARAGRAPH}")], 48)
        elif number % 10 == 5:
            self._next_turn(number)
        else:
            self._under_way.append(self._chat([ChatMessage("user", f"{number}?")], 1 + number % 4))
            if number % 10 == 9:
                self._engine.cancel(self._under_way[-1])
        if len(self._under_way) == 32:
            self._end(self._under_way.popleft())

    def wait_for_all(self):
        while self._under_way:
            self._end(self._under_way.popleft())

    def _next_turn(self, number):
        said = self._said[number // 10 % CONVERSATIONS]
        if len(said) == 2 * TURNS:
            said.clear()
        said.append(
            ChatMessage("user", f"My order {number} has not come, and I have waited for some weeks. Where is it?")
        )
        said.append(ChatMessage("assistant", self._answer([SYSTEM, *said], 12)))

    def _answer(self, messages, tokens):
        return self._end(self._chat(messages, tokens))

    def _chat(self, messages, tokens):
        return self._engine.chat(ChatRequest(tuple(messages), tokens, sampling=GREEDY))

    def _end(self, generation):
        *outputs, end = generation
        self.ended += isinstance(end, Ended)
        return "".join(output.text for output in outputs if isinstance(output, Text))


def test_two_thousand_generations_leave_memory_and_threads_as_they_were(real_model):
    backends = []

    def load():
        backends.append(CountedLlama(real_model, sequences=32, cells=4096))
        return backends[0]

    engine = LocalEngine(
        "real",
        load,
        max_running=16,
        max_waiting=64,
        limits=CacheLimits(parked_bytes=10_000_000),
        calibrate=lambda _backend: COSTS,
    )
    with closing(engine):
        engine.start()
        engine.wait_until_ready(60)
        visitors = Visitors(engine)
        for number in range(GENERATIONS):
            visitors.ask(number)
            if number == SETTLED:
                settled, threads, restored = own_memory(), status("Threads"), backends[0].restored
        visitors.wait_for_all()
        assert visitors.ended == GENERATIONS
        assert own_memory() - settled < SLACK
        assert status("Threads") == threads
        assert backends[0].restored > restored + 30, "conversations were parked, and went on"
        assert backends[0].guessed > 250
