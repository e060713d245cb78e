"""Queries about the inbox: questions that no entry has settled, in groups that ask the same.

What visitors then did with an answer, a vote or a chosen suggestion, is asked of ``feedback`` and ``faq_hits`` when a
page is shown, so that nothing has to be kept in step. A question goes with its conversation; a group without
questions is shown to nobody and removed at the next tidying.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import ColumnElement, Select, and_, delete, func, or_, select, true
from sqlalchemy import update as change
from sqlalchemy.orm import aliased

from webchat.storage import settings
from webchat.storage.tables import (
    UNFINISHED,
    Entry,
    FaqHit,
    Feedback,
    GroupStatus,
    InboxGroup,
    InboxQuestion,
    Message,
    Negative,
    Outcome,
    Phrasing,
    utc_now,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sqlalchemy.orm import InstrumentedAttribute, Session

KEPT = 10_000  # questions; the oldest go first
_SEEN = "inbox_seen"  # the last answer that was looked at; a row of settings, there from the first on
_VOTES_SEEN = "inbox_votes_seen"  # the moment of the last vote
_UNDONE_WITHIN = timedelta(days=1)  # for so long a draft waits for the undo of what its group was given instead
_LATE = timedelta(minutes=1)  # a vote may be committed so long after its moment
_WORDINGS = 5  # of a group, to compare with and to show


class Unplaced(NamedTuple):
    """A question that belongs into the inbox, by its answer."""

    message_id: int
    question: str
    outcome: Outcome
    at: datetime


class News(NamedTuple):
    """What is new for the inbox, and up to where that was looked for."""

    questions: list[Unplaced]
    seen: int
    votes_seen: str | None


class Wording(NamedTuple):
    """One way in which a group was asked, and how often."""

    group_id: int
    text: str
    times: int


class Meant(NamedTuple):
    """An entry that visitors of a group have met, and how many of them."""

    entry_id: int
    question: str
    times: int


@dataclass(slots=True)
class Listed:
    """A group as the inbox shows it.

    Attributes:
        asked: questions.
        visitors: conversations they came from.
        outcomes: how many of the questions went how.
        chosen: entries that visitors chose when these were suggested.
        denied: entries that answered, and were voted "not what I asked".
        suggested: entries that were suggested, most often first.
        answer: what the model last answered.
    """

    group: InboxGroup
    asked: int
    visitors: int
    last_asked_at: datetime
    outcomes: dict[Outcome, int] = field(default_factory=dict)
    wordings: list[Wording] = field(default_factory=list)
    chosen: list[Meant] = field(default_factory=list)
    denied: list[Meant] = field(default_factory=list)
    suggested: list[Meant] = field(default_factory=list)
    votes: dict[str, int] = field(default_factory=dict)
    answer: str = ""


class Told(NamedTuple):
    """What the model has answered to a question of a group."""

    question: str
    answer: str
    conversation_id: int


def news(session: Session, limit: int = 50) -> News:
    """Find questions that are not in the inbox yet, oldest first, up to the first that is still being answered."""
    seen, votes_seen = _marks(session)
    questions: dict[int, Unplaced] = {}
    answers = select(Message).where(Message.id > seen, Message.role == "assistant", Message.question_id.is_not(None))
    batch = list(session.scalars(answers.order_by(Message.id).limit(limit)))
    asked = _texts(session, [answer.question_id for answer in batch if answer.question_id])
    for answer in batch:
        if answer.status in UNFINISHED:
            break
        seen = answer.id
        if (outcome := _outcome(answer)) and answer.question_id in asked:
            questions[answer.id] = Unplaced(answer.id, asked[answer.question_id], outcome, answer.created_at)
    votes = list(session.scalars(_new_votes(votes_seen).limit(limit)))
    for vote in votes:
        questions.setdefault(vote.message_id, Unplaced(vote.message_id, vote.question, "voted_down", vote.at))
    if votes:
        votes_seen = max(vote.at for vote in votes).isoformat()
    return News(list(questions.values()), seen, votes_seen)


def begin_placing(session: Session, before: News, known: int) -> bool:
    """Reserve the questions that ``news`` has found; False when another process was faster.

    Args:
        session: of a write that also places them.
        before: what was found.
        known: the last answer that had been looked at when it was found.
    """
    settings.lock(session, _SEEN)
    if settings.get(session, _SEEN, 0) != known:
        return False
    settings.put(session, _SEEN, before.seen)
    if before.votes_seen:
        settings.put(session, _VOTES_SEEN, before.votes_seen)
    return True


def seen(session: Session) -> int:
    """The last answer that was looked at."""
    return _marks(session)[0]


def place(session: Session, found: Unplaced, text: str, group: InboxGroup | None) -> InboxGroup:
    """Put a question into a group, or into one of its own; a group that was settled by an entry opens again.

    ``text`` is how the question is kept.
    """
    if group is None:
        group = InboxGroup(question=text)
        session.add(group)
        session.flush()
    elif group.status == "answered" and found.at > group.changed_at:
        group.status = "open"  # asked after the entry was there: it does not catch everything yet
    if group.status == "open":
        group.changed_at = utc_now()
    taken = select(InboxQuestion.id).where(InboxQuestion.message_id == found.message_id)
    if session.scalar(taken) is None:
        session.add(
            InboxQuestion(
                group_id=group.id, message_id=found.message_id, question=text, outcome=found.outcome, at=found.at
            )
        )
        session.flush()
    return group


def groups(session: Session, ids: Collection[int]) -> dict[int, InboxGroup]:
    """Find groups, by id."""
    return {group.id: group for group in session.scalars(select(InboxGroup).where(InboxGroup.id.in_(ids)))}


def locked(session: Session, group_id: int) -> InboxGroup | None:
    """Find a group that no other transaction can change until this one ends."""
    return session.get(InboxGroup, group_id, with_for_update=True, populate_existing=True)


def wordings(session: Session, of_groups: Collection[int] | None = None, *, newest: int = 1000) -> list[Wording]:
    """List the commonest wordings of these groups, or of the newest."""
    if of_groups is None:
        of_groups = session.scalars(select(InboxGroup.id).order_by(InboxGroup.changed_at.desc()).limit(newest)).all()
    times = func.count()
    place_in_group = func.row_number().over(
        partition_by=InboxQuestion.group_id, order_by=(times.desc(), func.min(InboxQuestion.id))
    )
    ranked = (
        select(InboxQuestion.group_id, InboxQuestion.question, times.label("times"), place_in_group.label("place"))
        .where(InboxQuestion.group_id.in_(of_groups))
        .group_by(InboxQuestion.group_id, InboxQuestion.question)
        .subquery()
    )
    query = select(ranked.c.group_id, ranked.c.question, ranked.c.times).where(ranked.c.place <= _WORDINGS)
    return [Wording(*row) for row in session.execute(query.order_by(ranked.c.group_id, ranked.c.place))]


def listed(
    session: Session, status: GroupStatus, text: str = "", *, limit: int = 20, offset: int = 0
) -> tuple[list[Listed], int]:
    """List groups, those asked most often first, then the latest.

    Args:
        session: to read with.
        status: of the groups.
        text: words that one of a group's questions holds, all of them; empty for all groups.
        limit: of the page.
        offset: of the page.

    Returns:
        One page of them, and how many there are on all pages.
    """
    asked, last = func.count(InboxQuestion.id), func.max(InboxQuestion.at)
    visitors = func.count(Message.conversation_id.distinct())
    query = (
        select(InboxGroup, asked, visitors, last)
        .join(InboxQuestion, InboxQuestion.group_id == InboxGroup.id)
        .join(Message, Message.id == InboxQuestion.message_id)
        .where(InboxGroup.status == status, _holding(text))
        .group_by(InboxGroup.id)
    )
    total = session.scalar(select(func.count()).select_from(query.subquery())) or 0
    page = query.order_by(asked.desc(), last.desc(), InboxGroup.id.desc()).limit(limit).offset(offset)
    found = [Listed(*row) for row in session.execute(page)]
    _fill(session, {each.group.id: each for each in found})
    return found, total


def open_groups(session: Session) -> int:
    """Count the groups that wait for an operator."""
    there = select(InboxQuestion.id).where(InboxQuestion.group_id == InboxGroup.id).exists()
    return session.scalar(select(func.count()).where(InboxGroup.status == "open", there)) or 0


def told(session: Session, group_id: int, limit: int = 50) -> list[Told]:
    """List what the model has answered to a group's questions, newest first; not what was voted down."""
    query = (
        select(InboxQuestion.question, Message.text, Message.conversation_id)
        .join(Message, Message.id == InboxQuestion.message_id)
        .where(InboxQuestion.group_id == group_id, Message.source == "model", Message.status == "done")
        .where(~select(Feedback.id).where(Feedback.message_id == Message.id, Feedback.vote == "down").exists())
    )
    return [Told(*row) for row in session.execute(query.order_by(Message.id.desc()).limit(limit))]


