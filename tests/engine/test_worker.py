"""The engine: many generations at once, each with its own whole answer, whatever happens around them."""

from __future__ import annotations

import gc
import random
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from support.backends import DEADLINE, ByteBackend, RecordedLlama
from support.tiny_model import write_tiny_model

from webchat import engine as engine_room
from webchat.engine.generation import (
    Ended,
    EngineUnavailable,
    Generation,
    PromptTooLong,
    QueueFull,
    Request,
    Sampling,
    Text,
    Waiting,
)
from webchat.engine.llama import LlamaBackend
from webchat.engine.text import TextAssembler
from webchat.engine.worker import LocalEngine

GREEDY = Sampling(temperature=0, repeat_penalty=1.0)
# How far below the likeliest token's logit the chosen one may lie when both are computed in batches of different
# width: llama.cpp rounds differently then. A token chosen from another context lies whole units below.
ROUNDING = 0.1


def ask(prompt=b"hello", new=100, owner="", **more):
    return Request(tuple(prompt), new, GREEDY, owner=owner, **more)


def outputs_of(generation: Generation) -> list:
    """All outputs, the end included; fails instead of waiting for ever."""
    outputs = []
    while not (outputs and isinstance(outputs[-1], Ended)):
        new = generation.take(DEADLINE)
        assert new, "nothing more came"
        outputs += new
    assert generation.take(0) == [], "something came after the end"
    assert sum(isinstance(output, Ended) for output in outputs) == 1
    return outputs


def result(generation: Generation) -> tuple[str, str]:
    """The text and the reason of its end."""
    outputs = outputs_of(generation)
    return "".join(output.text for output in outputs if isinstance(output, Text)), outputs[-1].reason


def submit_and_hold(engine, backend, request):
    """Have a generation write its first token, and hold the step of its second."""
    backend.gate.hold()
    generation = engine.submit(request)
    backend.gate.wait_until_held()
    backend.gate.allow()
    backend.gate.wait_until_held()
    return generation


@pytest.fixture
def scripted(serve):
    """An engine on the scripted backend, which writes the prompt in capitals."""
    backend = ByteBackend()
    return serve(backend), backend


@pytest.fixture(scope="module")
def endless_model(tmp_path_factory):
    """Random weights whose answers end at their limit only."""
    return write_tiny_model(tmp_path_factory.mktemp("weights") / "endless.gguf", endless=True)


@pytest.fixture
def recorded(tiny_model, serve):
    """An engine on the tiny model, with a record."""

    def start(*, model=tiny_model, sequences=8, cells=4096, **more):
        backend = RecordedLlama(model, sequences=sequences, cells=cells, threads=1)
        return serve(backend, **more), backend

    return start


@pytest.fixture(scope="module")
def alone(tiny_model):
    """A model of its own, to compute what one answer would have been."""
    with closing(LlamaBackend(tiny_model, sequences=1, cells=4096, threads=1)) as backend:
        yield backend


def assert_chosen_alone(backend, prompt, tokens):
    """Check that each token is the likeliest one after the prompt and the tokens before it, computed alone."""
    backend.truncate(0, 0)
    backend.begin(0, GREEDY)
    at = 0
    while len(prompt) - at > backend.max_batch:
        backend.decode([(0, at, list(prompt[at : at + backend.max_batch]), 0)])
        at += backend.max_batch
    step = list(prompt[at:])
    for position, token in enumerate(tokens):
        backend.decode([(0, at, step, 1)])
        logits = backend._logits(-1)
        assert max(logits) - logits[token] < ROUNDING, f"token {position} was chosen from another context"
        at, step = at + len(step), [token]


def words(backend, tokens):
    assembler = TextAssembler()
    return "".join(assembler.push(backend.piece(token)) for token in tokens) + assembler.flush()


# ---- many at once -----------------------------------------------------------------------------------------


def test_twenty_at_once_each_get_the_answer_they_would_get_alone(recorded, alone):
    chance = random.Random(1)
    shared = bytes(chance.randrange(256) for _ in range(40))
    prompts = [shared[: chance.choice((0, 40))] + chance.randbytes(chance.randrange(5, 200)) for _ in range(20)]
    engine, backend = recorded(max_running=20, sequences=24, cells=8192)
    backend.gate.hold()
    generations = [engine.submit(ask(prompt, 48, owner=str(number))) for number, prompt in enumerate(prompts)]
    backend.gate.open()
    texts = [result(generation)[0] for generation in generations]
    assert max(len(batch) for batch in backend.batches) > 10
    written = {words(backend, tokens): tokens for tokens in backend.answers}  # who begins alike begins later
    for prompt, text in zip(prompts, texts, strict=True):
        assert_chosen_alone(alone, prompt, written[text])


