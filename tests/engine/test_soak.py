"""Two thousand short generations on the real weights leave memory as it was."""

from __future__ import annotations

import re
from collections import deque
from contextlib import closing
from pathlib import Path

import pytest

from webchat.engine.cache import CacheLimits
from webchat.engine.generation import Ended
from webchat.engine.interface import ChatMessage, ChatRequest
from webchat.engine.llama import LlamaBackend
from webchat.engine.worker import LocalEngine

pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux says what is in memory"),
]

GENERATIONS, SETTLED = 2000, 400  # after so many all that is bounded is full
SLACK = 8_000_000  # bytes: what allocators keep


def own_memory():
    """Bytes that are this process's own, without the pages of files."""
    return int(re.search(r"RssAnon:\s+(\d+)", Path("/proc/self/status").read_text())[1]) * 1024


def test_two_thousand_generations_leave_memory_as_it_was(real_model):
    engine = LocalEngine(
        "real",
        lambda: LlamaBackend(real_model, sequences=32, cells=4096),
        max_running=16,
        max_waiting=64,
        limits=CacheLimits(parked_bytes=10_000_000),
    )
    with closing(engine):
        engine.start()
        engine.wait_until_ready(60)
        under_way, settled, ended = deque(), 0, 0
        for number in range(GENERATIONS):
            request = ChatRequest((ChatMessage("user", f"{number}?"),), max_new_tokens=1 + number % 4)
            under_way.append(engine.chat(request))
            if number % 10 == 9:
                engine.cancel(under_way[-1])
            if len(under_way) == 32:
                ended += isinstance([*under_way.popleft()][-1], Ended)
            if number == SETTLED:
                settled = own_memory()
        ended += sum(isinstance([*generation][-1], Ended) for generation in under_way)
        assert ended == GENERATIONS
        assert own_memory() - settled < SLACK