def denied(session: Session, group_id: int, entry_id: int) -> list[str]:
    """List questions of a group that an entry has answered with "not what I asked" as the visitors' vote.

    Those that the entry does not answer any more are left out.
    """
    query = (
        select(InboxQuestion.question)
        .join(Feedback, InboxQuestion.message_id == Feedback.message_id)
        .where(InboxQuestion.group_id == group_id, Feedback.entry_id == entry_id, _not_denied_yet())
    )
    return list(session.scalars(query.distinct()))


def settle(session: Session, entry_id: int) -> None:
    """Note that an entry answers its groups from now on."""
    of_entry = change(InboxGroup).where(InboxGroup.entry_id == entry_id, InboxGroup.status == "open")
    session.execute(of_entry.values(status="answered", changed_at=utc_now()))


def tidy(session: Session) -> list[Entry]:
    """Remove the oldest questions beyond the bound, and groups without any.

    Returns:
        Learned drafts whose questions are all gone, or that their group has done without for a day, for the caller to
        remove. What an operator has made or edited is not learned any more.
    """
    newest = select(InboxQuestion.id).order_by(InboxQuestion.id.desc()).limit(1).offset(KEPT - 1)
    if oldest_kept := session.scalar(newest):
        session.execute(delete(InboxQuestion).where(InboxQuestion.id < oldest_kept))
    empty = ~select(InboxQuestion.id).where(InboxQuestion.group_id == InboxGroup.id).exists()
    learned = select(Entry).outerjoin(InboxGroup, InboxGroup.entry_id == Entry.id)
    learned = learned.where(Entry.status == "draft", Entry.origin == "learned")
    left_over = InboxGroup.id.is_(None) & (Entry.updated_at < utc_now() - _UNDONE_WITHIN)
    orphans = session.scalars(learned.where(or_(and_(InboxGroup.id.is_not(None), empty), left_over))).all()
    session.execute(delete(InboxGroup).where(empty))
    return list(orphans)