def test_a_reused_beginning_changes_nothing(recorded, alone):
    engine, backend = recorded()
    persona, prompts = b"You are kind. " * 20, []
    for question in (b"one", b"two", b"one and more", b"one"):
        prompts.append(persona + question)
        [*_, end] = outputs_of(engine.submit(ask(prompts[-1], 24)))
        assert end.stats.prompt_tokens == len(prompts[-1])
        assert (end.stats.reused_tokens >= len(persona)) == (len(prompts) > 1)
    assert engine.stats().reused_tokens >= 3 * len(persona)
    for prompt, tokens in zip(prompts, backend.answers, strict=True):
        assert_chosen_alone(alone, prompt, tokens)


def test_the_next_turn_computes_only_what_is_new(recorded, alone):
    engine, backend = recorded()
    result(engine.submit(ask(b"first question", 20)))
    answer = bytes(token for token in backend.answers[0] if token < 256)
    second = b"first question" + answer + b" second question"
    [*_, end] = outputs_of(engine.submit(ask(second, 20)))
    # But the answer's last token, which was chosen and never computed.
    known = len(b"first question" + answer) - 1
    assert end.stats.reused_tokens >= known
    assert_chosen_alone(alone, second, backend.answers[1])


def test_a_source_is_copied_before_it_is_emptied(recorded, alone):
    """The second prompt shares 100 tokens with an idle slot that must go to make room for it."""
    engine, backend = recorded(sequences=2, cells=512)
    common, chance = b"c" * 100, random.Random(2)
    prompts = [common + chance.randbytes(300), common + chance.randbytes(250)]
    ends = [outputs_of(engine.submit(ask(prompt, 32)))[-1] for prompt in prompts]
    assert ends[1].stats.reused_tokens == 100
    for prompt, tokens in zip(prompts, backend.answers, strict=True):
        assert_chosen_alone(alone, prompt, tokens)


def test_the_cache_holds_what_the_engine_believes_whatever_comes(serve):
    """The scripted backend checks at each step that it goes on where the sequence ends."""
    backend = ByteBackend(sequences=6, cells=300)
    engine = serve(backend, max_running=4)
    chance = random.Random(3)
    asked = []
    for number in range(150):
        prompt = b"the same beginning "[: chance.randrange(1, 20)] + chance.randbytes(chance.randrange(1, 60))
        asked.append((prompt, engine.submit(ask(prompt, 100, owner=str(number)))))
        if chance.random() < 0.2:
            engine.cancel(chance.choice(asked)[1])
        if number % 20 == 0:
            outputs = asked[-1][1]
            assert result(outputs)[1] in ("stop", "stopped")
            asked.pop()
    for prompt, generation in asked:
        text, reason = result(generation)
        whole = prompt.upper().decode(errors="ignore").replace("\0", "")
        assert text == whole if reason == "stop" else whole.startswith(text)


def test_a_long_prompt_beside_running_answers_is_read_in_pieces_and_disturbs_nobody(recorded, endless_model):
    engine, backend = recorded(model=endless_model, cells=8192)
    first = submit_and_hold(engine, backend, ask(b"stream 0", 150, owner="0"))
    streams = [first, *(engine.submit(ask(f"stream {number}".encode(), 150, owner=str(number))) for number in (1, 2))]
    backend.gate.allow()
    backend.gate.wait_until_held()
    backend.gate.allow()
    backend.gate.wait_until_held()
    prompt = random.Random(4).randbytes(2000)
    late = engine.submit(ask(prompt, 24, owner="late"))
    backend.gate.open()
    for generation in (late, *streams):
        assert outputs_of(generation)[-1].reason == "length"
    sizes = [[len(tokens) for _, _, tokens, _ in batch] for batch in backend.batches]
    pieces = [at for at, parts in enumerate(sizes) if parts[0] > 1 and at > 3]
    assert sum(sizes[at][0] for at in pieces) == len(prompt)
    assert len(pieces) >= len(prompt) / backend.max_batch
    with closing(LlamaBackend(endless_model, sequences=1, cells=4096, threads=1)) as backend_alone:
        assert_chosen_alone(backend_alone, prompt, backend.answers[3])


