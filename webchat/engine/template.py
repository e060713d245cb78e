"""From messages to token ids: ChatML, and what is left out when it does not fit.

The template's own tokens are written as ids; what people typed is tokenised as text, so that a visitor who
types ``<|im_end|>`` has typed ten characters and not ended a turn.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from webchat.engine.turns import newest, split

if TYPE_CHECKING:
    from collections.abc import Sequence

    from webchat.engine.backend import Tokenizer
    from webchat.engine.interface import ChatMessage


class Prompt(NamedTuple):
    """Token ids, of which the first ``head`` are the system text."""

    tokens: tuple[int, ...]
    head: int


class ChatTemplate:
    """Renders conversations with one model's tokenizer; any thread may."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._start = tokenizer.tokenize("<|im_start|>", special=True)
        self._end = [*tokenizer.tokenize("<|im_end|>", special=True), *tokenizer.tokenize("\n")]
        self._answer = [*self._start, *tokenizer.tokenize("assistant\n")]

    def render(self, messages: Sequence[ChatMessage], budget: int | None = None) -> Prompt | None:
        """Token ids of the conversation with the head of an answer behind it.

        Args:
            messages: the system text, when there is one, comes first; the last message is the question.
            budget: tokens the prompt may take. Whole turns, oldest first, are left out to fit; never the
                system text, never the question. None: nothing is left out.

        Returns:
            The prompt, or None when what must stay is too long.
        """
        system, turns = split(messages)
        head = self.beginning(system)
        *past, question = [self.beginning(turn) for turn in turns]
        if budget is not None:
            room = budget - len(head) - len(question) - len(self._answer)
            if room < 0:
                return None
            past = newest(past, len, room)
        return Prompt(tuple(chain(head, *past, question, self._answer)), len(head))

    def beginning(self, messages: Sequence[ChatMessage]) -> tuple[int, ...]:
        """Token ids of messages that others will follow."""
        return tuple(chain.from_iterable(self._message(message) for message in messages))

    def _message(self, message: ChatMessage) -> list[int]:
        tokenize = self._tokenizer.tokenize
        return [*self._start, *tokenize(f"{message.role}\n"), *tokenize(message.text), *self._end]