def _marks(session: Session) -> tuple[int, str | None]:
    return settings.get(session, _SEEN, 0), settings.get(session, _VOTES_SEEN)


def _texts(session: Session, ids: Collection[int]) -> dict[int, str]:
    """Typed questions by id; one that was chosen from suggestions needs no look."""
    query = select(Message.id, Message.text).where(Message.id.in_(ids), Message.reason.is_(None))
    return {row.id: row.text for row in session.execute(query)}


def _outcome(answer: Message) -> Outcome | None:
    if answer.source == "model" and answer.status in ("done", "stopped"):
        return "suggested" if answer.suggested else "model"
    if answer.source == "rule" and (answer.reason or "").startswith("policy:"):
        return "refused"
    return None


def _new_votes(votes_seen: str | None) -> Select[Feedback]:
    inside = select(InboxQuestion.id).where(InboxQuestion.message_id == Feedback.message_id).exists()
    # Without a question it is about a person's help, and nothing that an entry could settle.
    query = select(Feedback).where(Feedback.vote == "down", Feedback.question != "", ~inside)
    if votes_seen:
        query = query.where(Feedback.at > datetime.fromisoformat(votes_seen) - _LATE)
    return query.order_by(Feedback.at)


def _not_denied_yet() -> ColumnElement[bool]:
    negative = select(Negative.id).where(
        Negative.entry_id == Feedback.entry_id, Negative.text == InboxQuestion.question
    )
    return and_(Feedback.reason == "off_topic", ~negative.exists())


