"""The remote engine, against a server that does whatever a test wants it to."""

from __future__ import annotations

import json
import random
import threading
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from structlog.contextvars import bound_contextvars, merge_contextvars
from structlog.testing import capture_logs
from support.fake_hub import host_that, silence, trickle
from support.fake_upstream import DEADLINE, MODELS, FakeUpstream
from support.visitor import wait_until

from webchat.engine import breaker
from webchat.engine.generation import (
    Ended,
    EngineClosed,
    EngineError,
    EngineUnavailable,
    PromptTooLong,
    QueueFull,
    Text,
    Waiting,
)
from webchat.engine.interface import ChatMessage, ChatRequest
from webchat.engine.remote import RemoteEngine
from webchat.engine.remote_job import Patience
from webchat.engine.upstream import Address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# What is waited for in vain takes this long; everything else comes at once.
SHORT = 0.4
PATIENCE = Patience(first=DEADLINE, silence=DEADLINE, whole=DEADLINE, pause=0.01, retry_after=1, usage=SHORT)
QUESTION = ChatMessage("user", "你好")


@pytest.fixture
def upstream() -> Iterator[FakeUpstream]:
    with FakeUpstream() as server:
        yield server


@pytest.fixture
def new_engine(monkeypatch) -> Iterator[Callable[..., RemoteEngine]]:
    """Makes engines that have found out whether their server is there, and soon look again when it is away."""
    monkeypatch.setattr(breaker, "_SHORTEST", 0.05)
    with ExitStack() as engines:

        def make(url, *, key="", model="", running=4, waiting=8, **patience):
            engine = RemoteEngine(
                Address(url, key),
                model,
                max_running=running,
                max_waiting=waiting,
                patience=replace(PATIENCE, **patience),
            )
            engines.callback(engine.close)
            engine.start()
            wait_until(lambda: engine.stats().state != "loading")
            return engine

        yield make


@pytest.fixture
def engine(upstream, new_engine) -> RemoteEngine:
    return new_engine(upstream.url)


def request(*messages, **more) -> ChatRequest:
    return ChatRequest((*messages, QUESTION), **{"max_new_tokens": 50} | more)


def outputs_of(generation) -> list:
    """All outputs, the end included; fails instead of waiting for ever."""
    outputs = []
    while not (outputs and isinstance(outputs[-1], Ended)):
        new = generation.take(DEADLINE)
        assert new, "nothing more came"
        outputs += new
    assert sum(isinstance(output, Ended) for output in outputs) == 1
    return outputs


def result(generation):
    """The text, the reason of the end, and the error that came with it."""
    outputs = outputs_of(generation)
    text = "".join(output.text for output in outputs if isinstance(output, Text))
    return text, outputs[-1].reason, type(outputs[-1].error)


NO_ERROR = type(None)
HELLO = ("hello", "stop", NO_ERROR)


# ---- answers -------------------------------------------------------------------------------------


def test_an_answer_comes_piece_by_piece_and_ends(engine, upstream):
    go = threading.Event()

    def speak(exchange):
        exchange.head()
        exchange.event("你")
        go.wait(DEADLINE)
        exchange.event("好")
        exchange.event(finish="length")
        exchange.data('{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2}}')
        exchange.data("[DONE]")

    upstream.script.append(speak)
    generation = engine.chat(request())
    assert generation.take(DEADLINE) == [Text("你")]
    assert engine.stats().running == 1
    go.set()
    rest = outputs_of(generation)
    assert rest[0] == Text("好")
    assert rest[-1].reason == "length"
    assert (rest[-1].stats.prompt_tokens, rest[-1].stats.new_tokens) == (9, 2)
    assert rest[-1].stats.first_text_seconds <= rest[-1].stats.total_seconds
    assert (engine.stats().running, engine.stats().answers, engine.stats().new_tokens) == (0, 1, 2)


def test_the_server_is_asked_with_key_model_and_messages(upstream, new_engine):
    engine = new_engine(upstream.url + "/v1/", key="s3cret", model="qwen")
    system = ChatMessage("system", "规则")
    assert result(engine.chat(request(system))) == HELLO
    asked = upstream.requests[0]
    assert asked.headers["authorization"] == "Bearer s3cret"
    assert asked.body["model"] == engine.name == "qwen"
    assert asked.body["messages"] == [{"role": "system", "content": "规则"}, {"role": "user", "content": "你好"}]


