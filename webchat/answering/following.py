"""Following an answer: its events to the end, from its run while it is written, then from its row."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from webchat.answering.events import Delta, Event, Failed, Failure, Finished, Started
from webchat.storage.tables import UNFINISHED

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

    from webchat.answering.feed import Run
    from webchat.storage.tables import Message


def failure_of(answer: Message) -> Failure:
    """Why a stored answer is incomplete."""
    known: tuple[Failure, ...] = get_args(Failure)
    return next((failure for failure in known if failure == answer.reason), "interrupted")


def stored_events(answer: Message | None) -> Iterator[Event]:
    """What an answer that nobody writes any more has to say."""
    if answer is None or answer.status in UNFINISHED:
        yield Failed("interrupted")  # its process is gone
        return
    source = answer.source or "model"
    if answer.text:
        yield Started(source)
        yield Delta(answer.text)
    if answer.status in ("failed", "interrupted"):
        yield Failed(failure_of(answer))
    else:
        yield Finished(source, answer.finish_reason or "stop", answer.stats or {})


def live_events(run: Run, changed: threading.Event, heartbeat: float) -> Iterator[Event]:
    """What happens to an answer until its end; an empty ``Delta`` after each ``heartbeat`` seconds of silence."""
    sent, queued = 0, None
    while True:
        outcome, text = run.outcome, run.text  # in this order: the outcome comes after the last text
        if run.queued and run.queued != queued and not text:
            queued = run.queued
            yield queued
        if len(text) > sent:
            if not sent:
                yield Started("model")
            yield Delta(text[sent:])
            sent = len(text)
        if outcome:
            yield outcome
            return
        if not changed.wait(heartbeat):
            yield Delta("")
        changed.clear()
