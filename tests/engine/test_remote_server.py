"""The remote engine against llama.cpp's own server."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import httpx2
import pytest
from support.llama_server import DEADLINE, LlamaServer
from support.visitor import wait_until

from webchat.engine.generation import Ended, PromptTooLong, Sampling, Text
from webchat.engine.interface import ChatMessage, ChatRequest
from webchat.engine.remote import RemoteEngine
from webchat.engine.upstream import Address

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONTEXT = 4096  # of all slots together


@pytest.fixture
def peer(endless_model: Path) -> Iterator[LlamaServer]:
    server = LlamaServer(endless_model, slots=2, context=CONTEXT)
    yield server.start()
    server.kill()


@pytest.fixture
def engine(peer) -> Iterator[RemoteEngine]:
    with closing(RemoteEngine(Address(peer.url), max_running=2, max_waiting=8)) as running:
        running.start()
        running.wait_until_ready(DEADLINE)
        yield running


def ask(engine, text="你好", tokens=20, **more):
    return engine.chat(ChatRequest((ChatMessage("user", text),), tokens, sampling=Sampling(temperature=0), **more))


def result(generation):
    outputs = list(generation)
    return "".join(output.text for output in outputs if isinstance(output, Text)), outputs[-1]


def busy_slots(peer):
    return sum(slot["is_processing"] for slot in httpx2.get(f"{peer.url}/slots", timeout=DEADLINE).json())


def test_answers_with_their_counts_and_the_name_of_the_model(engine, endless_model):
    assert engine.name == endless_model.stem
    first, ended = result(ask(engine))
    assert (ended.reason, ended.stats.new_tokens, ended.error) == ("length", 20, None)
    assert first
    again, ended = result(ask(engine))
    assert again == first
    assert ended.stats.prompt_tokens > ended.stats.reused_tokens > 0


def test_cancel_frees_the_server(engine, peer):
    generations = [ask(engine, tokens=3000) for _ in range(2)]
    wait_until(lambda: busy_slots(peer) == 2)
    engine.cancel(generations[0])
    assert result(generations[0])[1].reason == "stopped"
    wait_until(lambda: busy_slots(peer) == 1)
    engine.close()
    assert result(generations[1])[1].reason == "error"
    wait_until(lambda: busy_slots(peer) == 0)


def test_a_stop_string_frees_the_server(engine, peer):
    text, _ = result(ask(engine, tokens=200))
    middle = text[len(text) // 2 :][:2]
    begun, ended = result(ask(engine, tokens=200, stop=(middle,)))
    assert ended.reason == "stop"
    assert text.startswith(begun)
    assert middle not in begun
    wait_until(lambda: busy_slots(peer) == 0)


def test_a_prompt_too_long_for_the_server_loses_its_oldest_turns(engine):
    turns = [ChatMessage(role, "a" * 500) for _ in range(10) for role in ("user", "assistant")]
    question = ChatMessage("user", "好")
    _, ended = result(engine.chat(ChatRequest((*turns, question), 8, context_tokens=30_000)))
    assert ended.reason == "length"
    assert ended.stats.prompt_tokens < CONTEXT
    _, ended = result(engine.chat(ChatRequest((*turns, question), 8)))
    assert isinstance(ended.error, PromptTooLong)


def test_the_server_dies_in_the_middle_and_comes_back(engine, peer):
    generation = ask(engine, tokens=3000)
    outputs = generation.take(DEADLINE)
    peer.kill()
    while not isinstance(outputs[-1], Ended):
        outputs += generation.take(DEADLINE)
    assert isinstance(outputs[0], Text)
    assert (outputs[-1].reason, outputs[-1].error) == ("error", None)
    wait_until(lambda: engine.stats().state == "failed")
    peer.start()
    wait_until(lambda: engine.stats().state == "ready")
    assert result(ask(engine))[1].reason == "length"