def test_without_a_model_named_the_first_of_the_list_is_taken(engine, upstream):
    assert engine.name == "Qwen/Qwen2.5-7B-Instruct"
    result(engine.chat(request()))
    assert upstream.requests[0].body["model"] == "Qwen/Qwen2.5-7B-Instruct"
    assert "authorization" not in upstream.requests[0].headers


def test_without_counts_pieces_are_counted(engine, upstream):
    upstream.script.append(lambda exchange: exchange.answer("a", "b", "c"))
    assert outputs_of(engine.chat(request()))[-1].stats.new_tokens == 3


def test_a_server_that_keeps_the_connection_after_its_end_delays_nothing_for_long(upstream, new_engine):
    def speak(exchange):
        exchange.head()
        exchange.event("hello")
        exchange.event(finish="stop")
        exchange.wait_for_hang_up()

    upstream.script.append(speak)
    assert result(new_engine(upstream.url).chat(request())) == HELLO


def test_a_stop_string_ends_an_answer_that_the_server_would_go_on_with(engine, upstream):
    def speak(exchange):
        exchange.head()
        exchange.event("one EN")
        exchange.event("D two")
        exchange.wait_for_hang_up()

    upstream.script.append(speak)
    assert result(engine.chat(request(stop=("END",)))) == ("one ", "stop", NO_ERROR)
    assert upstream.requests[0].hung_up.wait(DEADLINE)


def test_a_server_without_measure_is_cut_off(engine, upstream):
    upstream.script.append(lambda exchange: (exchange.head(), [exchange.event("a" * 999) for _ in range(999)]))
    text, reason, _ = result(engine.chat(request(max_new_tokens=1)))
    assert reason == "length"
    assert len(text) < 2000


@pytest.mark.parametrize("text", ["\ud83d", "\0"])
def test_what_is_no_character_is_left_out(engine, upstream, text):
    upstream.script.append(lambda exchange: exchange.answer("he", text, "llo"))
    assert result(engine.chat(request())) == HELLO


def test_comments_and_other_line_ends_are_understood(engine, upstream):
    def speak(exchange):
        exchange.head(content_type="text/event-stream; charset=utf-8")
        exchange.send(": waiting\r\n\r\nevent: message\r\n")
        for byte in b'data: {"choices":[{"delta":{"content":"hello"}}]}\r\n\r\ndata:[DONE]\r\n\r\n':
            exchange.send(bytes([byte]))

    upstream.script.append(speak)
    assert result(engine.chat(request())) == HELLO


# ---- too long ------------------------------------------------------------------------------------


def past(turns):
    return [ChatMessage(role, f"{number}" * 50) for number in range(turns) for role in ("user", "assistant")]


def refuse_as_too_long(exchange):
    exchange.refuse("400 Bad Request", {"message": "exceeds the available context size", "code": 400})


def test_the_oldest_turns_are_left_out_by_estimate(engine, upstream):
    result(engine.chat(request(ChatMessage("system", "规则"), *past(8), context_tokens=600)))
    contents = [message["content"] for message in upstream.requests[0].body["messages"]]
    assert contents == ["规则", "5" * 50, "5" * 50, "6" * 50, "6" * 50, "7" * 50, "7" * 50, "你好"]


def test_a_question_alone_is_never_left_out(engine, upstream):
    long = ChatRequest((*past(2), ChatMessage("user", "好" * 900)), 50, context_tokens=512)
    assert result(engine.chat(long)) == HELLO
    assert [message["content"] for message in upstream.requests[0].body["messages"]] == ["好" * 900]


def test_what_the_server_finds_too_long_loses_half_of_its_turns_until_it_fits(engine, upstream):
    upstream.script += [refuse_as_too_long] * 3
    assert result(engine.chat(request(*past(7), context_tokens=2000))) == HELLO
    assert [len(asked.body["messages"]) for asked in upstream.requests] == [15, 7, 3, 1]


@pytest.mark.parametrize("context", [None, 2000])
def test_a_prompt_of_which_nothing_can_be_left_out_is_too_long(engine, upstream, context):
    upstream.script += [refuse_as_too_long] * 9
    asked = request(*past(2), context_tokens=None) if context is None else request(context_tokens=context)
    assert result(engine.chat(asked)) == ("", "error", PromptTooLong)
    assert len(upstream.requests) == 1
    assert engine.stats().state == "ready"


