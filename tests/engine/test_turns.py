"""Which turns stay, and how long a text is by estimate."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webchat.answering.persona import persona
from webchat.engine.interface import ChatMessage
from webchat.engine.llama import LlamaBackend
from webchat.engine.turns import estimated_tokens, newest, split

SYSTEM, ANSWER = ChatMessage("system", "规则"), ChatMessage("assistant", "答")
FIRST, SECOND = ChatMessage("user", "问一"), ChatMessage("user", "问二")


@pytest.mark.parametrize(
    ("messages", "parts"),
    [
        ([SYSTEM, FIRST, ANSWER, SECOND], ([SYSTEM], [[FIRST, ANSWER], [SECOND]])),
        ([FIRST], ([], [[FIRST]])),
        ([ANSWER, FIRST], ([], [[ANSWER], [FIRST]])),
        ([SYSTEM], ([SYSTEM], [[]])),
        ([], ([], [[]])),
    ],
)
def test_a_conversation_is_cut_before_each_question(messages, parts):
    assert split(messages) == parts


@given(st.lists(st.text(max_size=9)), st.integers(-5, 60))
def test_the_newest_that_fit_stay_without_a_gap(turns, room):
    kept = newest(turns, len, room)
    assert turns[len(turns) - len(kept) :] == kept
    assert not kept or sum(map(len, kept)) <= room
    assert kept == turns or sum(map(len, turns)) > room


@given(st.lists(st.text(min_size=1, max_size=9), min_size=2), st.integers(1, 60))
def test_a_cut_moves_on_only_when_it_must(turns, room):
    """What one prompt begins with, the next one begins with too, as long as that fits."""
    before, now = newest(turns[:-1], len, room), newest(turns, len, room)
    if sum(map(len, before)) + len(turns[-1]) <= room and now[0:1] != turns[-1:]:
        assert now[: len(before)] == before


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("退货", 2),
        ("退货退货退货", 4),
        ("return", 2),
        ("12345", 5),
        ("a", 1),
        ("😀", 1),
        ("é", 1),
        ("\ud800", 1),
    ],
)
def test_tokens_are_estimated(text, tokens):
    assert estimated_tokens(text) == tokens


@pytest.mark.model
@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_estimate_is_about_the_tokens_of_our_texts(real_model, language):
    backend = LlamaBackend(real_model, sequences=1, cells=512, threads=1)
    text = persona("", language, shop="小舟商店", model="Qwen2.5")
    tokens = len(backend.tokenize(text))
    backend.close()
    assert 0.9 * tokens < estimated_tokens(text) < 1.25 * tokens