def test_who_waits_for_a_prompt_that_is_being_read_holds_up_nobody_else(scripted):
    engine, backend = scripted
    backend.gate.hold()
    reading = engine.submit(ask(b"x" * 1500, 9, owner="a"))
    backend.gate.wait_until_held()
    alike = engine.submit(ask(b"x" * 1500, 1, owner="b"))
    other = engine.submit(ask(b"abc", 3, owner="c"))
    backend.gate.allow(5)
    assert result(other) == ("ABC", "length")
    assert not any(isinstance(output, Text) for output in reading.take(0) + alike.take(0)), "they have not begun"
    backend.gate.open()
    assert result(reading) == ("X" * 9, "length")
    *_, end = outputs_of(alike)
    assert end.stats.reused_tokens == 1499, "it was worth waiting for"


# ---- what a consumer sees ---------------------------------------------------------------------------------


def test_an_answer_is_text_and_one_end(scripted):
    engine, _ = scripted
    assert result(engine.submit(ask("你好, world".encode()))) == ("你好, WORLD", "stop")


def test_iterating_ends_after_the_end(scripted):
    engine, _ = scripted
    *texts, end = engine.submit(ask(b"abc"))
    assert [output.text for output in texts] == ["A", "B", "C"]
    assert end.reason == "stop"


def test_an_answer_is_cut_at_its_limit_without_half_a_character(scripted):
    engine, _ = scripted
    assert result(engine.submit(ask("你好".encode(), 4))) == ("你", "length")


def test_a_stop_string_ends_an_answer_and_is_no_part_of_it(scripted):
    engine, _ = scripted
    assert result(engine.submit(ask(b"one. two. three", stop=(". T",)))) == ("ONE", "stop")
    assert result(engine.submit(ask(b"one. t", stop=(". TWO",)))) == ("ONE. T", "stop")


def test_what_follows_a_stop_string_is_not_even_computed(scripted):
    engine, backend = scripted
    [*_, end] = outputs_of(engine.submit(ask(b"one. two. three", stop=(".",))))
    assert (end.reason, end.stats.new_tokens) == ("stop", len("ONE."))
    assert len(backend.batches) == len("ONE.")


def test_an_empty_answer_is_an_end_without_text(serve):
    engine = serve(ByteBackend(lambda _prompt: b""))
    assert result(engine.submit(ask())) == ("", "stop")


def test_the_stats_of_an_answer_add_up(scripted):
    engine, _ = scripted
    [*_, end] = outputs_of(engine.submit(ask(b"twelve bytes")))
    stats = end.stats
    assert (stats.prompt_tokens, stats.reused_tokens, stats.new_tokens) == (12, 0, 12)
    assert 0 <= stats.queued_seconds <= stats.first_text_seconds <= stats.total_seconds
    [*_, end] = outputs_of(engine.submit(ask(b"twelve bytes")))
    assert end.stats.reused_tokens == 11, "the last chooses the first of the answer"
    totals = engine.stats()
    assert (totals.state, totals.problem, totals.running, totals.waiting) == ("ready", None, 0, 0)
    assert (totals.answers, totals.prompt_tokens, totals.reused_tokens, totals.new_tokens) == (2, 24, 11, 24)


# ---- the queue --------------------------------------------------------------------------------------------


@pytest.fixture
def busy(serve):
    """An engine of width one with a generation that is held while it writes."""
    backend = ByteBackend()
    engine = serve(backend, max_running=1, max_waiting=2)
    running = submit_and_hold(engine, backend, ask(b"running", owner="running"))
    return engine, backend, running


def test_who_waits_is_told_the_place_and_the_time(busy):
    engine, backend, running = busy
    first, second = engine.submit(ask(owner="a")), engine.submit(ask(owner="b"))
    backend.gate.allow()
    assert first.take(DEADLINE) == [Waiting(0, 8.0)]
    assert second.take(DEADLINE) == [Waiting(1, 16.0)]
    backend.gate.open()
    outputs_of(running)
    told = [output for output in outputs_of(second) if isinstance(output, Waiting)]
    assert told[-1].position == 0
    assert told[-1].eta_seconds < 8.0, "the guess learns from the answers that have ended"


def test_who_moves_up_because_another_gave_up_is_told(busy):
    engine, backend, _ = busy
    first, second = engine.submit(ask(owner="a")), engine.submit(ask(owner="b"))
    backend.gate.allow()
    assert second.take(DEADLINE) == [Waiting(1, 16.0)]
    engine.cancel(first)
    backend.gate.allow()
    assert second.take(DEADLINE) == [Waiting(0, 8.0)]


