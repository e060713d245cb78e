"""What operators do to FAQ entries. Every change leaves an audit record, in the transaction that makes it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from webchat.answering import example_faq
from webchat.answering.normalise import normalise
from webchat.storage import audit, faq, inbox, settings
from webchat.storage.tables import Entry
from webchat.web.admin import undo

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from webchat.storage.database import Session
    from webchat.storage.tables import EntryStatus, Operator


MAX_QUESTIONS = 50  # phrasings of an entry, and as many negatives: what its form takes and a person oversees


@dataclass(frozen=True, slots=True)
class Draft:
    """What an entry shall say."""

    phrasings: tuple[str, ...]
    answer: str
    group_name: str
    negatives: tuple[str, ...] = ()
    must_hit: tuple[str, ...] = ()
    must_not_hit: tuple[str, ...] = ()
    valid_from: datetime | None = None
    valid_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Clash:
    """A phrasing that another published entry answers already."""

    phrasing: str
    entry_id: int
    question: str


class AnsweredElsewhere(Exception):  # noqa: N818 - a state, named as callers say it
    """Other published entries answer some of the phrasings, and only one entry can."""

    def __init__(self, clashes: list[Clash]) -> None:
        super().__init__("other published entries answer some of the phrasings")
        self.clashes = clashes


class Unanswered(Exception):  # noqa: N818 - a state, named as callers say it
    """The entry has no answer yet, so it cannot be published."""


class Full(Exception):  # noqa: N818 - a state, named as callers say it
    """The entry would have more questions than its form takes."""


class Outdated(Exception):  # noqa: N818 - a state, named as callers say it
    """The entry was changed or deleted after the operator began to edit it."""


def stamp(entry: Entry) -> str:
    """The version of an entry, as a form carries it."""
    return entry.updated_at.isoformat()


def add(session: Session, operator: Operator, draft: Draft, status: EntryStatus, *, form: str = "") -> Entry:
    """Add an entry; a form that is sent twice, by a double click or a reload, adds it once.

    Args:
        session: in which it is written.
        operator: who adds it.
        draft: what it says.
        status: draft or published.
        form: names the form it comes from.

    Raises:
        AnsweredElsewhere: it would answer what another entry answers.
    """
    sent = settings.get(session, _form_key(operator)) if form else None
    if sent and sent["form"] == form and (added := faq.get(session, sent["entry"])):
        return added
    entry = faq.create(session, **asdict(draft), status=status)
    _refuse_clashes(session, entry)
    if form:
        settings.put(session, _form_key(operator), {"form": form, "entry": entry.id})
    audit.record(session, operator.name, "faq.add", _subject(entry), question=entry.question, status=status)
    return entry


def _form_key(operator: Operator) -> str:
    return f"entry_added_{operator.id}"


def edit(session: Session, operator: Operator, entry_id: int, draft: Draft, *, seen: str, publish: bool) -> Entry:
    """Replace what an entry says, if it still is as the operator has ``seen`` it; ``publish`` it too if wanted.

    An entry of the example FAQ, or a learned one, becomes the shop's own: it no longer goes with the example, or with
    the questions it was learned from.

    Raises:
        Outdated: it is not, or it is gone.
        AnsweredElsewhere: it would answer what another entry answers.
    """
    entry = locked(session, entry_id)
    if entry is None or stamp(entry) != seen:
        raise Outdated
    before = _content(entry)
    entry.batch = None
    if entry.origin == "learned":
        entry.origin = "curated"
    faq.update(session, entry, **asdict(draft))
    if publish:
        faq.set_status(session, entry, "published")
        inbox.settle(session, entry.id)
    _refuse_clashes(session, entry)
    audit.record(session, operator.name, "faq.edit", _subject(entry), before=before, status=entry.status)
    return entry


def extend(session: Session, operator: Operator, entry: Entry, phrasings: Sequence[str]) -> list[str]:
    """Add ways to ask for an entry; those that are new.

    Raises:
        AnsweredElsewhere: another entry answers one of them.
        Full: they are too many for it.
    """
    before = {normalise(phrasing.text) for phrasing in entry.phrasings}
    new = [phrasing for phrasing in dict.fromkeys(phrasings) if normalise(phrasing) not in before]
    if len(entry.phrasings) + len(new) > MAX_QUESTIONS:
        raise Full
    if new:
        _rephrase(session, entry, [*(phrasing.text for phrasing in entry.phrasings), *new])
        _refuse_clashes(session, entry)
        audit.record(session, operator.name, "faq.extend", _subject(entry), phrasings=new)
    return new


def shorten(session: Session, operator: Operator, entry: Entry, phrasings: Sequence[str]) -> None:
    """Take back ways to ask for an entry, all but the last."""
    kept = [phrasing.text for phrasing in entry.phrasings if phrasing.text not in phrasings]
    if kept and len(kept) < len(entry.phrasings):
        _rephrase(session, entry, kept)
        audit.record(session, operator.name, "faq.shorten", _subject(entry), phrasings=list(phrasings))


def deny(session: Session, operator: Operator, entry: Entry, questions: Sequence[str]) -> list[str]:
    """Note questions that an entry must not answer; those that are new.

    What is spelt like one of its phrasings is left out: the entry says that it answers this.

    Raises:
        Full: they are too many for it.
    """
    asked = {normalise(phrasing.text) for phrasing in entry.phrasings}
    there = {negative.text for negative in entry.negatives}
    new = [text for text in dict.fromkeys(questions) if text not in there and normalise(text) not in asked]
    if len(there) + len(new) > MAX_QUESTIONS:
        raise Full
    for text in new:
        faq.add_negative(session, entry, text)
    if new:
        audit.record(session, operator.name, "faq.deny", _subject(entry), questions=new)
    return new


def allow(session: Session, operator: Operator, entry: Entry, questions: Sequence[str]) -> None:
    """Let an entry answer questions again."""
    for text in questions:
        faq.remove_negative(session, entry, text)
    audit.record(session, operator.name, "faq.allow", _subject(entry), questions=list(questions))


def set_status(session: Session, operator: Operator, entry_id: int, status: EntryStatus) -> Entry | None:
    """Publish or disable an entry; None when there is no such entry.

    Raises:
        AnsweredElsewhere: it would answer what another entry answers.
        Unanswered: it has nothing to say yet.
    """
    entry = locked(session, entry_id)
    if entry is None or entry.status == status:
        return entry
    if status == "published" and not entry.answer.strip():
        raise Unanswered
    faq.set_status(session, entry, status)
    if status == "published":
        inbox.settle(session, entry.id)
    _refuse_clashes(session, entry)
    audit.record(session, operator.name, f"faq.{status}", _subject(entry), question=entry.question)
    return entry


def delete(session: Session, operator: Operator, entry_id: int) -> Entry | None:
    """Delete an entry so that this operator can undo it; None when there is no such entry."""
    entry = locked(session, entry_id)
    if entry is None:
        return None
    undo.keep(session, operator, [entry])
    audit.record(session, operator.name, "faq.delete", _subject(entry), before=_content(entry))
    faq.remove(session, entry)
    return entry


def restore(session: Session, operator: Operator) -> list[Entry]:
    """Undo this operator's last deletion; the entries that are back, none when there is nothing to undo.

    What another entry has come to answer since then comes back as a draft.
    """
    restored = undo.restore(session, operator)
    _draft_clashing(session, restored)
    if restored:
        audit.record(session, operator.name, "faq.restore", _subject(*restored))
    return restored


def load_example(session: Session, operator: Operator) -> list[Entry]:
    """Add the example FAQ; the entries that are new, of which those that others answer already are drafts."""
    if not example_faq.add_example(session):
        return []
    added = faq.of_batch(session, example_faq.BATCH)
    _draft_clashing(session, added)
    audit.record(session, operator.name, "faq.load", example_faq.BATCH, entries=len(added))
    return added


def remove_example(session: Session, operator: Operator) -> int:
    """Delete the example FAQ so that this operator can undo it; how many entries that were."""
    entries = faq.of_batch(session, example_faq.BATCH)
    if not entries:
        return 0  # a second click must not overwrite what the first one can undo
    undo.keep(session, operator, entries)
    removed = faq.remove_batch(session, example_faq.BATCH)
    audit.record(session, operator.name, "faq.remove", example_faq.BATCH, entries=removed)
    return removed


def locked(session: Session, entry_id: int) -> Entry | None:
    """Load an entry that no other transaction can change until this one ends."""
    return session.get(Entry, entry_id, with_for_update=True)


def _rephrase(session: Session, entry: Entry, phrasings: Sequence[str]) -> None:
    faq.update(
        session,
        entry,
        phrasings=phrasings,
        answer=entry.answer,
        group_name=entry.group_name,
        valid_from=entry.valid_from,
        valid_until=entry.valid_until,
    )


def _refuse_clashes(session: Session, changed: Entry) -> None:
    if clashes := _clashes(session, [changed]):
        raise AnsweredElsewhere(clashes[changed.id])


def _draft_clashing(session: Session, added: Sequence[Entry]) -> None:
    """Make drafts of those that would answer what another entry answers."""
    clashing = _clashes(session, added)
    for entry in added:
        if entry.id in clashing:
            entry.status = "draft"


def _clashes(session: Session, changed: Sequence[Entry]) -> dict[int, list[Clash]]:
    """What the published of these entries answer although another published entry does, by their ids.

    Comes after the change: that holds the lock on all entries, so none can be published in between.
    """
    ids = {entry.id for entry in changed}
    answered = {_spelt(text): entry_id for entry_id, text in faq.published_phrasings(session) if entry_id not in ids}
    clashes: dict[int, list[Clash]] = {}
    for entry in changed:
        for phrasing in entry.phrasings if entry.status == "published" else ():
            if other := faq.get(session, answered.get(_spelt(phrasing.text), 0)):
                clashes.setdefault(entry.id, []).append(Clash(phrasing.text, other.id, other.question))
    return clashes


# Every save looks at the whole FAQ, while others wait to write; what it says changes little from one to the next.
@lru_cache(maxsize=1 << 17)
def _spelt(text: str) -> str:
    return normalise(text)


def _content(entry: Entry) -> dict[str, Any]:
    return {
        "phrasings": [phrasing.text for phrasing in entry.phrasings],
        "answer": entry.answer,
        "group": entry.group_name,
        "status": entry.status,
        "negatives": [negative.text for negative in entry.negatives],
        "must_hit": [case.text for case in entry.cases if case.must_hit],
        "must_not_hit": [case.text for case in entry.cases if not case.must_hit],
        "valid": [moment and moment.isoformat() for moment in (entry.valid_from, entry.valid_until)],
    }


def _subject(*entries: Entry) -> str:
    return f"entry {', '.join(str(entry.id) for entry in entries)}"
