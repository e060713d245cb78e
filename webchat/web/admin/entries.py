"""What operators do to FAQ entries. Every change leaves an audit record, in the transaction that makes it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from webchat.answering import example_faq
from webchat.answering.normalise import normalise
from webchat.storage import audit, faq
from webchat.storage.tables import Entry
from webchat.web.admin import undo

if TYPE_CHECKING:
    from collections.abc import Sequence

    from webchat.storage.database import Session
    from webchat.storage.tables import EntryStatus, Operator


@dataclass(frozen=True, slots=True)
class Draft:
    """What an entry shall say."""

    phrasings: tuple[str, ...]
    answer: str
    group_name: str


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


class Outdated(Exception):  # noqa: N818 - a state, named as callers say it
    """The entry was changed or deleted after the operator began to edit it."""


def stamp(entry: Entry) -> str:
    """The version of an entry, as a form carries it."""
    return entry.updated_at.isoformat()


def add(session: Session, operator: Operator, draft: Draft, status: EntryStatus) -> Entry:
    """Add an entry.

    Raises:
        AnsweredElsewhere: it would answer what another entry answers.
    """
    entry = faq.create(session, **asdict(draft), status=status)
    _refuse_clashes(session, entry)
    audit.record(session, operator.name, "faq.add", _subject(entry), question=entry.question, status=status)
    return entry


def edit(session: Session, operator: Operator, entry_id: int, draft: Draft, *, seen: str, publish: bool) -> Entry:
    """Replace what an entry says, if it still is as the operator has ``seen`` it; ``publish`` it too if wanted.

    An entry of the example FAQ becomes the shop's own: it is no longer removed with the example.

    Raises:
        Outdated: it is not, or it is gone.
        AnsweredElsewhere: it would answer what another entry answers.
    """
    entry = _locked(session, entry_id)
    if entry is None or stamp(entry) != seen:
        raise Outdated
    before = _content(entry)
    entry.batch = None
    faq.update(session, entry, **asdict(draft), valid_from=entry.valid_from, valid_until=entry.valid_until)
    if publish:
        faq.set_status(session, entry, "published")
    _refuse_clashes(session, entry)
    audit.record(session, operator.name, "faq.edit", _subject(entry), before=before, status=entry.status)
    return entry


def set_status(session: Session, operator: Operator, entry_id: int, status: EntryStatus) -> Entry | None:
    """Publish or disable an entry; None when there is no such entry.

    Raises:
        AnsweredElsewhere: it would answer what another entry answers.
    """
    entry = _locked(session, entry_id)
    if entry is None or entry.status == status:
        return entry
    faq.set_status(session, entry, status)
    _refuse_clashes(session, entry)
    audit.record(session, operator.name, f"faq.{status}", _subject(entry), question=entry.question)
    return entry


def delete(session: Session, operator: Operator, entry_id: int) -> Entry | None:
    """Delete an entry so that this operator can undo it; None when there is no such entry."""
    entry = _locked(session, entry_id)
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


def _locked(session: Session, entry_id: int) -> Entry | None:
    """Load an entry that no other transaction can change until this one ends."""
    return session.get(Entry, entry_id, with_for_update=True)


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
    others = [entry for entry in faq.published(session) if entry.id not in ids]
    answered = {normalise(phrasing.text): other for other in others for phrasing in other.phrasings}
    clashes: dict[int, list[Clash]] = {}
    for entry in changed:
        for phrasing in entry.phrasings if entry.status == "published" else ():
            if other := answered.get(normalise(phrasing.text)):
                clashes.setdefault(entry.id, []).append(Clash(phrasing.text, other.id, other.question))
    return clashes


def _content(entry: Entry) -> dict[str, Any]:
    return {
        "phrasings": [phrasing.text for phrasing in entry.phrasings],
        "answer": entry.answer,
        "group": entry.group_name,
        "status": entry.status,
    }


def _subject(*entries: Entry) -> str:
    return f"entry {', '.join(str(entry.id) for entry in entries)}"
