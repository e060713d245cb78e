"""The persona: what the model is told before anything a visitor says."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from webchat.answering.normalise import language_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from webchat.storage.tables import Language

_PERSONA_ZH = (
    "你是「{shop}」的智能客服助手，基于小型语言模型 {model}。请用简体中文简洁、礼貌地回答顾客的问题；"
    "顾客要你写文章、写代码、翻译或聊天时，直接照做。"
    "不要编造店铺的价格、时限、费用、库存、订单或承诺，也看不到天气和时间：不知道就说不确定，请顾客联系人工客服。"
)
_PERSONA_EN = (
    "You are the automated assistant of the shop {shop}, run by the small language model {model}, not a person. "
    "Answer in English, briefly and politely; when asked to write, to code, to translate or to chat, just do it. "
    "Never make up the shop's prices, deadlines, fees, stock, orders or promises, and you cannot see weather or time: "
    "say that you are not sure and suggest asking the staff."
)

_GROUNDED_ZH = "店里的官方答案，说到店里的事只能依据它们：\n\n{entries}\n\n顾客的话：{question}"
_GROUNDED_EN = (
    "What the shop has written; about the shop say nothing else:\n\n{entries}\n\nThe customer says: {question}"
)
# A small model goes on with what frames the entries; an answer that does so has gone astray.
FRAME = re.compile(
    r"店里的官方答案，说到|顾客的话[:：]|^\s*问[:：]|what the shop has written; about|the customer says:|^\s*q:",
    re.IGNORECASE,
)
FRAME_BEGINS = ("店里的官方答案", "顾客的话", "问:", "what the shop has written", "the customer says", "q:")
# The mark before an entry's answer, and what may become one: before an answer it is only left away.
ANSWER_MARK = re.compile(r"\s*(?:答|回答|a|answer)\s*[:：]\s*", re.IGNORECASE)
ANSWER_MARK_BEGUN = re.compile(r"\s*(?:答|回答?|a|answer)?\s*", re.IGNORECASE)

_IN_ITS_LANGUAGE = {"zh": "（请用中文回答。）", "en": "(Please answer in English.)"}


def persona(question: str, language: Language, *, shop: str, model: str) -> str:
    """The system text, in the language of the question; of one without letters, in the conversation's."""
    template = _PERSONA_EN if (language_of(question) or language) == "en" else _PERSONA_ZH
    return template.format(shop=shop, model=model)


def grounded(question: str, entries: Sequence[tuple[str, str]], language: Language) -> str:
    """The question with the entries nearest to it, at the end of the prompt: what is before them stays the same."""
    if not entries:
        return question
    template, mark = (_GROUNDED_ZH, "问：{}\n答：{}") if language == "zh" else (_GROUNDED_EN, "Q: {}\nA: {}")
    return template.format(entries="\n\n".join(mark.format(*entry) for entry in entries), question=question)


def in_its_language(question: str, language: Language) -> str:
    """The question asked again, of a model that has answered it in another language."""
    return f"{question}\n{_IN_ITS_LANGUAGE[language]}"
