"""What an answer of the model must not be."""

from __future__ import annotations

import re
from difflib import SequenceMatcher

from webchat.answering.normalise import normalise

_ALIKE = 0.75  # share of the characters that question and answer have in common, in order
# Characters of a question: a greeting may well be returned, and long ones are not asked back but cost time to compare.
_LEAST, _MOST = 6, 200
_SENTENCE = re.compile(r"[^?？]+[?？]")


def only_repeats(question: str, answer: str) -> bool:
    """Whether the whole answer is the question asked back, once or again and again, as small models do now and then.

    >>> only_repeats("Python怎么读取CSV文件？", "Python如何读取CSV文件？")
    True
    """
    asked, said = normalise(question), answer.strip()
    if not said.endswith(("?", "？")) or not _LEAST <= len(asked) <= _MOST:
        return False
    sentences = {repeated for sentence in _SENTENCE.findall(said) if (repeated := normalise(sentence))}
    return bool(sentences) and all(_alike(asked, repeated) for repeated in sentences)


def _alike(asked: str, repeated: str) -> bool:
    if len(repeated) > 2 * len(asked):
        return False
    return SequenceMatcher(None, asked, repeated, autojunk=False).ratio() >= _ALIKE
