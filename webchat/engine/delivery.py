"""Delivery: from chosen tokens to the text in each mailbox, and its end.

Under the worker's lock, or on its thread alone where nothing else may change what is touched.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from webchat.engine.generation import Ended, FinishReason, Stats, Text
from webchat.engine.text import TextAssembler

if TYPE_CHECKING:
    from collections.abc import Sequence

    from webchat.engine.backend import Backend
    from webchat.engine.scheduler import Job
    from webchat.engine.tally import Tally


@dataclass(eq=False, slots=True)
class _Writer:
    """What is kept of a running generation besides the scheduler's job."""

    text: TextAssembler
    admitted_at: float
    first_text_at: float | None = None


class Delivery:
    """Writes down tokens and ends, and counts them."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._writers: dict[Job, _Writer] = {}

    def begin(self, job: Job) -> None:
        """The job has been admitted."""
        self._writers[job] = _Writer(TextAssembler(job.request.stop), time.monotonic())

    def take(self, job: Job, tokens: Sequence[int], backend: Backend) -> tuple[int, FinishReason | None]:
        """Append tokens to an answer.

        Returns:
            How many, up to the one it is complete with, and the reason if it is.
        """
        for count, token in enumerate(tokens, 1):
            if reason := self._take(job, token, backend):
                return count, reason
        return len(tokens), None

    def _take(self, job: Job, token: int, backend: Backend) -> FinishReason | None:
        if backend.is_end(token):
            return "stop"
        job.pending = [token]
        job.produced += 1
        if job.lookup:
            job.lookup.add(token)
        writer = self._writers[job]
        if text := writer.text.push(backend.piece(token)):
            writer.first_text_at = writer.first_text_at or time.monotonic()
            job.generation.put(Text(text))
        if writer.text.stopped:
            return "stop"
        return "length" if job.produced >= job.request.max_new_tokens else None

    def end(self, job: Job, reason: FinishReason) -> None:
        """Put what is left of the text, and ``Ended``, into the job's mailbox."""
        writer = self._writers.pop(job, None)
        if writer and (text := writer.text.flush()):
            job.generation.put(Text(text))
        stats = _stats_of(job, writer)
        if not job.request.ahead:
            self._tally.add(stats, whole=reason in ("stop", "length"))
        job.generation.put(Ended(reason, stats))


def _stats_of(job: Job, writer: _Writer | None) -> Stats:
    now, since = time.monotonic(), job.generation.submitted_at
    first = writer.first_text_at if writer else None
    return Stats(
        prompt_tokens=len(job.request.prompt),
        reused_tokens=job.placement.reused if job.placement else 0,
        new_tokens=job.produced,
        queued_seconds=(writer.admitted_at if writer else now) - since,
        first_text_seconds=first - since if first else None,
        total_seconds=now - since,
    )
