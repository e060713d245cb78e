"""What speaks against an entry that fits a question: the other polarity, another number, another product."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from webchat.answering.faq.polarity import opposed
from webchat.answering.faq.slots import Slots
from webchat.answering.faq.spelling import numbers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from webchat.answering.faq.rows import Hit

Guard = Literal["polarity", "number", "slot", "negative"]


class Guards:
    """Looks for reasons not to answer, with what the FAQ itself teaches.

    Args:
        texts: all phrasings, plain.
        owners: the entry of each.
    """

    def __init__(self, texts: Sequence[str], owners: Sequence[int]) -> None:
        self._slots = Slots(texts, owners)

    def against(self, text: str, previous: str, hit: Hit) -> Iterator[Guard]:
        """What speaks against a hit as the answer to a plain text that follows another."""
        whole = previous + text
        if hit.denied:
            yield "negative"
        if opposed(whole, hit.texts):
            yield "polarity"
        asked, offered = numbers(text), numbers(hit.text)
        # An entry whose phrasings name several numbers is about none of them.
        if asked and offered and not offered <= asked and all(numbers(text) == offered for text in hit.texts):
            yield "number"
        if self._slots.differs(text, previous, hit.text):
            yield "slot"
