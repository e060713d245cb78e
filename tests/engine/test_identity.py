"""With temperature 0 an answer is the same however it was computed, as far as llama.cpp's arithmetic allows.

It allows it to the last bit for prompts: read in pieces or at once, with a beginning that was known, copied or parked.

For the tokens of an answer the order of additions depends on what else is there: one to three rows are multiplied by
other code than four and more, and attention adds up in the order of the cache's cells (and, from 512 cells on, by
threads). Logits then differ by some tenths. So an answer may leave the one computed alone where its two likeliest
tokens are closer than that, and nowhere else: each token is checked against the likeliest one after the same beginning.
"""

from __future__ import annotations

from contextlib import closing, contextmanager

import numpy as np
import pytest

from webchat.engine.alignment import piece, reusable
from webchat.engine.cache import CacheLimits
from webchat.engine.generation import Sampling, Text
from webchat.engine.interface import ChatMessage, ChatRequest
from webchat.engine.llama import LlamaBackend
from webchat.engine.template import ChatTemplate
from webchat.engine.worker import LocalEngine

pytestmark = pytest.mark.model

GREEDY = Sampling(temperature=0, repeat_penalty=1.0)
PERSONA = ChatMessage(
    "system", "你是一家网上茶具店的客服，名字叫小青。请用热情、清楚的中文回答顾客的问题，先给结论，再说明原因。"
)
QUESTIONS = ("第一次使用紫砂壶之前怎样开壶？", "收到的瓷杯碎了一个，怎么办？", "How do I clean a glass teapot?")
TOKENS = 24
ROUNDING = 1.0  # between two logits; 0.5 is the largest difference that the order of additions has been seen to make


@pytest.fixture(scope="module")
def backend(real_model):
    with closing(LlamaBackend(real_model, sequences=4, cells=1024)) as loaded:
        yield loaded


def prompt_of(backend, *turns):
    return ChatTemplate(backend).render(messages(*turns))


def messages(*turns):
    roles = ("user", "assistant")
    return PERSONA, *(ChatMessage(roles[at % 2], text) for at, text in enumerate(turns))


# ---- prompts, to the last bit ------------------------------------------------------------------------------


def read(backend, sequence, prompt, *, start=0, room=128):
    """The logits behind a prompt of which the first ``start`` tokens are there."""
    backend.begin(sequence, GREEDY)
    tokens, head = prompt
    while start < len(tokens):
        end = start + piece(start, len(tokens), head, room)
        backend.decode([(sequence, start, list(tokens[start:end]), end == len(tokens))])
        start = end
    return backend._logits(-1).copy()


@pytest.fixture
def cold(backend):
    prompt = prompt_of(backend, *QUESTIONS)
    for sequence in range(4):
        backend.truncate(sequence, 0)
    return prompt, read(backend, 0, prompt)


@pytest.mark.parametrize("room", [16, 20, 33, 64])
def test_a_prompt_in_pieces(backend, cold, room):
    prompt, logits = cold
    backend.truncate(0, 0)
    assert np.array_equal(read(backend, 0, prompt, room=room), logits)


@pytest.mark.parametrize("shared", [10, 38, 47, 60, 1000])
def test_a_prompt_whose_beginning_was_known(backend, cold, shared):
    prompt, logits = cold
    start = reusable(min(shared, len(prompt.tokens)), len(prompt.tokens), prompt.head)
    backend.copy(0, 1, start)
    assert np.array_equal(read(backend, 1, prompt, start=start), logits)


def test_a_prompt_whose_beginning_was_parked(backend, cold):
    prompt, logits = cold
    start = reusable(60, len(prompt.tokens), prompt.head)
    head, rest = backend.save(0, 0, prompt.head), backend.save(0, prompt.head, start)
    backend.truncate(0, 0)
    read(backend, 3, prompt_of(backend, QUESTIONS[1]))
    backend.load(2, head)
    backend.load(2, rest)
    assert np.array_equal(read(backend, 2, prompt, start=start), logits)


# ---- answers, but for near ties ----------------------------------------------------------------------------


@pytest.fixture
def serve(real_model):
    @contextmanager
    def start(*, max_batch=128, idle_cells=1024):
        engine = LocalEngine(
            "real",
            lambda: LlamaBackend(real_model, sequences=20, cells=4096, max_batch=max_batch),
            max_running=16,
            max_waiting=16,
            limits=CacheLimits(idle_cells=idle_cells, parked_bytes=50_000_000),
        )
        engine.start()
        engine.wait_until_ready(60)
        try:
            yield engine
        finally:
            engine.close()

    return start


def ask(engine, *turns, tokens=TOKENS):
    return engine.chat(ChatRequest(messages(*turns), max_new_tokens=tokens, sampling=GREEDY))


def text_of(outputs):
    return "".join(output.text for output in outputs if isinstance(output, Text))


def assert_near_best(backend, text, *turns):
    """Check each token of an answer against the likeliest one after the same beginning, computed alone."""
    for sequence in range(4):
        backend.truncate(sequence, 0)
    backend.begin(0, GREEDY)
    at, step = 0, list(prompt_of(backend, *turns).tokens)
    for position, token in enumerate(backend.tokenize(text)[:-1]):  # of the last one half a character may be dropped
        [best] = backend.decode([(0, at, step, True)])
        logits = backend._logits(-1)
        assert logits[best] - logits[token] < ROUNDING, f"token {position} was chosen from another context"
        at, step = at + len(step), [token]


def test_an_answer_asked_again_and_read_in_pieces(serve, backend):
    with serve() as engine, serve(max_batch=16) as other:
        texts = [text_of(ask(asked, QUESTIONS[0])) for asked in (engine, engine, other)]
    for text in texts:
        assert_near_best(backend, text, QUESTIONS[0])


def test_an_answer_of_a_conversation_that_was_parked(serve, backend):
    with serve(idle_cells=0) as engine:
        first = text_of(ask(engine, QUESTIONS[0]))
        text_of(ask(engine, QUESTIONS[1]))
        outputs = list(ask(engine, QUESTIONS[0], first, QUESTIONS[2]))
    assert outputs[-1].stats.reused_tokens > 60, "the first turn was known"
    assert_near_best(backend, text_of(outputs), QUESTIONS[0], first, QUESTIONS[2])


def test_an_answer_whose_neighbours_were_cancelled(serve, backend):
    with serve() as engine:
        neighbours = [ask(engine, question, tokens=400) for question in QUESTIONS[1:]]
        asked = ask(engine, QUESTIONS[0])
        for neighbour in neighbours:
            next(output for output in neighbour if isinstance(output, Text))
            engine.cancel(neighbour)
        assert_near_best(backend, text_of(asked), QUESTIONS[0])


def test_an_answer_among_fifteen_others(serve, backend):
    asked = [f"{question}（{number}）" for number in range(5) for question in QUESTIONS] + [QUESTIONS[0]]
    with serve() as engine:
        together = [ask(engine, question, tokens=12) for question in asked]
        texts = [text_of(generation) for generation in together]
    for question, text in zip(asked, texts, strict=True):
        assert_near_best(backend, text, question)
