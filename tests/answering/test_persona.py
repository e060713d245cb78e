"""The persona: in the question's language, with the names of shop and model."""

from __future__ import annotations

import pytest

from webchat.answering.persona import ANSWER_MARK, FRAME, grounded, persona


@pytest.mark.parametrize(
    ("question", "language", "words"),
    [
        ("你好", "en", "智能客服"),
        ("Hello", "zh", "assistant of the shop"),
        ("Python 怎么读 CSV", "en", "智能客服"),
        ("3 + 4 = ?", "zh", "智能客服"),
        ("3 + 4 = ?", "en", "assistant of the shop"),
    ],
)
def test_the_persona_speaks_the_question_s_language_and_names_shop_and_model(question, language, words):
    text = persona(question, language, shop="小舟 {shop}", model="qwen{0}")
    assert words in text
    assert "小舟 {shop}" in text
    assert "qwen{0}" in text


@pytest.mark.parametrize("language", ["zh", "en"])
def test_an_answer_that_goes_on_with_the_frame_of_the_entries_is_known_by_it(language):
    told = grounded("QUESTION", [("ASKED", "ANSWERED")], language)
    frame, entry, end = told.split("\n\n")
    asked, answered = entry.split("\n")
    for line in (frame, asked, end.removesuffix("QUESTION")):
        assert FRAME.search(line), line
    assert ANSWER_MARK.match(answered)
