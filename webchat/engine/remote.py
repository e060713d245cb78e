"""The remote engine: the same interface over an OpenAI-compatible server (vLLM, SGLang, llama-server).

One thread runs an event loop; every request under way is a task on it, so that hundreds cost no thread each and any
of them can be ended at any moment, whatever its connection is waiting for. Callers leave notes under one lock, as
with the local engine, and answers come through the same mailboxes.
"""

from __future__ import annotations

import asyncio
import random
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog

from webchat.engine.generation import EngineClosed, EngineError, EngineUnavailable, PromptTooLong, QueueFull
from webchat.engine.remote_job import Patience, RemoteJob
from webchat.engine.scheduler import in_turn, places
from webchat.engine.tally import Tally
from webchat.engine.upstream import TryFailed, Upstream
from webchat.engine.watch import JITTER, Watch

if TYPE_CHECKING:
    from collections.abc import Callable

    from webchat.engine.generation import FinishReason, Generation
    from webchat.engine.interface import ChatMessage, ChatRequest, EngineStats, State
    from webchat.engine.upstream import Address

log = structlog.get_logger(__name__)

_NAMELESS = "remote model"  # until the server has said what it serves
_RETRIES = 2
_FIRST_GUESS = 4.0  # seconds an answer takes, before any has been measured
_PATIENCE = Patience()


