"""Drafts of entries, from what the model has answered to the same question again and again.

A draft answers nobody. It spares the operator the typing, if what the model said happens to be true.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from webchat.answering.faq.lexical import LexicalIndex, Rarity
from webchat.answering.faq.spelling import grams, plain
from webchat.answering.learning.masking import masked
from webchat.storage import faq, inbox

if TYPE_CHECKING:
    from collections.abc import Sequence

    from webchat.storage.database import Session
    from webchat.storage.tables import InboxGroup

REPEATED = 3  # conversations in which the model has answered the question
_PHRASINGS = 8


def draft_of(session: Session, group: InboxGroup) -> int | None:
    """Draft an entry for a group that the model has answered often enough; its id, None when there is no need yet."""
    told = inbox.told(session, group.id)
    if len({each.conversation_id for each in told}) < REPEATED:
        return None
    asked = [wording for wording, _ in Counter(each.question for each in told).most_common(_PHRASINGS)]
    answer = masked(most_alike([each.answer for each in told]))
    return faq.create(session, phrasings=asked, answer=answer, status="draft", origin="learned").id


def most_alike(answers: Sequence[str]) -> str:
    """The answer that has most in common with the others: what the model says when it is asked once more.

    >>> most_alike(["不知道。", "三天内到货。", "三天内到货。"])
    '三天内到货。'
    """
    pieces = [grams(plain(answer)) for answer in answers]
    index = LexicalIndex(pieces, Rarity(pieces))
    likeness = [float(index.scores(own).sum()) for own in pieces]
    return answers[int(np.argmax(likeness))]