def test_reading_a_prompt_ahead_is_no_answer_and_says_nothing_about_how_long_they_take(serve):
    backend = ByteBackend()
    engine = serve(backend, max_running=1)
    result(engine.submit(ask(b"persona", 1, ahead=True)))
    totals = engine.stats()
    assert (totals.answers, totals.prompt_tokens, totals.new_tokens) == (0, 0, 0)
    submit_and_hold(engine, backend, ask(b"running", owner="running"))
    waiting = engine.submit(ask())
    backend.gate.allow()
    assert waiting.take(DEADLINE) == [Waiting(0, 8.0)]


def test_an_answer_of_one_token_is_one(serve):
    backend = ByteBackend()
    engine = serve(backend, max_running=1)
    result(engine.submit(ask(b"yes or no?", 1)))
    assert (engine.stats().answers, engine.stats().new_tokens) == (1, 1)
    submit_and_hold(engine, backend, ask(b"running", owner="running"))
    waiting = engine.submit(ask())
    backend.gate.allow()
    (told,) = waiting.take(DEADLINE)
    assert told.eta_seconds < 8.0, "it says how long answers take, as every other"


def test_a_full_queue_says_when_to_come_back(busy):
    engine, backend, _ = busy
    assert engine.queue_full() is None
    assert engine.queue_full(expected=2) is None
    assert engine.queue_full(expected=3) == 24.0, "one runs, two wait for their prompts"
    waiting = [engine.submit(ask(owner=owner)) for owner in "ab"]
    assert engine.queue_full() == 24.0
    with pytest.raises(QueueFull) as full:
        engine.submit(ask(owner="c"))
    assert full.value.retry_after == 24.0
    assert engine.stats().waiting == 2
    engine.cancel(waiting[0])
    backend.gate.allow()
    assert result(waiting[0]) == ("", "stopped")
    assert engine.queue_full() is None
    engine.submit(ask(owner="c"))


@pytest.mark.parametrize(("waiting", "half"), [(1, 0), (2, 1), (5, 2)])
def test_who_may_have_half_of_the_queue_leaves_the_other_half(serve, waiting, half):
    backend = ByteBackend()
    engine = serve(backend, max_running=1, max_waiting=waiting)
    backend.gate.hold()
    generations = [engine.submit(ask(owner=str(number), queue_share=0.5)) for number in range(1 + half)]
    with pytest.raises(QueueFull) as full:
        engine.submit(ask(queue_share=0.5))
    assert full.value.retry_after > 0
    generations += [engine.submit(ask()) for _ in range(waiting - half)]
    with pytest.raises(QueueFull):
        engine.submit(ask())
    backend.gate.open()
    assert [result(generation)[1] for generation in generations] == ["stop"] * (1 + waiting)


def test_as_many_as_there_are_places_can_come_at_the_same_moment(serve):
    """Nobody is turned away because the engine has not yet admitted those who came before."""
    backend = ByteBackend()
    engine = serve(backend, max_running=3, max_waiting=2)
    for _ in range(20):
        with engine._note:  # the engine's thread sees them only all together
            generations = [engine.submit(ask(b"abc", owner=str(number))) for number in range(5)]
            with pytest.raises(QueueFull):
                engine.submit(ask())
        assert [result(generation) for generation in generations] == [("ABC", "stop")] * 5


def test_what_cannot_fit_the_cache_is_refused_at_once(scripted):
    engine, backend = scripted
    with pytest.raises(PromptTooLong):
        engine.submit(ask(b"x" * (backend.cells - 9), 10))
    with pytest.raises(PromptTooLong):
        engine.submit(ask(b"x", backend.cells))
    assert result(engine.submit(ask(b"x" * (backend.cells - 10), 10)))[1] == "length"


@pytest.mark.parametrize("request_", [ask(b""), ask(new=0), ask(new=-1)])
def test_a_request_for_nothing_is_a_mistake_of_the_caller(scripted, request_):
    with pytest.raises(ValueError, match="a request needs"):
        scripted[0].submit(request_)


# ---- cancel -----------------------------------------------------------------------------------------------


def test_cancel_while_waiting(busy):
    engine, backend, running = busy
    waiting = engine.submit(ask(owner="a"))
    engine.cancel(waiting)
    backend.gate.allow()
    assert result(waiting) == ("", "stopped")
    backend.gate.open()
    assert result(running)[1] == "stop"