class RemoteEngine:
    """A model behind a URL; see ``interface.Engine``.

    Args:
        address: where the server is.
        model: the model to ask for, which is also its name on pages; empty takes the first that the server lists.
        max_running: answers asked for at the same time; more wait here, where positions are known and turns are fair.
        max_waiting: requests in the queue.
        patience: how long to wait for what.
        on_death: called when the thread dies of an error, as with the local engine.
    """

    def __init__(
        self,
        address: Address,
        model: str = "",
        *,
        max_running: int,
        max_waiting: int,
        patience: Patience = _PATIENCE,
        on_death: Callable[[BaseException], None] | None = None,
    ) -> None:
        self.name = model or _NAMELESS
        self.places = places(max_running, max_waiting)
        self._upstream = Upstream(address)
        self._wanted = model
        self._watch = Watch(self._upstream, model, self._judge)
        self._max_running, self._max_waiting = max_running, max_waiting
        self._patience = patience
        self._on_death = on_death
        self._note = threading.Condition()  # guards what follows
        self._state: State = "loading"
        self._problem: str | None = None
        self._waiting: list[RemoteJob] = []
        self._running: list[RemoteJob] = []
        self._tally = Tally(max_running, _FIRST_GUESS)
        self._loop = asyncio.new_event_loop()
        self._tasks: asyncio.TaskGroup
        self._main: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    # ---- callers' side -------------------------------------------------------------------------

    def start(self) -> None:
        """Start the thread; it looks for the server first."""
        self._thread.start()

    def wait_until_ready(self, timeout: float | None = None) -> None:
        """Wait until it is known whether the server is there.

        Raises:
            EngineUnavailable: it is not, or not known within ``timeout`` seconds.
        """
        with self._note:
            self._note.wait_for(lambda: self._state != "loading", timeout)
            self._require_ready()

    def chat(self, request: ChatRequest) -> Generation:
        """Queue a request; see ``interface.Engine.chat``. A prompt too long is known only when the server says so."""
        job = RemoteJob(request)
        with self._note:
            self._require_ready()
            if self._under_way >= places(self._max_running, self._max_waiting, request.queue_share):
                raise QueueFull(len(self._waiting), retry_after=self._tally.eta(len(self._waiting)))
            self._waiting.append(job)
            self._loop.call_soon_threadsafe(self._enlist, job)
        return job.generation

    def read_ahead(self, messages: tuple[ChatMessage, ...]) -> None:
        """Do nothing: the server has a prefix cache of its own, and asking may cost money."""

    def queue_full(self, *, expected: int = 0) -> float | None:
        """Seconds after which to try again when no more requests can wait; see ``interface.Engine.queue_full``."""
        with self._note:
            under_way = max(self._under_way, expected)
            return self._tally.eta(under_way - self._max_running) if under_way >= self.places else None

    def cancel(self, generation: Generation) -> None:
        """End a generation at once, and hang up, which is how a server learns that it may stop."""
        with self._note:
            for job in (*self._running, *self._waiting):
                if job.generation is generation:
                    self._settle(job, "stopped")
                    return

    def stats(self) -> EngineStats:
        """A consistent look at the engine."""
        with self._note:
            return self._tally.stats(self._state, self._problem, running=len(self._running), waiting=len(self._waiting))

    def close(self) -> None:
        """End everything that runs with ``error``, hang up and wait for the thread."""
        with self._note:
            self._enter("closed")
            self._settle_all(self._running, self._waiting)
            if self._main:
                self._loop.call_soon_threadsafe(self._main.cancel)
        if self._thread.is_alive():
            self._thread.join()
        elif not self._loop.is_closed():  # never started
            self._loop.close()

    @property
    def _under_way(self) -> int:
        return len(self._running) + len(self._waiting)

    def _require_ready(self) -> None:
        if self._state == "closed":
            raise EngineClosed("the engine is closed")
        if self._state != "ready":
            raise EngineUnavailable(self._problem or f"the engine is {self._state}")

    # ---- with the lock held, on any thread -----------------------------------------------------

    def _enter(self, state: State, problem: str | None = None) -> None:
        """Change the state, for good once it is ``closed``."""
        if self._state != "closed":
            self._state, self._problem = state, problem
        self._note.notify_all()

    def _settle(self, job: RemoteJob, reason: FinishReason, error: EngineError | None = None) -> None:
        """End a job wherever it is, and let the next one in."""
        if (stats := job.end(reason, error)) is None:
            return
        (self._running if job in self._running else self._waiting).remove(job)
        self._tally.add(stats, whole=reason in ("stop", "length"))
        for ending in (job.task, job.timer):
            if ending:
                self._loop.call_soon_threadsafe(ending.cancel)
        self._loop.call_soon_threadsafe(self._admit)

    def _settle_all(self, *queues: list[RemoteJob], error: EngineError | None = None) -> None:
        for queue in queues:
            for job in list(queue):
                self._settle(job, "error", error)

    # ---- the event loop ------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            with suppress(asyncio.CancelledError):  # closed
                self._loop.run_until_complete(self._serve())
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        except BaseException as error:
            log.critical("engine died", exc_info=True)
            with self._note:
                self._enter("failed", f"the engine died: {error}")
                self._settle_all(self._running, self._waiting)
            if self._on_death is None:
                raise
            self._on_death(error)
        finally:
            with self._note:
                self._main = None
                self._loop.close()

    async def _serve(self) -> None:
        with self._note:
            if self._state == "closed":
                return
            self._main = asyncio.current_task()
        async with self._upstream, asyncio.TaskGroup() as self._tasks:
            await self._watch.run()

    def _enlist(self, job: RemoteJob) -> None:
        """Have a request that has just come end when its patience does."""
        with self._note:
            if job.request.patience is not None and job in self._waiting:
                job.timer = self._loop.call_later(job.request.patience, self._expire, job)
        self._admit()

    def _expire(self, job: RemoteJob) -> None:
        with self._note:
            self._settle(job, "late")

    def _admit(self) -> None:
        """Begin as many waiting requests as may run, and tell the others where they stand."""
        with self._note:
            for job in self._line()[: self._max_running - len(self._running)]:
                self._waiting.remove(job)
                self._waiting.sort(key=lambda other: other.request.owner == job.request.owner)
                self._running.append(job)
                job.task = self._tasks.create_task(self._drive(job), context=job.context)
            for position, job in enumerate(self._line()):
                job.announce(position, self._tally.eta(position))

    def _line(self) -> list[RemoteJob]:
        return in_turn(self._waiting, self._running, lambda job: job.request.owner)

    async def _drive(self, job: RemoteJob) -> None:
        """See a request to its end. Never raises but when it is cancelled, and then it has been settled."""
        reason: FinishReason = "error"
        error: EngineError | None = None
        try:
            async with asyncio.timeout(self._patience.whole):
                reason = await self._answer(job)
        except TryFailed as failed:
            error = failed.error
        except TimeoutError:
            error = EngineUnavailable("the answer takes too long")
        except Exception as unforeseen:
            log.exception("remote answer failed")
            error = EngineError(str(unforeseen))
        if error:
            log.warning("no answer from the server", problem=str(error), text_shown=job.text_shown)
        with self._note:
            self._settle(job, reason, None if job.text_shown else error)

    async def _answer(self, job: RemoteJob) -> FinishReason:
        """Try until there is an answer; once a visitor has seen its first words, never again."""
        tries = 0
        while True:
            try:
                reason = await job.write(self._upstream, self._watch.model, self._patience)
            except TryFailed as failed:
                self._watch.failed(failed)
                if job.text_shown:
                    raise
                if isinstance(failed.error, PromptTooLong) and job.forget():
                    continue
                tries += 1
                if tries > _RETRIES or not failed.again or self._watch.open:
                    raise
                await asyncio.sleep(self._pause(failed, tries))
            else:
                self._watch.worked()
                return reason

    def _pause(self, failed: TryFailed, tries: int) -> float:
        """Seconds before the next try, doubling.

        Raises:
            TryFailed: as it came, when the server wants us to wait longer than we care to.
        """
        if failed.after is not None and failed.after > self._patience.retry_after:
            raise failed
        backoff: float = self._patience.pause * 2 ** (tries - 1) * random.uniform(*JITTER)  # noqa: S311 - no secret
        return max(failed.after or 0.0, backoff)

    def _judge(self, problem: str | None) -> None:
        """Let the state follow what the watch has found; who waits for a server that is away is told at once."""
        with self._note:
            before = self._state, self._problem
            self.name = self._wanted or self._watch.model.shown or _NAMELESS
            if self._watch.open:
                problem = problem or self._problem
                self._enter("failed", problem)
                self._settle_all(self._waiting, error=EngineUnavailable(problem or ""))
            else:
                self._enter("ready")
            changed = (self._state, self._problem) != before
        if changed and self._state == "failed":
            log.error("the server of the model cannot be used", problem=problem)
        elif changed and self._state == "ready":
            log.info("the server of the model is there", model=self.name)
