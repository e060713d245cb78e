"""What an answer of the model must not be."""

from __future__ import annotations

from difflib import SequenceMatcher

from webchat.answering.normalise import normalise

_ALIKE = 0.75  # share of the characters that question and answer have in common, in order
_LEAST = 6  # characters of a question; a greeting may well be returned


def only_repeats(question: str, answer: str) -> bool:
    """Whether the whole answer is the question asked back, as small models do now and then.

    >>> only_repeats("Python怎么读取CSV文件？", "Python如何读取CSV文件？")
    True
    """
    said = answer.strip()
    asked, repeated = normalise(question), normalise(said)
    if not said.endswith(("?", "？")) or len(asked) < _LEAST or len(repeated) > 2 * len(asked):
        return False
    return SequenceMatcher(None, asked, repeated, autojunk=False).ratio() >= _ALIKE
