"""What saving an entry would do to the questions that visitors asked last, said before it is saved."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from flask_babel import ngettext

from webchat.answering.faq import rehearsal
from webchat.answering.faq.rows import Phrasing
from webchat.storage import faq
from webchat.storage.replays import Required
from webchat.web.services import services

if TYPE_CHECKING:
    from webchat.answering.faq.checking import Report
    from webchat.web.admin.entries import Draft


def of_form(draft: Draft, entry_id: int | None, *, publish: bool) -> Report | None:
    """Rehearse an entry as the form has it; None when visitors would notice nothing of it."""
    parts = services()
    with parts.database.read() as rows:
        entry = faq.get(rows, entry_id) if entry_id is not None else None
    if not publish and (entry is None or entry.status != "published"):
        return None
    number = rehearsal.NEW if entry is None else entry.id
    phrasings = [Phrasing(number, text) for text in draft.phrasings]
    phrasings += [Phrasing(number, text, negative=True) for text in draft.negatives]
    required = [Required(number, text, must_hit=True) for text in draft.must_hit]
    required += [Required(number, text, must_hit=False) for text in draft.must_not_hit]
    answers_now = _answers_now(draft)
    return rehearsal.of_edit(
        parts.index,
        parts.database,
        parts.encoder,
        number,
        phrasings=phrasings if answers_now else [],
        required=required if answers_now else [],
    )


def newly_answered(report: Report | None) -> str:
    """A second sentence for a saved entry that would have answered what visitors asked; empty for others."""
    times = sum(change.times for change in report.of_kind("new")) if report else 0
    if not times:
        return ""
    return " " + ngettext(
        "It would have answered %(num)d of the last questions.",
        "It would have answered %(num)d of the last questions.",
        times,
    )


def _answers_now(draft: Draft) -> bool:
    now = datetime.now(UTC)
    return (draft.valid_from is None or draft.valid_from <= now) and (
        draft.valid_until is None or now < draft.valid_until
    )