# ---- trying again, before the first text ---------------------------------------------------------


def end_without_a_word(exchange):
    exchange.head()


TRANSIENT = {
    "a reset before the head": lambda exchange: exchange.reset(),
    "a hang-up before the head": lambda exchange: None,
    "a hang-up after the head": end_without_a_word,
    "half an event": lambda exchange: (exchange.head(), exchange.send('data: {"cho')),
    "429": lambda exchange: exchange.refuse("429 Too Many Requests"),
    "502": lambda exchange: exchange.refuse("502 Bad Gateway"),
    "503": lambda exchange: exchange.refuse("503 Service Unavailable", Retry_After="0"),
    "504": lambda exchange: exchange.refuse("504 Gateway Timeout"),
}


@pytest.mark.parametrize("fault", TRANSIENT)
def test_what_may_pass_is_tried_again(engine, upstream, fault):
    upstream.script += [TRANSIENT[fault]] * 2
    assert result(engine.chat(request())) == HELLO
    assert len(upstream.requests) == 3
    assert engine.stats().state == "ready"


def test_after_three_tries_it_is_given_up(engine, upstream):
    upstream.script += [TRANSIENT["429"]] * 9
    assert result(engine.chat(request())) == ("", "error", QueueFull)
    assert len(upstream.requests) == 3


def test_a_server_that_wants_to_be_left_alone_for_long_is(engine, upstream):
    upstream.script.append(lambda exchange: exchange.refuse("429 Too Many Requests", Retry_After="3600"))
    generation = engine.chat(request())
    ended = outputs_of(generation)[-1]
    assert ended.error.retry_after == 3600
    assert len(upstream.requests) == 1


def test_a_date_to_come_back_at_is_understood(engine, upstream):
    def refuse(exchange):
        exchange.refuse("503 Service Unavailable", Retry_After="Wed, 21 Oct 2015 07:28:00 GMT")

    upstream.script.append(refuse)
    assert result(engine.chat(request())) == HELLO


LASTING = {
    "500": (lambda exchange: exchange.refuse("500 Internal Server Error"), EngineUnavailable),
    "422": (lambda exchange: exchange.refuse("422 Unprocessable", {"message": "temperature"}), EngineError),
    "an error in the stream": (lambda exchange: (exchange.head(), exchange.data('{"error":"oh"}')), EngineUnavailable),
    "no JSON": (lambda exchange: (exchange.head(), exchange.data("<html>")), EngineUnavailable),
    "no stream": (lambda exchange: exchange.head(content_type="text/html"), EngineUnavailable),
    "no HTTP": (lambda exchange: exchange.send(b"\0" * 100), EngineUnavailable),
    "no gzip": (lambda exchange: (exchange.head(Content_Encoding="gzip"), exchange.send("junk")), EngineUnavailable),
    "an event of 2 MB": (lambda exchange: (exchange.head(), exchange.data("a" * 2_000_000)), EngineUnavailable),
    "a head of 1 MB": (lambda exchange: exchange.head(X="a" * 1_000_000), EngineUnavailable),
}


@pytest.mark.parametrize("fault", LASTING)
def test_what_cannot_be_mended_fails_with_a_sentence(engine, upstream, fault):
    step, error = LASTING[fault]
    upstream.script += [step] * 9
    ended = outputs_of(engine.chat(request()))[-1]
    assert ended.reason == "error"
    assert type(ended.error) is error
    assert len(str(ended.error)) > 20


