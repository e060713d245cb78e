"""Rehearsals: what a changed FAQ would answer to what visitors asked; for the command line and before every save."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from webchat.answering.faq.checking import Answering, Asked, Report, compare, counted, replay
from webchat.answering.faq.matcher import Matcher
from webchat.answering.faq.rows import Phrasing
from webchat.answering.faq.vectors import OutOfTime, Remembering
from webchat.answering.normalise import normalise
from webchat.engine.generation import EngineUnavailable
from webchat.storage import faq, replays

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from webchat.answering.faq.evaluation import Id
    from webchat.answering.faq.index import FaqIndex
    from webchat.engine.encoders import Encoder
    from webchat.storage.database import Database
    from webchat.storage.replays import RealQuestion, Required

_LAST = 200  # questions asked again before a save
_PATIENCE = 2.0  # seconds an operator waits for that
NEW = 1 << 40  # stands for an entry that has no number yet; those of the database are lower


def of_edit(
    index: FaqIndex,
    database: Database,
    encoder: Encoder | None,
    entry: int,
    *,
    phrasings: Sequence[Phrasing],
    required: Sequence[Required],
) -> Report:
    """Rehearse the edit of one entry, in two seconds at most.

    Args:
        index: the FAQ as it is.
        database: of the questions.
        encoder: the index's.
        entry: that is edited; ``NEW`` for one without a number.
        phrasings: all that it would have, negatives too; none when it would not answer.
        required: what it must and must not answer.

    Raises:
        StorageUnavailable: the database cannot be used now.
    """
    end = time.monotonic() + _PATIENCE
    with database.read() as session:
        questions = counted(replays.real_questions(session, _LAST))
        live, titles = faq.live_ids(session), replays.titles(session)
        others = replays.required(session, live - {entry})
    positive = [phrasing.text for phrasing in phrasings if not phrasing.negative]
    then = live | {entry} if positive else live - {entry}
    named = titles | {entry: positive[0]} if positive else titles
    own = required if positive else ()
    try:
        remembering = Remembering(encoder, database) if encoder else None
        before, after = _matchers(index, remembering, entry, phrasings, end)
        states = Answering(before, live, titles), Answering(after, then, named)
        return compare(questions, *states, own, others, end=end)
    except OutOfTime:
        return Report(of=len(questions), of_required=len(own) + len(others))
    except EngineUnavailable:  # the encoder was closed: the process ends
        return Report()


def _matchers(
    index: FaqIndex, remembering: Remembering | None, entry: int, phrasings: Sequence[Phrasing], end: float
) -> tuple[Matcher, Matcher]:
    """The FAQ before and after an edit.

    Raises:
        OutOfTime: the edit's phrasings could not be encoded in time.
    """
    if remembering is None:
        return index.matcher(), index.with_edit(entry, phrasings, None)
    before, after = index.matcher(), index.with_edit(entry, phrasings, partial(remembering.encode_until, end))
    return before.asking(remembering), after.asking(remembering)


def rehearse(
    database: Database,
    encoder: Encoder | None,
    last: int,
    show: Callable[[int], None],
    *,
    entries: Sequence[tuple[Id, str]] | None = None,
    drafts: bool = False,
) -> Report:
    """Ask what visitors asked last of a changed FAQ.

    Args:
        database: of the site.
        encoder: of the site; None for letters and sounds.
        last: how many questions.
        show: told how many are done.
        entries: of another FAQ, phrasings with their entry's id; None for the site's as it is.
        drafts: as if all drafts were published.

    Raises:
        StorageUnavailable: the database cannot be used now.
    """
    asker = Remembering(encoder, database) if encoder else None
    with database.read() as session:
        questions = replays.real_questions(session, last)
        live, titles = faq.live_ids(session), replays.titles(session)
        asked = [Phrasing(*each) for each in faq.asked(session)]
        with_drafts = [Phrasing(*each) for each in faq.asked(session, drafts=True)] if drafts else []
        drafted = faq.live_ids(session, drafts=True) if drafts else live
        required = replays.required(session, drafted)
    site = Answering(Matcher(asked, asker), live, titles)
    if entries is not None:
        return replay(questions, *_another(entries, asker, asked, titles, required), _as(site), show)
    if drafts:
        return replay(questions, Answering(Matcher(with_drafts, asker), drafted, titles), required, _as(site), show)
    return replay(questions, site, required, lambda question: _then(question, titles), show)


def _another(
    entries: Sequence[tuple[Id, str]],
    asker: Encoder | None,
    asked: Sequence[Phrasing],
    titles: Mapping[int, str],
    required: Sequence[Required],
) -> tuple[Answering, list[Required]]:
    """Another FAQ, and what the site's entries require, asked of those there that share a phrasing with them."""
    numbers = {name: number for number, name in enumerate(dict.fromkeys(name for name, _ in entries), 1)}
    named: dict[int, str] = {}
    for name, text in entries:
        named.setdefault(numbers[name], text)
    matcher = Matcher([Phrasing(numbers[name], text) for name, text in entries], asker)
    spelt = {normalise(text): numbers[name] for name, text in reversed(entries)}
    ours = [(each.entry, normalise(each.text)) for each in reversed(asked) if not each.negative]
    same = {entry: spelt[text] for entry, text in ours if text in spelt}
    # Shown by the site's titles: an entry that is only reworded there answers no otherwise.
    shown = named | {there: titles[entry] for entry, there in same.items()}
    shown |= {-entry: title for entry, title in titles.items()}  # those that are gone
    wanted = [each._replace(entry_id=same.get(each.entry_id, -each.entry_id)) for each in required]
    return Answering(matcher, set(named), shown), wanted


def _as(answering: Answering) -> Callable[[RealQuestion], str]:
    return lambda question: answering.title(answering.entry(Asked(question.text, question.previous)))


def _then(question: RealQuestion, titles: dict[int, str]) -> str:
    """What answered then, by its present title: a title that was reworded is no other answer."""
    return titles.get(question.entry_id or 0, question.answered)