def test_cancel_while_the_prompt_is_read(serve):
    backend = ByteBackend()
    engine = serve(backend)
    backend.gate.hold()
    reading = engine.submit(ask(b"x" * 1500))
    backend.gate.wait_until_held()
    engine.cancel(reading)
    backend.gate.allow()
    assert result(reading) == ("", "stopped")
    assert backend.gate.begun == 1
    backend.gate.open()
    assert result(engine.submit(ask(b"x" * 600, 3))) == ("XXX", "length")


def test_cancel_while_writing_ends_within_the_step_and_keeps_the_text(scripted):
    engine, backend = scripted
    writing = submit_and_hold(engine, backend, ask(b"a long answer"))
    engine.cancel(writing)
    engine.cancel(writing)
    backend.gate.allow()
    assert result(writing) == ("A ", "stopped")
    assert backend.gate.begun == 2
    assert engine.stats().running == 0


def test_cancel_after_the_end_changes_nothing(scripted):
    engine, _ = scripted
    ended = engine.submit(ask(b"abc"))
    assert result(ended) == ("ABC", "stop")
    engine.cancel(ended)
    assert result(engine.submit(ask(b"next"))) == ("NEXT", "stop")
    assert ended.take(0) == []


def test_what_was_cancelled_gives_its_room_back(serve):
    backend = ByteBackend(sequences=1, cells=64)
    engine = serve(backend, max_running=1)
    for _ in range(20):
        backend.gate.hold()
        generation = engine.submit(ask(b"x" * 30, 30))
        backend.gate.wait_until_held()
        engine.cancel(generation)
        backend.gate.open()
        outputs_of(generation)
    assert result(engine.submit(ask(b"y" * 30, 34)))[0] == "Y" * 30


# ---- loading, dying, closing ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("load", "sentence"),
    [
        (lambda: LlamaBackend(Path("/nowhere/model.gguf"), sequences=1, cells=256), "there is no model file"),
        (lambda: LlamaBackend(Path(__file__), sequences=1, cells=256), "could not be loaded"),
        (lambda: 1 / 0, "could not be loaded: division by zero"),
    ],
    ids=["missing", "no model", "anything else"],
)
def test_a_model_that_cannot_be_loaded_leaves_an_engine_that_says_so(load, sentence):
    engine = LocalEngine("broken", load, max_running=1, max_waiting=1, on_death=pytest.fail)
    with capture_logs() as logs:
        engine.start()
        with pytest.raises(EngineUnavailable, match=sentence):
            engine.wait_until_ready(DEADLINE)
    assert any(entry["log_level"] == "error" for entry in logs)
    with pytest.raises(EngineUnavailable, match=sentence):
        engine.submit(ask())
    stats = engine.stats()
    assert stats.state == "failed"
    assert sentence in stats.problem
    assert engine.queue_full() is None
    engine.close()


@pytest.fixture
def slow():
    """An engine whose model is being loaded until the test sets the event."""
    loaded, backend = threading.Event(), ByteBackend()

    def load():
        assert loaded.wait(DEADLINE)
        return backend

    engine = LocalEngine("slow", load, max_running=1, max_waiting=1)
    engine.start()
    yield engine, loaded, backend
    loaded.set()
    engine.close()


def test_while_a_model_is_loaded_nobody_is_kept_waiting_longer_than_asked(slow):
    engine, loaded, _ = slow
    with pytest.raises(EngineUnavailable, match="loading"):
        engine.wait_until_ready(0)
    with pytest.raises(EngineUnavailable, match="loading"):
        engine.submit(ask())
    loaded.set()
    engine.wait_until_ready(DEADLINE)
    assert result(engine.submit(ask(b"abc"))) == ("ABC", "stop")


def test_closing_while_a_model_is_loaded_frees_it_and_tells_who_waits(slow):
    engine, loaded, backend = slow
    told = []

    def wait():
        with pytest.raises(EngineUnavailable, match="closed"):
            engine.wait_until_ready()
        told.append(True)
        loaded.set()

    waiter = threading.Thread(target=wait)
    waiter.start()
    engine.close()
    waiter.join(DEADLINE)
    assert told == [True]
    assert backend.closed


