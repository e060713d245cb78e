"""What saving an entry would do to the questions that visitors asked last, said before it is saved."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from flask_babel import gettext as _
from flask_babel import ngettext

from webchat.answering.faq import rehearsal
from webchat.answering.faq.rows import Phrasing
from webchat.answering.normalise import normalise
from webchat.storage import faq
from webchat.storage.replays import Required
from webchat.web.admin.forms import EntryForm
from webchat.web.services import services

if TYPE_CHECKING:
    from collections.abc import Sequence

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


def of_stored(entry_id: int, more: Sequence[str] = (), *, denied: Sequence[str] = ()) -> Report | None:
    """Rehearse an entry as it is stored, published and with more phrasings or negatives; None when nothing changes."""
    form = EntryForm(formdata=None)
    with services().database.read() as rows:
        stored = faq.whole(rows, entry_id)
    if stored is None or (stored.status == "published" and not more and not denied):
        return None
    form.show(stored)
    draft = form.draft(stored)
    own = {normalise(text) for text in draft.phrasings}  # its own questions it goes on answering
    negatives = dict.fromkeys((*draft.negatives, *(text for text in denied if normalise(text) not in own)))
    changed = replace(draft, phrasings=(*draft.phrasings, *more), negatives=tuple(negatives))
    return of_form(changed, entry_id, publish=True)


def of_silence(entry_id: int) -> Report | None:
    """Rehearse that an entry answers no more; None when it answers nobody now."""
    parts = services()
    with parts.database.read() as rows:
        entry = faq.get(rows, entry_id)
    if entry is None or entry.status != "published":
        return None
    return rehearsal.of_edit(parts.index, parts.database, parts.encoder, entry_id, phrasings=[], required=[])


def answered_by_others(report: Report | None) -> str:
    """A second sentence for an entry that is silent: which others answer its questions now, perhaps amiss; or none."""
    changed = report.of_kind("changed") if report else []
    if not changed:
        return ""
    sentence = _("“%(question)s” is answered by “%(entry)s” now.", question=changed[0].question, entry=changed[0].after)
    more = len(changed) - 1
    if more:
        sentence += " " + ngettext("So is %(num)d more question.", "So are %(num)d more questions.", more)
    return " " + sentence


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
