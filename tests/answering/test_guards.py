"""What an answer of the model must not be."""

from __future__ import annotations

import pytest

from webchat.answering.guards import only_repeats


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Python怎么读取CSV文件？", "Python如何读取CSV文件？"),
        ("帮我写一封辞职信", "帮我写一封辞职信？\n"),
        ("How do I bake bread?", "How do you bake bread?"),
        ("你们几点开门？", "我们几点开门？ 我们几点开门？"),
    ],
)
def test_a_question_asked_back_says_nothing(question, answer):
    assert only_repeats(question, answer)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("你好吗？", "你好吗？"),
        ("Python怎么读取CSV文件？", "用 csv 模块读取。"),
        (
            "Python怎么读取CSV文件？",
            "Python如何读取CSV文件？\n\n用 csv 模块：先打开文件，再用 csv.reader 逐行读取，好吗？",
        ),
        ("请把「今天天气好」翻译成英文", "The weather is nice today."),
        ("请重复：今天天气真好", "今天天气真好"),
        ("你们几点开门？", "我们几点开门？九点。您哪天来？"),
        ("今天的天气好不好呢？", "？？？"),
        ("ab" * 101, "ab" * 101 + "?"),
        ("Python怎么读取CSV文件？", ""),
    ],
)
def test_what_says_more_or_something_else_is_an_answer(question, answer):
    assert not only_repeats(question, answer)
