"""With temperature 0 an answer is the same to the last letter however it was computed.

Alone or among fifteen others, read at once or in pieces, after its beginning was shared, parked or restored. Our own
kernels compute each row in the same order whatever else is in the step; llama.cpp's do not, so where only those are
there (another processor than x86-64 with AVX2) an answer may go another way at near ties, and this is not tested.
"""

from __future__ import annotations

from contextlib import closing, contextmanager

import numpy as np
import pytest

from webchat.engine.cache import CacheLimits
from webchat.engine.calibration import Costs
from webchat.engine.generation import Sampling, Text
from webchat.engine.interface import ChatMessage, ChatRequest
from webchat.engine.llama import LlamaBackend
from webchat.engine.llama_files import kernels
from webchat.engine.template import ChatTemplate
from webchat.engine.worker import LocalEngine

pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(not kernels(), reason="llama.cpp's own kernels round by how much is computed at once"),
]

GREEDY = Sampling(temperature=0, repeat_penalty=1.0)
PERSONA = ChatMessage(
    "system", "你是一家网上茶具店的客服，名字叫小青。请用热情、清楚的中文回答顾客的问题，先给结论，再说明原因。"
)
QUESTIONS = ("第一次使用紫砂壶之前怎样开壶？", "收到的瓷杯碎了一个，怎么办？", "How do I clean a glass teapot?")
TOKENS = 24
CHEAP_ROWS = Costs({1: 0.012, 2: 0.014, 16: 0.042}, {1: 0.012, 64: 0.2})


@pytest.fixture(scope="module")
def backend(real_model):
    with closing(LlamaBackend(real_model, sequences=4, cells=1024)) as loaded:
        yield loaded


def prompt_of(backend, *turns):
    return ChatTemplate(backend).render(messages(*turns))


def messages(*turns):
    roles = ("user", "assistant")
    return PERSONA, *(ChatMessage(roles[at % 2], text) for at, text in enumerate(turns))


# ---- prompts -------------------------------------------------------------------------------------------------


def read(backend, sequence, tokens, *, start=0, room=128):
    """The logits behind a prompt of which the first ``start`` tokens are there."""
    backend.begin(sequence, GREEDY)
    while start < len(tokens):
        end = min(start + room, len(tokens))
        backend.decode([(sequence, start, list(tokens[start:end]), int(end == len(tokens)))])
        start = end
    return backend._logits(-1).copy()


@pytest.fixture
def cold(backend):
    prompt = prompt_of(backend, *QUESTIONS).tokens
    for sequence in range(4):
        backend.truncate(sequence, 0)
    return prompt, read(backend, 0, prompt)


@pytest.mark.parametrize("room", [1, 2, 3, 5, 16, 33, 64])
def test_a_prompt_in_pieces(backend, cold, room):
    prompt, logits = cold
    backend.truncate(0, 0)
    assert np.array_equal(read(backend, 0, prompt, room=room), logits)


@pytest.mark.parametrize("shared", [1, 10, 47, 60, -1])
def test_a_prompt_whose_beginning_was_known(backend, cold, shared):
    prompt, logits = cold
    start = shared % len(prompt)
    backend.copy(0, 1, start)
    assert np.array_equal(read(backend, 1, prompt, start=start), logits)


def test_a_prompt_whose_beginning_was_parked(backend, cold):
    prompt, logits = cold
    head, rest = backend.save(0, 0, 30), backend.save(0, 30, 60)
    backend.truncate(0, 0)
    read(backend, 3, prompt_of(backend, QUESTIONS[1]).tokens)
    backend.load(2, head)
    backend.load(2, rest)
    assert np.array_equal(read(backend, 2, prompt, start=60), logits)


def test_a_prompt_beside_others(backend, cold):
    prompt, logits = cold
    for sequence in (0, 1):
        backend.truncate(sequence, 0)
    other = prompt_of(backend, QUESTIONS[2]).tokens
    backend.begin(0, GREEDY)
    backend.begin(1, GREEDY)
    backend.decode([(1, 0, list(other[:-1]), 0)])
    backend.decode([(0, 0, list(prompt[:-1]), 0), (1, len(other) - 1, [other[-1]], 1)])
    backend.decode([(1, len(other), [other[0]], 1), (0, len(prompt) - 1, [prompt[-1]], 1)])
    assert np.array_equal(backend._logits(1), logits)


# ---- answers -------------------------------------------------------------------------------------------------


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
            calibrate=lambda _: CHEAP_ROWS,  # so that it guesses, too
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


@pytest.fixture(scope="module")
def alone(backend):
    """The answer to a conversation, written token by token and by itself."""

    def write(*turns, tokens=TOKENS):
        for sequence in range(4):
            backend.truncate(sequence, 0)
        backend.begin(0, GREEDY)
        at, step, answer = 0, list(prompt_of(backend, *turns).tokens), b""
        for _ in range(tokens):
            [[token]] = backend.decode([(0, at, step, 1)])
            if backend.is_end(token):
                break
            answer += backend.piece(token)
            at, step = at + len(step), [token]
        return answer.decode(errors="ignore")  # of the last token perhaps half a character

    return write


def test_an_answer_asked_again_and_read_in_pieces(serve, alone):
    with serve() as engine, serve(max_batch=16) as other:
        texts = {text_of(ask(asked, QUESTIONS[0])) for asked in (engine, engine, other)}
    assert texts == {alone(QUESTIONS[0])}


def test_an_answer_of_a_conversation_that_was_parked(serve, alone):
    with serve(idle_cells=0) as engine:
        first = text_of(ask(engine, QUESTIONS[0]))
        text_of(ask(engine, QUESTIONS[1]))
        outputs = list(ask(engine, QUESTIONS[0], first, QUESTIONS[2]))
    assert outputs[-1].stats.reused_tokens > 60, "the first turn was known"
    assert text_of(outputs) == alone(QUESTIONS[0], first, QUESTIONS[2])


def test_an_answer_whose_neighbours_were_cancelled(serve, alone):
    with serve() as engine:
        neighbours = [ask(engine, question, tokens=400) for question in QUESTIONS[1:]]
        asked = ask(engine, QUESTIONS[0])
        for neighbour in neighbours:
            next(output for output in neighbour if isinstance(output, Text))
            engine.cancel(neighbour)
        assert text_of(asked) == alone(QUESTIONS[0])


def test_answers_among_fifteen_others(serve, alone):
    asked = [f"{question}（{number}）" for number in range(5) for question in QUESTIONS] + [QUESTIONS[0]]
    with serve() as engine:
        together = [ask(engine, question) for question in asked]
        texts = [text_of(generation) for generation in together]
    assert texts == [alone(question) for question in asked]
