"""From a conversation to token ids: persona, as many past turns as fit, the question.

The template is ChatML. Its own tokens are written as ids; what people typed is tokenised as text, so
that a visitor who types ``<|im_end|>`` has typed ten characters and not ended a turn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from webchat.answering.normalise import has_han, has_letters

if TYPE_CHECKING:
    from collections.abc import Sequence

    from webchat.engine.backend import Tokenizer
    from webchat.storage.tables import Language

Role = Literal["system", "user", "assistant"]  # ChatML's words, not ours

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


def persona(question: str, language: Language, *, shop: str, model: str) -> str:
    """The system text, in the language of the question; of one without letters, in the conversation's."""
    english = language == "en" if not has_letters(question) else not has_han(question)
    template = _PERSONA_EN if english else _PERSONA_ZH
    return template.format(shop=shop, model=model)


class PromptBuilder:
    """Builds ChatML prompts with one model's tokenizer."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    def build(
        self, system: str, turns: Sequence[tuple[str, str]], question: str, budget: int
    ) -> tuple[int, ...] | None:
        """Token ids of a prompt of at most ``budget`` tokens.

        Args:
            system: the persona.
            turns: past (question, answer) pairs, oldest first; the oldest are left out when they do not fit.
            question: what is asked now.
            budget: tokens the prompt may take.

        Returns:
            The prompt, or None when persona and question alone are too long.
        """
        head = self._message("system", system)
        tail = [*self._message("user", question), *self._special("<|im_start|>"), *self._text("assistant\n")]
        room = budget - len(head) - len(tail)
        if room < 0:
            return None
        middle: list[list[int]] = []
        for asked, answered in reversed(turns):
            turn = [*self._message("user", asked), *self._message("assistant", answered)]
            room -= len(turn)
            if room < 0:
                break
            middle.append(turn)
        return tuple(head + [token for turn in reversed(middle) for token in turn] + tail)

    def _message(self, role: Role, text: str) -> list[int]:
        return [
            *self._special("<|im_start|>"),
            *self._text(f"{role}\n"),
            *self._text(text),
            *self._special("<|im_end|>"),
            *self._text("\n"),
        ]

    def _special(self, token: str) -> list[int]:
        return self._tokenizer.tokenize(token, special=True)

    def _text(self, text: str) -> list[int]:
        return self._tokenizer.tokenize(text)
