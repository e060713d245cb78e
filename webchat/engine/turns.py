"""A conversation cut into turns, and which of them stay when it grows too long for the model."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeVar
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from webchat.engine.interface import ChatMessage

T = TypeVar("T")
_FIRST_CJK = "\u2e80"
_BYTES_PER_TOKEN = 4
_CUT_EVERY = 3  # turns


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
    """The last turns that fit, without a gap, cut at a turn where the next prompts will be cut too.

    Cut as tightly as possible, each prompt of a long conversation would begin one turn later than the one before,
    and nothing computed for that could be used again. So cuts fall on turns chosen by their content, about every
    third one (as in content-defined chunking): a cut holds for some turns, then moves on by some.
    """
    at = len(turns)
    while at and length(turns[at - 1]) <= room:
        at -= 1
        room -= length(turns[at])
    if at:
        at = next((cut for cut in range(at, len(turns)) if crc32(repr(turns[cut]).encode()) % _CUT_EVERY == 0), at)
    return list(turns[at:])


def estimated_tokens(text: str) -> int:
    """About how many tokens a text is, for a model whose tokenizer is elsewhere.

    Two for three Chinese, Japanese or Korean characters, one for each digit and for four bytes of anything else. That
    is 0.9 to 1.2 times what Qwen2.5's own tokenizer makes of our Chinese and English texts; random letters and rare
    characters are up to twice as many tokens.
    """
    digits = sum(char.isdigit() for char in text)
    cjk = sum(char >= _FIRST_CJK and not char.isdigit() for char in text)
    others = sum(len(char.encode("utf-8", "replace")) for char in text if not (char >= _FIRST_CJK or char.isdigit()))
    return math.ceil(digits + cjk * 2 / 3 + others / _BYTES_PER_TOKEN)
