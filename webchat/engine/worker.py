"""The engine: one thread that owns the model and runs plan → decode → deliver.

Everyone else sends it notes under one lock: a request, a cancellation, the wish to end. What it
sends back goes through each generation's mailbox. Templates, tokenising and everything a web
server does stay on the callers' threads.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import structlog

from webchat.engine.cache import CacheLimits, KvCache
from webchat.engine.calibration import UNMEASURED
from webchat.engine.delivery import Delivery
from webchat.engine.generation import (
    EngineClosed,
    EngineUnavailable,
    FinishReason,
    Generation,
    PromptTooLong,
    QueueFull,
    Request,
    Waiting,
)
from webchat.engine.lookup import Lookup
from webchat.engine.scheduler import SHORT, Job, Scheduler
from webchat.engine.slots import common_prefix
from webchat.engine.tally import Tally
from webchat.engine.template import ChatTemplate

if TYPE_CHECKING:
    from collections.abc import Callable

    from webchat.engine.backend import Backend
    from webchat.engine.calibration import Costs
    from webchat.engine.interface import ChatMessage, ChatRequest, EngineStats, State
    from webchat.engine.scheduler import Admission, Chunk

log = structlog.get_logger(__name__)

_FIRST_GUESS = 8.0  # seconds an answer takes, before any has been measured
_WORTH_WAITING = 16  # tokens of a prompt that somebody else is just computing


class LocalEngine:
    """A model that runs in this process; see ``interface.Engine``.

    Args:
        name: the model's, as pages and logs say it: the stem of its file.
        load: makes the backend; called on the engine's own thread, so that a server answers while it loads.
        max_running: generations computed at the same time.
        max_waiting: generations in the queue; each holds one mailbox and its prompt, so the bound is about
            patience, not memory: a visitor far down the queue is better served by being told so.
        limits: how much the cache keeps of what has ended.
        calibrate: gives the costs of the loaded backend's steps.
        on_death: called when the thread dies of an error; a server ends its process there, because an
            engine that cannot be trusted is worse than a restart.
    """

    def __init__(
        self,
        name: str,
        load: Callable[[], Backend],
        *,
        max_running: int,
        max_waiting: int,
        limits: CacheLimits = CacheLimits(),  # noqa: B008 - immutable
        calibrate: Callable[[Backend], Costs] = lambda _backend: UNMEASURED,
        on_death: Callable[[BaseException], None] | None = None,
    ) -> None:
        self.name = name
        self._limits = limits
        self._calibrate = calibrate
        self._load = load
        self._on_death = on_death
        self._max_running = max_running
        self._note = threading.Condition()
        self._state: State = "loading"
        self._problem: str | None = None
        self._backend: Backend | None = None
        self._template: ChatTemplate  # with the backend
        self._scheduler = Scheduler(max_running=max_running, max_waiting=max_waiting)
        self._cancelled: list[Generation] = []
        self._queue_changed = False
        self._tally = Tally(max_running, _FIRST_GUESS)
        self._delivery = Delivery(self._tally)
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    @property
    def places(self) -> int:
        """How many requests can be under way, running and waiting."""
        return self._scheduler.places

    # ---- callers' side -------------------------------------------------------------------------

    def start(self) -> None:
        """Start the thread; it loads the model first."""
        self._thread.start()

    def wait_until_ready(self, timeout: float | None = None) -> None:
        """Wait until the model is loaded.

        Raises:
            EngineUnavailable: it could not be loaded, or not within ``timeout`` seconds.
        """
        with self._note:
            self._note.wait_for(lambda: self._state != "loading", timeout)
            self._usable()

    def chat(self, request: ChatRequest) -> Generation:
        """Render the messages here, on the caller's thread, and queue them; see ``interface.Engine.chat``."""
        budget = None if request.context_tokens is None else request.context_tokens - request.max_new_tokens
        prompt = self._usable_template().render(request.messages, budget)
        if prompt is None:
            raise PromptTooLong("question and answer alone do not fit the context", request.context_tokens)
        return self.submit(
            Request(
                prompt.tokens,
                request.max_new_tokens,
                request.sampling,
                stop=request.stop,
                owner=request.owner,
                patience=request.patience,
                queue_share=request.queue_share,
                head=prompt.head,
            )
        )

    def read_ahead(self, messages: tuple[ChatMessage, ...]) -> None:
        """Compute what prompts begin with before anybody asks: one token behind it is generated and forgotten."""
        self.submit(Request(self._usable_template().beginning(messages), 1, ahead=True))

    def submit(self, request: Request) -> Generation:
        """Queue a request.

        Raises:
            ValueError: the prompt is empty, or no token is asked for.
            EngineUnavailable: there is no model.
            PromptTooLong: prompt and answer do not fit the cache.
            QueueFull: too many are waiting, for its share of the queue.
        """
        if not request.prompt or request.max_new_tokens < 1:
            raise ValueError("a request needs a prompt and room for a token")
        with self._note:
            backend = self._usable()
            if len(request.prompt) + request.max_new_tokens > backend.cells:
                sentence = f"{len(request.prompt)} and {request.max_new_tokens} tokens do not fit the cache"
                raise PromptTooLong(sentence, backend.cells)
            if not self._scheduler.takes(request):
                waiting = len(self._scheduler.waiting)
                raise QueueFull(waiting, retry_after=self._tally.eta(waiting))
            generation = Generation()
            self._scheduler.add(generation, request)
            self._queue_changed = True
            self._note.notify_all()
            return generation

    def queue_full(self, *, expected: int = 0) -> float | None:
        """Seconds after which to try again when no more requests can wait; None while there is room.

        Args:
            expected: requests under way in all, those included whose prompts are still being made.
        """
        with self._note:
            under_way = max(self._scheduler.under_way, expected)
            return self._tally.eta(under_way - self._max_running) if under_way >= self.places else None

    def cancel(self, generation: Generation) -> None:
        """End a generation within one step; its mailbox gets ``Ended("stopped")``. Ended ones stay as they are."""
        with self._note:
            self._cancelled.append(generation)
            self._note.notify_all()

    def stats(self) -> EngineStats:
        """A consistent look at the engine."""
        with self._note:
            scheduler = self._scheduler
            return self._tally.stats(
                self._state, self._problem, running=len(scheduler.running), waiting=len(scheduler.waiting)
            )

    def close(self) -> None:
        """End everything that runs with ``error``, free the model and wait for the thread."""
        with self._note:
            if self._state != "failed":
                self._state = "closed"
            self._note.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    def _usable_template(self) -> ChatTemplate:
        with self._note:
            self._usable()
            return self._template

    def _usable(self) -> Backend:
        if self._state == "closed":
            raise EngineClosed("the engine is closed")
        if self._state != "ready" or self._backend is None:
            raise EngineUnavailable(self._problem or f"the engine is {self._state}")
        return self._backend

    # ---- the engine's thread -------------------------------------------------------------------

    def _run(self) -> None:
        try:
            backend = self._load()
        except EngineUnavailable as error:
            log.error("no model", problem=str(error))  # noqa: TRY400 - a sentence, no trace
            self._give_up(str(error))
            return
        except Exception as error:  # whatever a native loader throws must not end the site: it still has its FAQ
            log.exception("model could not be loaded")
            self._give_up(f"the model could not be loaded: {error}")
            return
        try:
            self._serve(backend)
        except BaseException as error:
            log.critical("engine died", exc_info=True)
            self._give_up(f"the engine died: {error}")
            if self._on_death is None:
                raise
            self._on_death(error)

    def _serve(self, backend: Backend) -> None:
        template = ChatTemplate(backend)
        costs = self._calibrate(backend)
        cache = KvCache(backend, self._limits)
        with self._note:
            self._scheduler.costs = costs
            if self._state == "loading":
                self._state, self._backend, self._template = "ready", backend, template
            self._note.notify_all()
        log.info("model loaded", model=self.name, sequences=backend.sequences, cells=backend.cells)
        while chunks := self._plan(backend, cache):
            began = time.perf_counter()
            tokens = backend.decode(
                [(c.job.placement.slot, c.job.computed, c.tokens, c.choose) for c in chunks if c.job.placement]
            )
            self._scheduler.took(time.perf_counter() - began)
            self._deliver(backend, cache, chunks, tokens)
        with self._note:
            self._backend = None
            self._end_all()
        backend.close()

    def _plan(self, backend: Backend, cache: KvCache) -> list[Chunk]:
        """Wait for work, settle cancellations, admit, and choose the step; empty when the engine closes."""
        with self._note:
            while self._state == "ready":
                self._settle_cancelled(cache)
                self._settle_late(cache)
                admitted = self._scheduler.admit(lambda job: self._place(job, backend, cache))
                if admitted or self._queue_changed:
                    self._announce_queue()
                if chunks := self._scheduler.plan(backend.max_batch):
                    return chunks
                self._note.wait()
            return []

    def _place(self, job: Job, backend: Backend, cache: KvCache) -> Admission:
        request = job.request
        if self._wait_behind(job, cache):
            return "later"
        job.placement = cache.place(request.prompt, len(request.prompt) + request.max_new_tokens)
        if job.placement is None:
            return "no room"
        backend.begin(job.placement.slot, request.sampling)
        job.computed, job.pending = job.placement.reused, list(request.prompt[job.placement.reused :])
        job.short = len(job.pending) <= SHORT
        job.lookup = Lookup(request.prompt)
        self._delivery.begin(job)
        return "placed"

    def _wait_behind(self, job: Job, cache: KvCache) -> bool:
        """Whether a running job is just computing a longer beginning of this one's prompt than is known by now."""
        reading = [other for other in self._scheduler.running if not other.writing]
        if not reading:
            return False
        prompt = job.request.prompt[:-1]
        shared = [common_prefix(other.request.prompt[:-1], prompt) for other in reading]
        job.until = max(shared) - _WORTH_WAITING
        if cache.known(job.request.prompt) < job.until:
            job.behind = reading[shared.index(max(shared))]
        return job.behind is not None

    def _deliver(self, backend: Backend, cache: KvCache, chunks: list[Chunk], tokens: list[list[int]]) -> None:
        """Write down what the step computed and hand each new piece of text to its mailbox."""
        chosen = iter(tokens)
        ended: list[tuple[Job, FinishReason]] = []
        for chunk in chunks:
            job = chunk.job
            if job.placement is None:
                continue
            taken, reason = self._delivery.take(job, next(chosen), backend) if chunk.choose else (0, None)
            right = len(chunk.tokens) - max(chunk.choose - 1, 0) + max(taken - 1, 0)  # the other guesses were wrong
            cache.grow(job.placement.slot, chunk.tokens[:right])
            job.computed += right
            if right < len(chunk.tokens):
                backend.truncate(job.placement.slot, job.computed)
            if not chunk.choose:
                job.pending = job.pending[right:]
            if reason:
                ended.append((job, reason))
        if ended:
            with self._note:
                for job, reason in ended:
                    self._scheduler.remove(job.generation)
                    self._end(job, reason, cache)

    def _settle_cancelled(self, cache: KvCache) -> None:
        for generation in self._cancelled:
            if job := self._scheduler.remove(generation):
                self._end(job, "stopped", cache)
        self._cancelled.clear()

    def _settle_late(self, cache: KvCache) -> None:
        for job in self._scheduler.late(time.monotonic()):
            self._scheduler.remove(job.generation)
            self._end(job, "late", cache)

    def _end(self, job: Job, reason: FinishReason, cache: KvCache) -> None:
        """End a job that the scheduler has let go, and keep what it has computed."""
        self._delivery.end(job, reason)
        self._queue_changed = True
        if job.placement is None:
            return
        if job.request.ahead and reason in ("stop", "length"):
            cache.keep(job.placement.slot)
        cache.release(job.placement.slot, job.request.head)

    def _announce_queue(self) -> None:
        self._queue_changed = False
        for position, job in enumerate(self._scheduler.order()):
            job.generation.put(Waiting(position, self._tally.eta(position)))

    def _give_up(self, problem: str) -> None:
        with self._note:
            if self._state != "closed":
                self._state = "failed"
            self._problem, self._backend = problem, None
            self._end_all()
            self._note.notify_all()

    def _end_all(self) -> None:
        for jobs in (self._scheduler.running, self._scheduler.waiting):
            for job in jobs:
                self._delivery.end(job, "error")
            jobs.clear()