@pytest.mark.parametrize("moment", ["step", "placing"])
def test_when_the_thread_dies_everybody_is_told_once(moment):
    backend, deaths, died = ByteBackend(sequences=2), [], threading.Event()

    def on_death(error):
        deaths.append(error)
        died.set()

    engine = LocalEngine("mortal", lambda: backend, max_running=2, max_waiting=9, on_death=on_death)
    engine.start()
    engine.wait_until_ready(DEADLINE)
    backend.gate.hold()
    error = RuntimeError("llama_decode returned -3")
    asked = [engine.submit(ask(b"abc", owner=str(number))) for number in range(5)]
    backend.gate.wait_until_held()
    if moment == "step":
        backend.error = error
    else:

        def begin(sequence, sampling):
            raise error

        backend.begin = begin
    with capture_logs() as logs:
        backend.gate.open()
        assert died.wait(DEADLINE)
    reasons = [result(generation)[1] for generation in asked]
    assert reasons.count("error") >= 3
    assert set(reasons) <= {"error", "stop"}
    assert deaths == [error]
    assert any(entry["log_level"] == "critical" for entry in logs)
    with pytest.raises(EngineUnavailable, match="the engine died"):
        engine.submit(ask())
    assert engine.stats().state == "failed"
    engine.close()
    assert engine.stats().state == "failed"


def test_closing_ends_what_runs_and_what_waits_and_frees_the_model(busy):
    engine, backend, running = busy
    waiting = engine.submit(ask(owner="a"))
    closer = threading.Thread(target=engine.close)
    closer.start()
    with engine._note:
        assert engine._note.wait_for(lambda: engine._state == "closed", DEADLINE)
    backend.gate.open()
    closer.join(DEADLINE)
    assert not closer.is_alive()
    assert result(running)[1] == "error"
    assert result(waiting) == ("", "error")
    assert backend.closed
    assert engine.stats().state == "closed"
    engine.close()


def test_an_engine_that_never_started_can_be_closed():
    engine = LocalEngine("idle", ByteBackend, max_running=1, max_waiting=1)
    engine.close()
    with pytest.raises(EngineUnavailable, match="closed"):
        engine.submit(ask())


def test_a_process_holds_one_engine():
    first, second = (LocalEngine(name, ByteBackend, max_running=1, max_waiting=1) for name in ("first", "second"))
    engine_room.install(first)
    try:
        with pytest.raises(RuntimeError, match="already"):
            engine_room.install(second)
        first.wait_until_ready(DEADLINE)
    finally:
        engine_room.remove()
    assert first.stats().state == "closed"
    engine_room.install(second)
    engine_room.remove()
    assert second.stats().state == "closed"
    engine_room.remove()


# ---- endurance --------------------------------------------------------------------------------------------


def test_two_thousand_short_answers_leave_nothing_behind(recorded):
    engine, backend = recorded(sequences=8, cells=1024)
    chance = random.Random(5)
    begun, waiting = 0, []
    while begun < 2000:
        prompt = b"shared persona "[: chance.randrange(16)] + chance.randbytes(chance.randrange(1, 8))
        waiting.append(engine.submit(ask(prompt, chance.randrange(1, 4), owner=str(begun))))
        begun += 1
        if chance.random() < 0.1:
            engine.cancel(chance.choice(waiting))
        if len(waiting) == 32:
            for generation in waiting:
                outputs_of(generation)
            waiting.clear()
    for generation in waiting:
        outputs_of(generation)
    del generation
    waiting.clear()
    assert engine.stats().answers == 2000
    assert len(backend._samplers) <= backend.sequences
    assert engine._delivery._writers == {}
    assert engine._cancelled == []
    assert not engine._scheduler.waiting
    assert not engine._scheduler.running
    gc.collect()
    # Only the engine's last step may still be remembered, by the variables of its loop.
    assert sum(isinstance(thing, Generation) for thing in gc.get_objects()) <= 4
    # The whole cache is there for one again, and every sequence.
    whole = backend.cells
    assert result(engine.submit(ask(chance.randbytes(whole - 1), 1)))[1] in ("length", "stop")


def test_an_answer_whose_patience_ends_is_late_begun_or_not(serve):
    backend = ByteBackend()
    engine = serve(backend, max_running=1)
    begun = submit_and_hold(engine, backend, ask(b"x" * 50, patience=0.05, owner="a"))
    waiting = engine.submit(ask(b"y", patience=0.05, owner="b"))
    patient = engine.submit(ask(b"z", owner="c"))
    while begun.submitted_at + 0.05 > time.monotonic() or waiting.submitted_at + 0.05 > time.monotonic():
        pass
    backend.gate.open()
    text, reason = result(begun)
    assert reason == "late"
    assert text.startswith("X")
    assert result(waiting) == ("", "late")
    assert result(patient) == ("Z", "stop")
