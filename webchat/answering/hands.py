"""Who answers in a conversation: the assistant, or an operator who has taken it. Each change is said in the thread."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Literal, get_args

from webchat.answering.rules.shipped import Words
from webchat.storage import conversations, messages
from webchat.storage.tables import Message, utc_now

if TYPE_CHECKING:
    from webchat.storage.database import Session
    from webchat.storage.tables import Conversation, Language, Operator

Change = Literal["hands: taken", "hands: was taken", "hands: back", "hands: asked back", "hands: gone"]
# After these the visitor is asked how it was.
ENDS: frozenset[Change] = frozenset(("hands: back", "hands: asked back", "hands: gone"))
TO_PERSON = "person"  # the reason of a question that was left to the operator

# An operator who neither writes nor has the conversation's page open for so long has left it.
PATIENCE = timedelta(minutes=10)
_SEEN_EVERY = timedelta(seconds=60)  # between two notes that an operator is there

_TAKEN = Words(
    "店里的工作人员已接手对话，由真人回复您；自动客服暂停回答。",
    "A member of staff has taken over and answers you in person. The assistant is silent meanwhile.",
)
SENTENCES: dict[Change, Words] = {
    "hands: taken": _TAKEN,
    "hands: was taken": _TAKEN,
    "hands: back": Words(
        "工作人员已把对话交还给自动客服，您可以继续提问。",
        "The member of staff has handed back to the assistant. You can go on asking.",
    ),
    "hands: asked back": Words(
        "您已请自动客服继续回答。需要真人时，请点「找人工」。",
        "The assistant answers again, as you asked. For a person, choose “A person”.",
    ),
    "hands: gone": Words(
        "工作人员有一会儿不在了，由自动客服继续回答。需要真人时，请点「找人工」。",
        "The member of staff has been away for a while, so the assistant answers again. "
        "For a person, choose “A person”.",
    ),
}


class TakenByAnother(Exception):  # noqa: N818 - a state, named as callers say it
    """Another operator has taken this conversation. Nothing was stored."""


def change_of(message: Message) -> Change | None:
    """Which change of hands a message tells of; None for any other."""
    return next((change for change in get_args(Change) if change == message.reason), None)


def sentence(change: Change, language: Language) -> str:
    """A change of hands in the reader's language."""
    return SENTENCES[change].zh if language == "zh" else SENTENCES[change].en


def take(session: Session, conversation: Conversation, operator: Operator) -> tuple[int, ...]:
    """Let an operator answer from now on; answers still being written, in whatever process, end where they are.

    Returns:
        The ids of the messages that were added or changed; none when it was theirs already.

    Raises:
        TakenByAnother: another operator was quicker, and is still there.
    """
    conversations.touch(session, conversation.id)  # locks its row: of two who take it at once, one sees the other
    left = leave_if_gone(session, conversation)
    if holder := conversations.held_by(session, conversation.id):
        if holder[0] != operator.id:
            raise TakenByAnother
        return ()
    stopped = messages.stop_all(session, conversation.id)
    conversations.hold(session, conversation.id, operator.id)
    return (*left, *stopped, _say(session, conversation, "hands: taken"))


def give_back(session: Session, conversation: Conversation, change: Change) -> tuple[int, ...]:
    """Let the assistant answer again; the ids of the messages that were added or changed, none when it did already."""
    conversations.touch(session, conversation.id)
    if not conversations.let_go(session, conversation.id):
        return ()
    ended = messages.change_reason(session, conversation.id, "hands: taken", "hands: was taken")
    return (*ended, _say(session, conversation, change))


def leave_if_gone(session: Session, conversation: Conversation) -> tuple[int, ...]:
    """Give a conversation back that its operator has left; as ``give_back``."""
    holder = conversations.held_by(session, conversation.id)
    if holder is None or holder[1] > utc_now() - PATIENCE:
        return ()
    return give_back(session, conversation, "hands: gone")


def note_seen(session: Session, conversation: Conversation, operator: Operator) -> None:
    """Note that the operator who has taken a conversation is there."""
    conversations.hold(session, conversation.id, operator.id, only_holder=True)


def worth_noting(conversation: Conversation, operator: Operator) -> bool:
    """Whether ``note_seen`` is due: seldom, so that an open page does not write all the time."""
    seen = conversation.operator_seen_at
    return conversation.operator_id == operator.id and (seen is None or utc_now() - seen > _SEEN_EVERY)


def _say(session: Session, conversation: Conversation, change: Change) -> int:
    return messages.add_answer(
        session,
        conversation_id=conversation.id,
        question_id=None,
        source="rule",
        status="done",
        finish_reason="stop",
        text=sentence(change, conversation.language),
        reason=change,
    ).id
