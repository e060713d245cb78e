"""What a message is after, where its wording alone tells. Precision goes before recall.

A rule that applies where it should not hides an answer that the shop has; one that does not apply leaves the question
to the FAQ and the model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from webchat.answering.rules import live_data, people, small_talk

if TYPE_CHECKING:
    from collections.abc import Callable

# Some look at the normalised question, some at the whole message: what opens a question politely is all of a greeting.
_OF_THE_QUESTION: dict[str, Callable[[str], bool]] = {
    "identity": small_talk.identity,
    "weather": live_data.weather,
    "clock": live_data.clock,
    "exchange": live_data.exchange,
    "news": live_data.news,
}
_OF_THE_MESSAGE: dict[str, Callable[[str], bool]] = {
    "abuse": people.abuse,
    "human": people.human,
    "greeting": small_talk.greeting,
    "thanks": small_talk.thanks,
}
INTENTS = (*_OF_THE_MESSAGE, *_OF_THE_QUESTION)


def recognised(intent: str, *, question: str, message: str) -> bool:
    """Whether a message has an intent; none has one that is unknown, as a row of a newer version may name.

    Args:
        intent: one of ``INTENTS``.
        question: the message as ``normalise`` gives it.
        message: as ``spelling`` gives it.
    """
    if test := _OF_THE_QUESTION.get(intent):
        return test(question)
    return intent in _OF_THE_MESSAGE and _OF_THE_MESSAGE[intent](message)
