"""What a message is after: which have an intent, and which of the look-alikes do not."""

from __future__ import annotations

import pytest
from support.intent_messages import MESSAGES, measured

from webchat.answering.normalise import normalise, spelling
from webchat.answering.rules.intents import INTENTS, recognised

HAVE_IT = [(intent, message) for intent, (messages, _) in MESSAGES.items() for message in messages]
LOOK_LIKE_IT = [(intent, message) for intent, (_, near_misses) in MESSAGES.items() for message in near_misses]


def has(intent, message):
    return recognised(intent, question=normalise(message), message=spelling(message))


def intents_of(message):
    return [intent for intent in INTENTS if has(intent, message)]


def test_every_intent_is_tried_in_both_languages():
    assert set(MESSAGES) == set(INTENTS)
    for intent, kinds in MESSAGES.items():
        for messages in kinds:
            chinese = sum(not message.isascii() for message in messages)
            assert chinese >= 10, intent
            assert len(messages) - chinese >= 8, intent


@pytest.mark.parametrize(("intent", "message"), HAVE_IT)
def test_a_message_has_its_intent_and_no_other(intent, message):
    assert intents_of(message) == [intent]


@pytest.mark.parametrize(("intent", "message"), LOOK_LIKE_IT)
def test_a_look_alike_has_not(intent, message):
    assert not has(intent, message)


def test_precision_and_recall_over_all_of_them():
    for intent, (precision, recall) in measured().items():
        assert precision == 1.0, intent
        assert recall >= 0.95, intent


@pytest.mark.parametrize(
    "message", ["帮我写一封辞职信", "Python怎么读取CSV文件？", "怎么退货", "Return policy", "", "？？？", "😀"]
)
def test_any_other_message_has_none(message):
    assert intents_of(message) == []


@pytest.mark.parametrize("intent", ["", "sorrow", "Greeting"])
def test_nothing_has_an_unknown_intent(intent):
    assert not has(intent, "你好")


BEGINNINGS = ("你是", "今天", "现在", "转", "我要", "傻", "你好", "谢谢", "are you a ", "am i talking to ", "what ",
              "i want to talk to ", "")  # fmt: skip
ENDS = ("还是啊", "a human or ", "你好", "谢谢啦", "转到", "you are so ", "hi ", "今天的", "dollars to ")


@pytest.mark.parametrize("beginning", BEGINNINGS)
@pytest.mark.parametrize(
    "end", ["还是啊", "a human or ", "你好", "谢谢啦", "转到", "you are so ", "hi ", "今天的", "dollars to "]
)
def test_the_longest_message_is_decided_at_once(beginning, end):
    """A pattern that tries every way to fail would take hours here."""
    for length in (50, 8_000):
        intents_of((beginning + end * length)[:length] + "!x")
