"""Guesses: where they come from, how many are worth it, and that they change no answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.backends import ByteBackend, RecordedLlama

from webchat.engine.calibration import Costs
from webchat.engine.generation import Request, Sampling, Text
from webchat.engine.lookup import MOST, Lookup, worth_guessing

CHEAP_ROWS = Costs({1: 0.012, 2: 0.014, 16: 0.042}, {1: 0.012, 64: 0.2})


# ---- where they come from --------------------------------------------------------------------------------------


def test_what_followed_before_is_guessed_to_follow_again():
    lookup = Lookup(b"the price is 12. so the pri")
    assert bytes(lookup.guess(6)) == b"ce is "
    assert lookup.guess(0) == []
    lookup.add(ord("c"))
    assert bytes(lookup.guess(2)) == b"e "


def test_the_latest_place_counts():
    assert bytes(Lookup(b"abc1 abc2 abc").guess(2)) == b"2 "


def test_what_was_never_said_is_not_guessed():
    assert Lookup(b"abcdefgh").guess(5) == []
    assert Lookup(b"ab").guess(5) == []
    assert Lookup(b"").guess(5) == []


def test_what_the_answer_itself_has_said_is_known_too():
    lookup = Lookup(b"?")
    for token in b"one two, one t":
        lookup.add(token)
    assert bytes(lookup.guess(2)) == b"wo"


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_what_is_guessed_stood_behind_the_same_three_tokens(prompt, answer):
    lookup, said = Lookup(prompt), list(prompt)
    for token in answer:
        lookup.add(token)
        said.append(token)
        if guess := lookup.guess(MOST):
            assert bytes(said[-3:] + guess) in bytes(said)
        assert 0 < lookup.trust <= 1 or lookup.trust == pytest.approx(0, abs=1e-3)


def test_trust_follows_how_often_guesses_are_right():
    lookup = Lookup(b"0123456789" * 2)
    for token in b"0123456789":
        lookup.add(token)
    assert lookup.trust > 0.9
    for token in b"0124 0125 0126 0127":
        lookup.add(token)
    assert lookup.trust < 0.6


# ---- how many are worth it -------------------------------------------------------------------------------------


def test_more_is_guessed_where_guesses_were_right():
    counts = [worth_guessing([(trust, 7)], CHEAP_ROWS.step, 128)[0] for trust in (0.0, 0.1, 0.5, 0.9, 1.0)]
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (0, 7)


def test_nothing_is_guessed_where_a_row_costs_as_much_as_a_step():
    assert worth_guessing([(0.99, 7)], Costs({1: 0.01}, {1: 0.01}).step, 128) == [0]


def test_no_more_than_there_is():
    assert worth_guessing([(1.0, 2), (1.0, 0), (1.0, 1)], CHEAP_ROWS.step, 128) == [2, 0, 1]
    assert worth_guessing([(1.0, 7)], CHEAP_ROWS.step, 4) == [3]
    assert worth_guessing([], CHEAP_ROWS.step, 128) == []


def test_who_repeats_himself_does_not_make_the_others_wait():
    [alone], (beside, _) = (
        worth_guessing(trusts, CHEAP_ROWS.step, 128) for trusts in ([(1.0, 7)], [(1.0, 7), (0.0, 0)])
    )
    assert alone == 7
    assert 0 < beside < 7
    assert CHEAP_ROWS.step(2 + beside) <= 1.5 * CHEAP_ROWS.step(2)


# ---- answers ---------------------------------------------------------------------------------------------------


def ask(engine, prompt, tokens, **sampling):
    sampling = Sampling(**{"temperature": 0, "repeat_penalty": 1.0} | sampling)
    *texts, end = engine.submit(Request(tuple(prompt), tokens, sampling))
    return "".join(output.text for output in texts if isinstance(output, Text)), end


@pytest.mark.parametrize("tokens", [5, 40, 200])
def test_a_repeated_sentence_comes_in_fewer_steps_and_ends_where_it_should(serve, tokens):
    sentence = b"Returns are free within seven days, unworn and in their box. "
    backend = ByteBackend(lambda _prompt: sentence * 2)
    text, end = ask(serve(backend, calibrate=lambda _: CHEAP_ROWS), b"You know: " + sentence + b"?", tokens)
    assert text == (sentence * 2).decode()[:tokens]
    assert end.reason == ("length" if tokens < len(sentence) * 2 else "stop")
    assert end.stats.new_tokens == min(tokens, len(sentence) * 2)
    steps = len(backend.batches)
    assert steps < end.stats.new_tokens / 3 if tokens > MOST else steps <= tokens
    assert backend.prompts()[0][: len(b"You know: ")] == b"You know: "


@pytest.mark.parametrize("sampling", [{}, {"temperature": 1.2, "seed": 5}, {"repeat_penalty": 1.3}])
def test_an_answer_is_the_same_with_guesses_and_without(serve, tiny_model, sampling):
    prompt, answers, batches = b"again and again and again " * 3, [], []
    for costs in (CHEAP_ROWS, Costs({1: 0.01}, {1: 0.01})):
        backend = RecordedLlama(tiny_model, sequences=4, cells=1024, threads=1)
        engine = serve(backend, calibrate=lambda _, costs=costs: costs)
        ask(engine, prompt, 120, **sampling)
        answers.append(backend.answers[0])
        batches.append(len(backend.batches))
    assert answers[0] == answers[1]
    assert batches[0] <= batches[1]


def test_what_was_guessed_wrongly_is_not_in_the_cache(serve):
    """The backend checks at each step that the cache holds what it should; the next turn finds the whole answer."""
    backend = ByteBackend(
        lambda prompt: b"one two three, one two four. one two five" if prompt.endswith(b"?") else b"!"
    )
    engine = serve(backend, calibrate=lambda _: CHEAP_ROWS)
    prompt = b"one two six; one two seven; how many?"
    text, _ = ask(engine, prompt, 100)
    assert text == "one two three, one two four. one two five"
    assert any(choose > 1 for batch in backend.batches for *_, choose in batch), "something was guessed"
    _, end = ask(engine, prompt + text.encode() + b" and", 4)
    assert end.stats.reused_tokens == len(prompt) + len(text)