def _holding(text: str) -> ColumnElement[bool]:
    asked = aliased(InboxQuestion)
    holds: ColumnElement[bool] = true()
    for word in dict.fromkeys(text.split()):
        one = select(asked.id).where(asked.group_id == InboxGroup.id, asked.question.icontains(word, autoescape=True))
        holds = and_(holds, or_(InboxGroup.question.icontains(word, autoescape=True), one.exists()))
    return holds


def _fill(session: Session, page: Mapping[int, Listed]) -> None:
    """Add what is shown of a page's groups, in one query for each kind."""
    of_page = InboxQuestion.group_id.in_(list(page))
    outcomes = select(InboxQuestion.group_id, InboxQuestion.outcome, func.count()).where(of_page)
    for group_id, outcome, count in session.execute(outcomes.group_by(InboxQuestion.group_id, InboxQuestion.outcome)):
        page[group_id].outcomes[outcome] = count
    for wording in wordings(session, page):
        page[wording.group_id].wordings.append(wording)
    votes = select(InboxQuestion.group_id, Feedback.vote, func.count()).where(of_page)
    votes = votes.join(Feedback, Feedback.message_id == InboxQuestion.message_id)
    for group_id, vote, count in session.execute(votes.group_by(InboxQuestion.group_id, Feedback.vote)):
        page[group_id].votes[vote] = count
    hits = and_(FaqHit.message_id == InboxQuestion.message_id, FaqHit.band == "suggest")
    for group_id, meant in _met(session, of_page, FaqHit.entry_id, FaqHit, and_(hits, FaqHit.chosen)):
        page[group_id].chosen.append(meant)
    for group_id, meant in _met(session, of_page, FaqHit.entry_id, FaqHit, hits):
        page[group_id].suggested.append(meant)
    off_topic = and_(Feedback.message_id == InboxQuestion.message_id, _not_denied_yet())
    for group_id, meant in _met(session, of_page, Feedback.entry_id, Feedback, off_topic):
        page[group_id].denied.append(meant)
    _fill_answers(session, page)


def _met(
    session: Session,
    of_page: ColumnElement[bool],
    entry: InstrumentedAttribute[int] | InstrumentedAttribute[int | None],
    table: type[FaqHit | Feedback],
    on: ColumnElement[bool],
) -> list[tuple[int, Meant]]:
    """Entries that questions have met, most often first, by group; shown by their first phrasing."""
    times = func.count().label("times")
    query = (
        select(InboxQuestion.group_id, entry, Phrasing.text, times)
        .select_from(InboxQuestion)
        .join(table, on)
        .join(Phrasing, and_(Phrasing.entry_id == entry, Phrasing.position == 0))
        .where(of_page)
        .group_by(InboxQuestion.group_id, entry, Phrasing.text)
        .order_by(InboxQuestion.group_id, times.desc())
    )
    return [(group, Meant(met, text, count)) for group, met, text, count in session.execute(query) if met]


def _fill_answers(session: Session, page: Mapping[int, Listed]) -> None:
    last = (
        select(func.max(InboxQuestion.message_id))
        .where(InboxQuestion.group_id.in_(list(page)), InboxQuestion.outcome.in_(("model", "suggested")))
        .group_by(InboxQuestion.group_id)
    )
    query = select(InboxQuestion.group_id, Message.text).join(Message, Message.id == InboxQuestion.message_id)
    for group_id, text in session.execute(query.where(Message.id.in_(last))):
        page[group_id].answer = text


def grouped(wordings_found: Sequence[Wording]) -> dict[int, list[str]]:
    """Wordings by their groups."""
    texts: dict[int, list[str]] = defaultdict(list)
    for wording in wordings_found:
        texts[wording.group_id].append(wording.text)
    return texts
