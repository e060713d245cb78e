"""What the FAQ has found: how it is kept with an answer, and what happens when a visitor chooses a suggestion.

A chosen suggestion is the next turn: its question as it was shown, and the entry's answer. What the model was still
writing to the question before is stopped: the visitor has said what they meant, and nobody should wait behind, or
read past, an answer to something else. Its text so far stays, and can be tried again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from webchat.answering.faq.index import Suggestion
from webchat.storage import conversations, faq, faq_hits, messages
from webchat.storage.faq_hits import NewHit
from webchat.storage.tables import utc_now

if TYPE_CHECKING:
    from webchat.answering.faq.index import Found
    from webchat.storage.database import Session
    from webchat.storage.tables import Conversation, Message

CHOSEN = "chosen"  # the reason of a question that was clicked, and how its entry was found


class NotSuggested(Exception):  # noqa: N818 - a state, named as callers say it
    """No such entry was suggested with this message."""


class NoLongerTrue(Exception):  # noqa: N818 - a state, named as callers say it
    """The entry is not published any more, not valid at this time, or no longer about this question."""


def entry_columns(found: Found) -> dict[str, Any] | None:
    """The FAQ's answer as columns of the answer's row; None when it does not answer by itself."""
    if found.answer is None:
        return None
    answer = found.answer
    matched = {
        "question": answer.question,
        "answer": answer.answer,
        "phrasing": answer.phrasing,
        "how": answer.how,
    }
    return {
        "source": "faq",
        "text": answer.answer,
        "entry": answer.entry_id,
        "matched": matched,
        "reason": answer.how,
    }


def as_stored(found: Found) -> list[dict[str, Any]]:
    """Suggestions as an answer's row keeps them."""
    return [{"entry": suggestion.entry_id, "question": suggestion.question} for suggestion in found.suggestions]


def offered(answer: Message) -> tuple[Suggestion, ...]:
    """The suggestions that an answer's row keeps."""
    return tuple(Suggestion(kept["entry"], kept["question"]) for kept in answer.suggested or ())


def hits_of(found: Found) -> list[NewHit]:
    """What a question has met, as hits."""
    hits = [NewHit(suggestion.entry_id, "suggest", "suggested") for suggestion in found.suggestions]
    if found.answer is None:
        return hits
    answer = found.answer
    return [NewHit(answer.entry_id, "answer", answer.how, answer.score, answer.phrasing), *hits]


def choose(
    session: Session, conversation: Conversation, message_id: int, entry_id: int
) -> tuple[Message, Message, bool]:
    """Answer with an entry that was suggested; chosen twice it is answered once.

    Returns:
        The question, the answer, and whether they had been stored before.

    Raises:
        NotSuggested: it was not suggested with this message.
        NoLongerTrue: it may not answer (any more).
    """
    conversations.touch(session, conversation.id)  # locks its row: of two clicks at once, one sees the other
    beside = messages.get(session, conversation.id, message_id)
    shown = next((each for each in (beside and beside.suggested) or () if each["entry"] == entry_id), None)
    if beside is None or shown is None:
        raise NotSuggested
    client_id = f"{CHOSEN}-{message_id}-{entry_id}"
    before = messages.question_with_client_id(session, conversation.id, client_id)
    if before and (answer := messages.answer_to(session, before.id)):
        return before, answer, True
    entry = faq.get(session, entry_id)
    phrasings = [phrasing.text for phrasing in entry.phrasings] if entry else []
    if entry is None or entry.status != "published" or not entry.valid(utc_now()) or shown["question"] not in phrasings:
        raise NoLongerTrue
    beside.suggested = [each | {"chosen": True} if each is shown else each for each in beside.suggested or ()]
    faq_hits.mark_chosen(session, message_id, entry_id)
    faq.count_hit(session, entry_id)
    question = messages.add_question(session, conversation.id, shown["question"], client_id, reason=CHOSEN)
    answer = messages.add_answer(
        session,
        conversation_id=conversation.id,
        question_id=question.id,
        source="faq",
        status="done",
        finish_reason="stop",
        text=entry.answer,
        entry=entry_id,
        matched={"question": entry.question, "answer": entry.answer, "phrasing": shown["question"], "how": CHOSEN},
        reason=CHOSEN,
    )
    faq_hits.record(session, answer.id, question.text, [NewHit(entry_id, "answer", CHOSEN, None, shown["question"])])
    return question, answer, False
