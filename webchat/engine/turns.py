"""A conversation cut into turns, and which of them stay when it grows too long for the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from webchat.engine.interface import ChatMessage

T = TypeVar("T")
_FIRST_CJK = "\u2e80"
_BYTES_PER_TOKEN = 3


def split(messages: Sequence[ChatMessage]) -> tuple[list[ChatMessage], list[list[ChatMessage]]]:
    """Cut a conversation apart.

    Returns:
        The system text, when the messages begin with one, and the others in groups that each begin with a question;
        the last group is the question to answer.
    """
    head = [message for message in messages[:1] if message.role == "system"]
    turns: list[list[ChatMessage]] = []
    for message in messages[len(head) :]:
        if message.role == "user" or not turns:
            turns.append([])
        turns[-1].append(message)
    return head, turns or [[]]


def newest(turns: Sequence[T], length: Callable[[T], int], room: int) -> list[T]:
    """As many of the last turns as fit, without a gap."""
    kept: list[T] = []
    for turn in reversed(turns):
        room -= length(turn)
        if room < 0:
            break
        kept.append(turn)
    return kept[::-1]


def estimated_tokens(text: str) -> int:
    """About how many tokens a text is, for a model whose tokenizer is elsewhere; rather too many than too few.

    One for each Chinese, Japanese or Korean character and each digit, one for three bytes of anything else. That is
    1.4 to 1.5 times what Qwen2.5's own tokenizer makes of our Chinese and English texts; random letters and rare
    characters are more tokens than that.
    """
    single = sum(1 for char in text if char >= _FIRST_CJK or char.isdigit())
    others = sum(len(char.encode("utf-8", "replace")) for char in text if not (char >= _FIRST_CJK or char.isdigit()))
    return single + -(-others // _BYTES_PER_TOKEN)
