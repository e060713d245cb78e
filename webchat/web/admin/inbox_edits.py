"""What operators do with a group of the inbox: every change leaves an audit record, and the last one can be undone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from webchat.answering.learning.masking import masked
from webchat.storage import audit, faq, inbox, settings
from webchat.storage.tables import utc_now
from webchat.web.admin import entries

if TYPE_CHECKING:
    from collections.abc import Sequence

    from webchat.storage.database import Session
    from webchat.storage.tables import Entry, GroupStatus, InboxGroup, Operator


class Gone(Exception):  # noqa: N818 - a state, named as callers say it
    """The group or the entry is not there any more."""


def write_entry(session: Session, operator: Operator, group_id: int, wordings: Sequence[str]) -> Entry:
    """Begin an entry for a group, a draft with what the model has said; the draft that is there, when there is one.

    Raises:
        Gone: the group is not there any more.
    """
    group = _group(session, group_id)
    if group.entry_id and (draft := faq.get(session, group.entry_id)) and draft.status == "draft":
        return draft
    told = inbox.told(session, group.id, limit=1)
    answer = masked(told[0].answer) if told else ""
    entry = faq.create(
        session, phrasings=_of_group(session, group, wordings), answer=answer, status="draft", origin="curated"
    )
    group.entry_id, group.drafted = entry.id, True
    audit.record(session, operator.name, "inbox.write", _subject(group), entry=entry.id)
    return entry


def wordings_of(session: Session, group_id: int, ticked: Sequence[str]) -> list[str]:
    """What of a group an entry would get: the ticked wordings that were really asked; its first question for none.

    Raises:
        Gone: the group is not there any more.
    """
    return _of_group(session, _group(session, group_id), ticked)


def join(session: Session, operator: Operator, group_id: int, entry_id: int, wordings: Sequence[str]) -> Entry:
    """Let an entry answer what a group asks: these of its wordings become phrasings.

    Raises:
        Gone: the group is not there any more, or the entry is not published (any more).
        AnsweredElsewhere: another entry answers one of them.
        Full: they are too many for the entry.
    """
    group, entry = _group(session, group_id), _entry(session, entry_id)
    if entry.status != "published":
        raise Gone  # it would answer nobody, and the group would be settled
    before = _state(group)
    added = entries.extend(session, operator, entry, _of_group(session, group, wordings))
    _settle(session, group, "answered", entry.id)
    _keep(session, operator, group, before, entry=entry.id, added=added)
    audit.record(session, operator.name, "inbox.join", _subject(group), entry=entry.id)
    return entry


def deny(session: Session, operator: Operator, group_id: int, entry_id: int) -> tuple[Entry, list[str]]:
    """Keep an entry from the questions of a group that it answered amiss; the entry, and which those are.

    Raises:
        Gone: the group or the entry is not there any more.
        Full: they are too many for the entry.
    """
    group, entry = _group(session, group_id), _entry(session, entry_id)
    denied = entries.deny(session, operator, entry, inbox.denied(session, group.id, entry.id))
    if denied:
        _keep(session, operator, group, _state(group), entry=entry.id, denied=denied)
    return entry, denied


def dismiss(session: Session, operator: Operator, group_id: int) -> InboxGroup:
    """Put a group away; what asks the same later is put away with it.

    Raises:
        Gone: the group is not there any more.
    """
    group = _group(session, group_id)
    before = _state(group)
    _settle(session, group, "dismissed", group.entry_id)
    _keep(session, operator, group, before)
    audit.record(session, operator.name, "inbox.dismiss", _subject(group), question=group.question)
    return group


def reopen(session: Session, operator: Operator, group_id: int) -> InboxGroup:
    """Take a group back into the inbox.

    Raises:
        Gone: the group is not there any more.
    """
    group = _group(session, group_id)
    _settle(session, group, "open", group.entry_id)
    audit.record(session, operator.name, "inbox.reopen", _subject(group), question=group.question)
    return group


def undo(session: Session, operator: Operator) -> str | None:
    """Undo what this operator did last; the group's question, None when there is nothing to undo any more.

    Raises:
        Outdated: someone has done something else with the group since.
    """
    kept = settings.get(session, _key(operator))
    if not settings.remove(session, _key(operator)) or kept is None:
        return None
    group = inbox.locked(session, kept["group"])
    if group and _state(group) != kept["after"]:
        raise entries.Outdated
    entry = faq.get(session, kept.get("entry") or 0)
    if entry and kept.get("added"):
        entries.shorten(session, operator, entry, kept["added"])
    if entry and kept.get("denied"):
        entries.allow(session, operator, entry, kept["denied"])
    if group:
        before = kept["before"]
        _settle(session, group, before["status"], before["entry"] if faq.get(session, before["entry"] or 0) else None)
        audit.record(session, operator.name, "inbox.undo", _subject(group))
    return str(kept["question"])


def undoable(session: Session, operator: Operator) -> str | None:
    """The question of the group that this operator can bring back as it was."""
    kept = settings.get(session, _key(operator))
    return kept["question"] if kept else None


def _group(session: Session, group_id: int) -> InboxGroup:
    if (group := inbox.locked(session, group_id)) is None:
        raise Gone
    return group


def _entry(session: Session, entry_id: int) -> Entry:
    if (entry := entries.locked(session, entry_id)) is None:
        raise Gone
    return entry


def _of_group(session: Session, group: InboxGroup, wordings: Sequence[str]) -> list[str]:
    """Those of the wordings that were really asked; its first question, when none of them was."""
    asked = [wording.text for wording in inbox.wordings(session, [group.id])]
    return [text for text in wordings if text in asked] or [group.question]


def _settle(session: Session, group: InboxGroup, status: GroupStatus, entry_id: int | None) -> None:
    group.status, group.entry_id, group.changed_at = status, entry_id, utc_now()
    session.flush()


def _state(group: InboxGroup) -> dict[str, Any]:
    return {"status": group.status, "entry": group.entry_id}


def _keep(session: Session, operator: Operator, group: InboxGroup, before: dict[str, Any], **change: Any) -> None:
    kept = {"group": group.id, "question": group.question, "before": before, "after": _state(group), **change}
    settings.put(session, _key(operator), kept)


def _key(operator: Operator) -> str:
    return f"inbox_before_{operator.id}"


def _subject(group: InboxGroup) -> str:
    return f"inbox group {group.id}"