MISTAKES = {
    "401": (lambda exchange: exchange.refuse("401 Unauthorized", "wrong key s3cret"), "refuses the key"),
    "403": (lambda exchange: exchange.refuse("403 Forbidden"), "refuses the key"),
    "404": (lambda exchange: exchange.refuse("404 Not Found", {"message": "no model qwen"}), "no model qwen"),
    "a redirect": (lambda exchange: exchange.refuse("307 Elsewhere", Location="http://127.0.0.1:1/"), "final address"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_the_settings_is_named_and_nobody_else_is_made_to_wait_for_it(upstream, new_engine, mistake):
    engine = new_engine(upstream.url, key="s3cret")
    step, sentence = MISTAKES[mistake]
    upstream.script.append(step)
    upstream.models = ("503 Busy", {})
    with capture_logs() as logs:
        assert result(engine.chat(request())) == ("", "error", EngineUnavailable)
    assert len(upstream.requests) == 1
    assert any(sentence in str(line) for line in logs)
    assert "s3cret" not in str(logs)
    with pytest.raises(EngineUnavailable):
        engine.chat(request())


# ---- after the first text ------------------------------------------------------------------------

BREAKS = {
    "a reset": lambda exchange: exchange.reset(),
    "an end": lambda exchange: None,
    "junk": lambda exchange: exchange.data("{"),
    "an error": lambda exchange: exchange.data('{"error": {"message": "out of memory"}}'),
}


@pytest.mark.parametrize("fault", BREAKS)
def test_an_answer_that_breaks_off_keeps_its_text_and_is_not_begun_again(engine, upstream, fault):
    seen = threading.Event()

    def speak(exchange):
        exchange.head()
        exchange.event("half an ans")
        seen.wait(DEADLINE)
        BREAKS[fault](exchange)

    upstream.script.append(speak)
    generation = engine.chat(request())
    assert generation.take(DEADLINE) == [Text("half an ans")]
    seen.set()
    assert result(generation) == ("", "error", NO_ERROR)
    assert len(upstream.requests) == 1


# ---- patience ------------------------------------------------------------------------------------


def hang(exchange):
    exchange.wait_for_hang_up()


def drip(exchange):
    """A byte now and then, but never an event."""
    exchange.head()
    while True:
        exchange.send(":")
        exchange.dawdle(SHORT / 10)


def chatter(exchange):
    """Events now and then, but never any text."""
    exchange.head()
    while True:
        exchange.event("")
        exchange.dawdle(SHORT / 10)


@pytest.mark.parametrize("silent", [hang, lambda e: (e.head(), hang(e)), drip, chatter])
def test_a_server_that_does_not_begin_is_waited_for_once(upstream, new_engine, silent):
    upstream.script += [silent] * 9
    engine = new_engine(upstream.url, first=SHORT)
    assert result(engine.chat(request())) == ("", "error", EngineUnavailable)
    assert len(upstream.requests) == 1


def test_a_server_that_falls_silent_is_given_up(upstream, new_engine):
    upstream.script.append(lambda exchange: (exchange.head(), exchange.event("half"), hang(exchange)))
    engine = new_engine(upstream.url, silence=SHORT)
    assert result(engine.chat(request())) == ("half", "error", NO_ERROR)


def test_who_asks_with_a_patience_is_told_when_it_ends_begun_or_not(upstream, new_engine):
    upstream.script.append(lambda exchange: (exchange.head(), exchange.event("half"), hang(exchange)))
    engine = new_engine(upstream.url, running=1)
    begun, waiting = engine.chat(request(patience=SHORT, owner="a")), engine.chat(request(patience=SHORT, owner="b"))
    assert result(begun) == ("half", "late", NO_ERROR)
    assert result(waiting) == ("", "late", NO_ERROR)
    assert (engine.stats().running, engine.stats().waiting) == (0, 0)


def test_an_answer_without_end_is_ended(upstream, new_engine):
    def speak(exchange):
        exchange.head()
        while True:
            exchange.event("a")
            exchange.dawdle(SHORT / 10)

    upstream.script.append(speak)
    engine = new_engine(upstream.url, whole=4 * SHORT)
    text, reason, error = result(engine.chat(request(max_new_tokens=4000)))
    assert (set(text), reason, error) == ({"a"}, "error", NO_ERROR)


# ---- cancel, queue, close ------------------------------------------------------------------------


MOMENTS = {
    "before the head": lambda exchange: None,
    "after the head": lambda exchange: exchange.head(),
    "after the first text": lambda exchange: (exchange.head(), exchange.event("x")),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_cancel_hangs_up_whatever_the_server_does(engine, upstream, moment):
    reached = threading.Event()
    upstream.script.append(lambda exchange: (MOMENTS[moment](exchange), reached.set(), hang(exchange)))
    generation = engine.chat(request())
    assert reached.wait(DEADLINE)
    engine.cancel(generation)
    assert isinstance(generation.take(0)[-1], Ended)
    assert upstream.requests[0].hung_up.wait(DEADLINE)
    engine.cancel(generation)
    assert generation.take(0) == []
    assert result(engine.chat(request())) == HELLO
    assert engine.stats().state == "ready"


def test_cancel_between_two_tries(upstream, new_engine):
    engine = new_engine(upstream.url, pause=DEADLINE)
    failed = threading.Event()
    upstream.script.append(lambda exchange: (exchange.refuse("503 Busy"), failed.set()))
    generation = engine.chat(request())
    assert failed.wait(DEADLINE)
    engine.cancel(generation)
    assert result(generation) == ("", "stopped", NO_ERROR)


def held(upstream, engine, count):
    """Answers under way that go on when the event is set."""
    go = threading.Event()
    upstream.script += [lambda exchange: (go.wait(DEADLINE), exchange.answer("hello"))] * count
    return go, [engine.chat(request(owner="alice")) for _ in range(count)]


def test_who_may_have_half_of_the_queue_leaves_the_other_half(upstream, new_engine):
    engine = new_engine(upstream.url, running=1, waiting=3)
    go, generations = held(upstream, engine, 2)
    with pytest.raises(QueueFull):
        engine.chat(request(queue_share=0.5))
    generations += [engine.chat(request()) for _ in range(2)]
    go.set()
    assert [result(generation)[1] for generation in generations] == ["stop"] * 4


def test_who_waits_knows_the_position_and_comes_in_turn(upstream, new_engine):
    engine = new_engine(upstream.url, running=1, waiting=3)
    go, generations = held(upstream, engine, 2)
    bob = engine.chat(request(owner="bob"))
    assert engine.queue_full() is None
    carol = engine.chat(request(owner="carol"))
    assert engine.queue_full() > 0
    with pytest.raises(QueueFull):
        engine.chat(request())
    assert [output.position for output in bob.take(DEADLINE) if isinstance(output, Waiting)][-1] == 0  # before alice
    engine.cancel(bob)
    assert result(bob) == ("", "stopped", NO_ERROR)
    go.set()
    assert [result(each) for each in (*generations, carol)] == [HELLO] * 3
    assert engine.queue_full(expected=4) > 0


def test_close_ends_what_runs_and_what_waits(upstream, new_engine):
    engine = new_engine(upstream.url, running=1)
    go, generations = held(upstream, engine, 3)
    upstream.wait_until(lambda: upstream.requests)
    engine.close()
    assert [result(generation) for generation in generations] == [("", "error", NO_ERROR)] * 3
    with pytest.raises(EngineClosed):
        engine.chat(request())
    assert not engine._thread.is_alive()
    go.set()


def test_an_engine_can_be_closed_before_it_has_begun(upstream):
    for start in (False, True):
        engine = RemoteEngine(Address(upstream.url), max_running=1, max_waiting=1)
        if start:
            engine.start()
        engine.close()
        with pytest.raises(EngineClosed):
            engine.wait_until_ready()


def test_whatever_happens_every_request_ends_once(engine, upstream):
    chance = random.Random(0)
    faults = [*TRANSIENT.values(), *BREAKS.values(), hang]
    generations = []
    for _ in range(100):
        upstream.script.append(chance.choice([chance.choice(faults), lambda exchange: exchange.answer("a", "b")]))
        with suppress(QueueFull, EngineUnavailable):
            generations.append(engine.chat(request(owner=chance.choice("abc"))))
            engine.cancel(chance.choice(generations))
    for generation in generations:
        engine.cancel(generation)
    ends = [outputs_of(generation)[-1].reason for generation in generations]
    assert len(ends) > 10
    stats = engine.stats()
    assert (stats.running, stats.waiting, stats.answers) == (0, 0, len(ends))


def test_log_lines_carry_the_id_of_the_request_that_asked(upstream, new_engine):
    engine = new_engine(upstream.url, running=1)
    upstream.script += [lambda exchange: exchange.refuse("400 Bad Request")] * 2
    generations = []
    with capture_logs(processors=[merge_contextvars]) as logs:
        for name in "ab":
            with bound_contextvars(request_id=name):
                generations.append(engine.chat(request()))
        assert [result(generation)[1] for generation in generations] == ["error", "error"]
    assert [line["request_id"] for line in logs] == ["a", "b"]


# ---- a server that is away -----------------------------------------------------------------------


def test_a_server_that_is_away_at_the_start_is_found_when_it_comes(upstream, new_engine):
    upstream.shut()
    engine = new_engine(upstream.url)
    with pytest.raises(EngineUnavailable, match="cannot be reached"):
        engine.wait_until_ready()
    assert engine.name == "remote model"
    upstream.open()
    wait_until(lambda: engine.stats().state == "ready")
    assert engine.stats().problem is None
    assert result(engine.chat(request())) == HELLO


def test_a_server_that_dies_in_an_answer_is_noticed_without_another_question(engine, upstream):
    go = threading.Event()
    upstream.script.append(lambda exchange: (exchange.head(), exchange.event("half"), go.wait(DEADLINE)))
    generation = engine.chat(request())
    assert generation.take(DEADLINE) == [Text("half")]
    upstream.shut()
    go.set()
    wait_until(lambda: engine.stats().state == "failed")
    with pytest.raises(EngineUnavailable, match="cannot be reached"):
        engine.chat(request())


def test_who_waits_when_the_server_fails_for_good_is_told_at_once(upstream, new_engine):
    engine = new_engine(upstream.url, running=1)
    go = threading.Event()
    upstream.script.append(lambda exchange: (go.wait(DEADLINE), exchange.refuse("401 Unauthorized")))
    generations = [engine.chat(request()) for _ in range(3)]
    upstream.models = ("401 Unauthorized", {})
    go.set()
    assert [result(generation) for generation in generations] == [("", "error", EngineUnavailable)] * 3
    assert len(upstream.requests) == 1


def test_a_server_that_is_there_but_fails_is_left_alone_and_then_tried_with_one_question(engine, upstream):
    upstream.script += [lambda exchange: exchange.refuse("500 Oh")] * 4
    for _ in range(3):
        assert result(engine.chat(request())) == ("", "error", EngineUnavailable)
    assert engine.stats().state == "failed"
    wait_until(lambda: engine.stats().state == "ready")
    assert result(engine.chat(request()))[1] == "error"
    assert engine.stats().state == "failed"
    wait_until(lambda: engine.stats().state == "ready")
    assert result(engine.chat(request())) == HELLO


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (("401 Unauthorized", {}), "refuses the key"),
        (("200 OK", b"<html>"), "no list of models"),
        (("200 OK", {"data": []}), "lists no model"),
        (("404 Not Found", b""), "no such model or address"),
    ],
)
def test_why_a_server_cannot_be_used_is_said(upstream, new_engine, answer, sentence):
    upstream.models = answer
    with pytest.raises(EngineUnavailable, match=sentence):
        new_engine(upstream.url).wait_until_ready()


@pytest.mark.parametrize("speak", [silence, trickle])
def test_a_host_that_never_answers_is_no_server(new_engine, monkeypatch, speak):
    monkeypatch.setattr("webchat.engine.upstream._LOOK", SHORT)
    with host_that(speak) as host, pytest.raises(EngineUnavailable, match="does not answer in time"):
        new_engine(host.endpoint).wait_until_ready()


def test_a_model_that_is_not_listed_is_asked_for_all_the_same(upstream, new_engine):
    upstream.models = ("200 OK", json.loads(json.dumps(MODELS).replace("someone", "vllm")))
    engine = new_engine(upstream.url, model="alias")
    assert result(engine.chat(request())) == HELLO
    assert upstream.requests[0].body["model"] == "alias"
    assert "repetition_penalty" in upstream.requests[0].body


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://h", "http://h/v1"),
        ("http://h/", "http://h/v1"),
        ("http://h/v1", "http://h/v1"),
        ("https://h:8000/openai/v1/", "https://h:8000/openai/v1"),
        ("https://h/api/v3", "https://h/api/v3"),
        ("https://h/proxy", "https://h/proxy/v1"),
    ],
)
def test_an_address_may_end_in_its_version_or_not(url, base):
    assert Address(url).base == base


def test_an_engine_that_dies_says_so_and_leaves_nobody_waiting(upstream, monkeypatch):
    deaths = []
    engine = RemoteEngine(Address(upstream.url), max_running=1, max_waiting=1, on_death=deaths.append)
    monkeypatch.setattr(engine._watch, "_chosen", None)
    with capture_logs() as logs:
        engine.start()
        engine._thread.join(DEADLINE)
    assert len(deaths) == 1
    assert engine.stats().state == "failed"
    assert "engine died" in str(logs)
    engine.close()
