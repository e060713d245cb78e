"""From messages to token ids: ChatML, and what is left out when it does not fit.

The template's own tokens are written as ids; what people typed is tokenised as text, so that a visitor who
types ``<|im_end|>`` has typed ten characters and not ended a turn.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from webchat.engine.backend import Tokenizer
    from webchat.engine.interface import ChatMessage

Tokens = list[int]

_CUT_EVERY = 3  # turns


class ChatTemplate:
    """Renders conversations with one model's tokenizer; any thread may."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._start = tokenizer.tokenize("<|im_start|>", special=True)
        self._end = [*tokenizer.tokenize("<|im_end|>", special=True), *tokenizer.tokenize("\n")]
        self._answer = [*self._start, *tokenizer.tokenize("assistant\n")]

    def render(self, messages: Sequence[ChatMessage], budget: int | None = None) -> tuple[int, ...] | None:
        """Token ids of the conversation with the head of an answer behind it.

        Args:
            messages: the system text, when there is one, comes first; the last message is the question.
            budget: tokens the prompt may take. Whole turns, oldest first, are left out to fit; never the
                system text, never the question. None: nothing is left out.

        Returns:
            The prompt, or None when what must stay is too long.
        """
        head = [self._message(message) for message in messages[:1] if message.role == "system"]
        *past, question = self._turns(messages[len(head) :])
        if budget is not None:
            room = budget - _length(head) - len(question) - len(self._answer)
            if room < 0:
                return None
            past = _newest(past, room)
        return tuple(chain(*head, *past, question, self._answer))

    def beginning(self, messages: Sequence[ChatMessage]) -> tuple[int, ...]:
        """Token ids of messages that others will follow."""
        return tuple(chain.from_iterable(self._message(message) for message in messages))

    def _turns(self, messages: Sequence[ChatMessage]) -> list[Tokens]:
        """The messages in groups that each begin with a question."""
        turns: list[Tokens] = []
        for message in messages:
            if message.role == "user" or not turns:
                turns.append([])
            turns[-1] += self._message(message)
        return turns or [[]]

    def _message(self, message: ChatMessage) -> Tokens:
        tokenize = self._tokenizer.tokenize
        return [*self._start, *tokenize(f"{message.role}\n"), *tokenize(message.text), *self._end]


def _newest(turns: list[Tokens], room: int) -> list[Tokens]:
    """The last turns that fit, without a gap, cut at a turn where the next prompts will be cut too.

    Cut as tightly as possible, each prompt of a long conversation would begin one turn later than the one before,
    and nothing computed for that could be used again. So cuts fall on turns chosen by their content, about every
    third one (as in content-defined chunking): a cut holds for some turns, then moves on by some.
    """
    at = len(turns)
    while at and len(turns[at - 1]) <= room:
        at -= 1
        room -= len(turns[at])
    if at:
        at = next((cut for cut in range(at, len(turns)) if hash(tuple(turns[cut])) % _CUT_EVERY == 0), at)
    return turns[at:]


def _length(parts: Iterable[Tokens]) -> int:
    return sum(len(part) for part in parts)
