"""Queries about FAQ entries, and how operators change them.

Every change counts up ``version`` in its own transaction and notes which entries it was about: a process that keeps an
index of the entries in memory sees with one small read whether the index is still true, and with a second one what to
read again.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import ColumnElement, and_, bindparam, case, delete, func, or_, select, true
from sqlalchemy import update as change
from sqlalchemy.orm import selectinload

from webchat.storage.database import affected_rows
from webchat.storage.tables import (
    Case,
    Entry,
    EntryStatus,
    FaqChange,
    Negative,
    Origin,
    Phrasing,
    Setting,
    UtcDateTime,
    utc_now,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from datetime import datetime

    from sqlalchemy.orm import Session

_VERSION = "faq_version"  # a row of settings, there from the first migration on
_REMEMBERED = 1000  # versions whose changes are kept; who is further behind reads everything
_EVERYTHING = 0  # stands for more entries than are worth noting one by one
_NOTED = 1000  # entries

# A visitor waits for these: built once, because SQLAlchemy takes longer to build them than to run them.
_MOMENT = bindparam("moment", type_=UtcDateTime)
_VALID = (Entry.valid_from.is_(None) | (Entry.valid_from <= _MOMENT)) & (
    Entry.valid_until.is_(None) | (Entry.valid_until > _MOMENT)
)
_LIVE = (Entry.status == "published") & _VALID
_CURRENT_VERSION = select(Setting.value).where(Setting.key == _VERSION)
_SAID_NOW = (
    select(Entry.id, Entry.answer, Phrasing.text)
    .join(Phrasing, Phrasing.entry_id == Entry.id)
    .where(Entry.id.in_(bindparam("entries", expanding=True)), _LIVE)
    .order_by(Entry.id, Phrasing.position)
)


@dataclass(frozen=True)
class NewEntry:
    """An entry that is not stored yet, as an import reads it."""

    phrasings: Sequence[str]
    answer: str
    group_name: str = ""
    status: EntryStatus = "published"
    origin: Origin = "imported"


def version(session: Session) -> int:
    """Count of the changes ever made to the entries."""
    return int(session.scalars(_CURRENT_VERSION).one())


def ever_used(session: Session) -> bool:
    """Whether any entry has ever existed."""
    return version(session) > 0


def published_phrasings(session: Session) -> list[tuple[int, str]]:
    """List what the published entries may be asked with, also those not valid yet or no longer: entry and text."""
    query = select(Phrasing.entry_id, Phrasing.text).join(Entry, Entry.id == Phrasing.entry_id)
    query = query.where(Entry.status == "published").order_by(Phrasing.entry_id.desc())
    return [(entry_id, text) for entry_id, text in session.execute(query)]


def changes_since(session: Session, seen: int) -> set[int] | None:
    """Find the entries that changed after a version, removed ones too; None when that is no longer known."""
    query = select(FaqChange.version, FaqChange.entry_id).where(FaqChange.version > seen)
    changes = session.execute(query).all()
    if len({change.version for change in changes}) != version(session) - seen:
        return None
    entries = {change.entry_id for change in changes}
    return None if _EVERYTHING in entries else entries


class Asked(NamedTuple):
    """A question of a published entry: one of its phrasings, or of its negatives."""

    entry_id: int
    text: str
    negative: bool


def asked(session: Session, entries: Collection[int] | None = None, *, drafts: bool = False) -> list[Asked]:
    """List the phrasings and negatives of published entries (and ``drafts``): of these, or of all."""
    found = []
    for kind, negative in ((Phrasing, False), (Negative, True)):
        query = select(kind.entry_id, kind.text).join(Entry, Entry.id == kind.entry_id)
        query = query.where(Entry.status.in_(_statuses(drafts=drafts))).order_by(kind.entry_id, kind.id)
        if entries is not None:
            query = query.where(kind.entry_id.in_(entries))
        found += [Asked(entry_id, text, negative) for entry_id, text in session.execute(query)]
    return found


class Live(NamedTuple):
    """What an entry that answers now says."""

    id: int
    answer: str
    phrasings: tuple[str, ...]

    @property
    def question(self) -> str:
        """The first phrasing: how the entry is shown."""
        return self.phrasings[0]


def live(session: Session, entries: Collection[int]) -> dict[int, Live]:
    """Find those of these entries that answer now, in one query: a visitor waits for it."""
    found = session.execute(_SAID_NOW, {"entries": list(entries), "moment": utc_now()})
    rows = groupby(found, key=lambda row: row[:2])
    return {entry: Live(entry, answer, tuple(text for *_, text in said)) for (entry, answer), said in rows}


def live_ids(session: Session, *, drafts: bool = False) -> set[int]:
    """Find all entries that answer now, and with ``drafts`` those that would if they were published."""
    query = select(Entry.id).where(_VALID, Entry.status.in_(_statuses(drafts=drafts)))
    return set(session.scalars(query, {"moment": utc_now()}))


def top_questions(session: Session, limit: int) -> list[str]:
    """List how the entries that answer now are shown, most often hit first; every first visit asks for it."""
    first = select(Phrasing.text).where(Phrasing.entry_id == Entry.id).order_by(Phrasing.position).limit(1)
    query = select(first.scalar_subquery()).select_from(Entry).where(_LIVE)
    return list(session.scalars(query.order_by(Entry.hits.desc(), Entry.id).limit(limit), {"moment": utc_now()}))


def top(session: Session, limit: int) -> list[Entry]:
    """List the entries that answer now, most often hit first, for operators to choose from."""
    query = select(Entry).where(_LIVE).order_by(Entry.hits.desc(), Entry.id).limit(limit)
    return list(session.scalars(query, {"moment": utc_now()}))


def search(
    session: Session, text: str, status: EntryStatus | None = None, limit: int = 50, offset: int = 0
) -> tuple[list[Entry], int]:
    """List entries whose phrasings or answer hold every word of ``text``, in any order (all, when it is empty).

    Those whose phrasings alone hold every word come first, then the last changed.

    Returns:
        One page of them, with phrasings, and how many there are on all pages.
    """
    asked: ColumnElement[bool] = true()
    said: ColumnElement[bool] = true()
    for word in dict.fromkeys(text.split()):
        in_phrasings = Entry.phrasings.any(Phrasing.text.icontains(word, autoescape=True))
        asked = and_(asked, in_phrasings)
        said = and_(said, or_(in_phrasings, Entry.answer.icontains(word, autoescape=True)))
    query = select(Entry).where(said)
    if status is not None:
        query = query.where(Entry.status == status)
    total = session.scalar(select(func.count()).select_from(query.subquery())) or 0
    order = case((asked, 0), else_=1), Entry.updated_at.desc(), Entry.id.desc()
    page = query.order_by(*order).limit(limit).offset(offset)
    return list(session.scalars(page)), total


def get(session: Session, entry_id: int) -> Entry | None:
    """Find an entry, with its phrasings."""
    return session.scalar(select(Entry).where(Entry.id == entry_id))


def whole(session: Session, entry_id: int) -> Entry | None:
    """Find an entry with all that an operator's form shows, to be read after the session's end."""
    query = select(Entry).where(Entry.id == entry_id)
    return session.scalar(query.options(selectinload(Entry.negatives), selectinload(Entry.cases)))


def create(
    session: Session,
    *,
    phrasings: Sequence[str],
    answer: str,
    group_name: str = "",
    status: EntryStatus = "published",
    origin: Origin = "curated",
    batch: str | None = None,
    valid_from: datetime | None = None,
    valid_until: datetime | None = None,
    negatives: Sequence[str] = (),
    must_hit: Sequence[str] = (),
    must_not_hit: Sequence[str] = (),
) -> Entry:
    """Add an entry.

    Raises:
        ValueError: there is no phrasing.
    """
    entry = Entry(
        phrasings=_numbered(phrasings),
        answer=answer,
        group_name=group_name,
        status=status,
        origin=origin,
        batch=batch,
        valid_from=valid_from,
        valid_until=valid_until,
        negatives=[Negative(text=text) for text in dict.fromkeys(negatives)],
        cases=_cases(must_hit, must_not_hit),
    )
    session.add(entry)
    session.flush()
    _changed(session, [entry.id])
    return entry


def update(
    session: Session,
    entry: Entry,
    *,
    phrasings: Sequence[str],
    answer: str,
    group_name: str,
    valid_from: datetime | None = None,
    valid_until: datetime | None = None,
    negatives: Sequence[str] | None = None,
    must_hit: Sequence[str] | None = None,
    must_not_hit: Sequence[str] | None = None,
) -> None:
    """Replace what an entry says, when it holds, and, where given, what it must and must not answer.

    Raises:
        ValueError: there is no phrasing.
    """
    entry.phrasings = _numbered(phrasings, entry.phrasings)
    entry.answer = answer
    entry.group_name = group_name
    entry.valid_from = valid_from
    entry.valid_until = valid_until
    if negatives is not None:
        there = {negative.text: negative for negative in entry.negatives}
        entry.negatives = [there.get(text) or Negative(text=text) for text in dict.fromkeys(negatives)]
    if must_hit is not None and must_not_hit is not None:
        entry.cases = _cases(must_hit, must_not_hit, entry.cases)
    entry.updated_at = utc_now()
    _changed(session, [entry.id])


def add_negative(session: Session, entry: Entry, text: str) -> None:
    """Note a question that must not lead to an entry, once."""
    if text not in [negative.text for negative in entry.negatives]:
        entry.negatives.append(Negative(text=text))
        entry.updated_at = utc_now()  # a form that was opened before must not take it away unseen
        _changed(session, [entry.id])


def remove_negative(session: Session, entry: Entry, text: str) -> None:
    """Let a question lead to an entry again."""
    kept = [negative for negative in entry.negatives if negative.text != text]
    if len(kept) < len(entry.negatives):
        entry.negatives = kept
        entry.updated_at = utc_now()
        _changed(session, [entry.id])


def set_status(session: Session, entry: Entry, status: EntryStatus) -> None:
    """Publish, disable or unpublish an entry."""
    if entry.status == status:
        return
    entry.status = status
    entry.updated_at = utc_now()
    _changed(session, [entry.id])


def remove(session: Session, entry: Entry) -> None:
    """Remove an entry for good; messages keep what it said."""
    session.delete(entry)
    _changed(session, [entry.id])


def add_batch(session: Session, entries: Iterable[NewEntry], batch: str) -> int:
    """Add many entries under one name, by which they can be removed; returns how many.

    Raises:
        ValueError: an entry has no phrasing.
    """
    rows = [
        Entry(
            phrasings=_numbered(entry.phrasings),
            answer=entry.answer,
            group_name=entry.group_name,
            status=entry.status,
            origin=entry.origin,
            batch=batch,
        )
        for entry in entries
    ]
    session.add_all(rows)
    if rows:
        session.flush()
        _changed(session, [row.id for row in rows])
    return len(rows)


def of_batch(session: Session, batch: str) -> list[Entry]:
    """List the entries of a batch that are still there, with their phrasings."""
    return list(session.scalars(select(Entry).where(Entry.batch == batch).order_by(Entry.id)))


def batch_size(session: Session, batch: str) -> int:
    """Count the entries of a batch that are still there."""
    return session.scalar(select(func.count()).where(Entry.batch == batch)) or 0


def remove_batch(session: Session, batch: str) -> int:
    """Remove the entries that are still of a batch; returns how many."""
    entries = session.scalars(select(Entry.id).where(Entry.batch == batch)).all()
    removed = affected_rows(session, delete(Entry).where(Entry.batch == batch))
    if removed:
        _changed(session, entries)
    return removed


def count_hit(session: Session, entry_id: int) -> None:
    """Note that an entry has answered; what it says is unchanged, so the version is too."""
    session.execute(change(Entry).where(Entry.id == entry_id).values(hits=Entry.hits + 1))


def _numbered(texts: Iterable[str], present: Iterable[Phrasing] = ()) -> list[Phrasing]:
    """Make rows of phrasings, each once and in order; a row that says the same already is kept.

    A new row beside the old one would break the rule that an entry's phrasings differ.
    """
    kept = {phrasing.text: phrasing for phrasing in present}
    rows = [kept.get(text) or Phrasing(text=text) for text in dict.fromkeys(texts)]
    if not rows:
        raise ValueError("An entry needs at least one phrasing.")
    for position, row in enumerate(rows):
        row.position = position
    return rows


def _statuses(*, drafts: bool) -> tuple[EntryStatus, ...]:
    return ("published", "draft") if drafts else ("published",)


def _cases(must_hit: Sequence[str], must_not_hit: Sequence[str], present: Iterable[Case] = ()) -> list[Case]:
    """Make rows of questions to ask again; one that was there is kept, as with phrasings."""
    kept = {case.text: case for case in present}
    wanted = dict.fromkeys(must_not_hit, False) | dict.fromkeys(must_hit, True)
    rows = []
    for text, hit in wanted.items():
        row = kept.get(text) or Case(text=text)
        row.must_hit = hit
        rows.append(row)
    return rows


def _changed(session: Session, entries: Sequence[int]) -> None:
    """Count up the version, under a lock on its row: another change waits for this one's commit."""
    session.flush()
    query = select(Setting).where(Setting.key == _VERSION).with_for_update()
    counter = session.scalars(query.execution_options(populate_existing=True)).one()
    counter.value += 1
    noted = entries if len(entries) <= _NOTED else [_EVERYTHING]
    session.add_all(FaqChange(version=counter.value, entry_id=entry) for entry in set(noted))
    session.execute(delete(FaqChange).where(FaqChange.version <= counter.value - _REMEMBERED))
    session.flush()
