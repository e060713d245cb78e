"""The policy of the engine, without a model: who runs, and what the next step computes.

Iteration-level scheduling as in Orca (Yu et al., OSDI 2022) with chunked prefill as in Sarathi-Serve
(Agrawal et al., OSDI 2024): every running answer gets its one token per step, and beside them prompts
are read a piece at a time.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from webchat.engine.generation import Generation, Request
    from webchat.engine.slots import Placement

# Prompt tokens per step while others are writing: small bites, so that their text keeps flowing. When nobody
# is, a prompt may take as much as the backend computes at once.
PROMPT_BITE = 48

T = TypeVar("T")


@dataclass(eq=False, slots=True)
class Job:
    """A generation the scheduler knows: waiting while ``placement`` is None, else running."""

    generation: Generation
    request: Request
    placement: Placement | None = None
    pending: list[int] = field(default_factory=list)  # tokens to compute next: the prompt's rest, or one token
    computed: int = 0  # tokens whose keys and values lie in the slot
    produced: int = 0  # tokens of the answer so far

    @property
    def writing(self) -> bool:
        """Whether the prompt has been read and the answer has begun."""
        return self.produced > 0


@dataclass(frozen=True, slots=True)
class Chunk:
    """Tokens of one job to compute in a step; ``last`` when its next token can be chosen afterwards."""

    job: Job
    tokens: list[int]
    last: bool


def in_turn(waiting: Sequence[T], running: Sequence[T], owner: Callable[[T], str]) -> list[T]:
    """Those who wait, in the order they will be served.

    Owners take turns: a job is served after as many others of its owner as run or wait before it, and
    jobs of equal turn in the order of the queue. One visitor with ten questions delays nobody's first.
    """
    turns = Counter(owner(job) for job in running)
    ranked = []
    for place, job in enumerate(waiting):
        ranked.append((turns[owner(job)], place, job))
        turns[owner(job)] += 1
    return [job for _, _, job in sorted(ranked, key=lambda item: item[:2])]


class Scheduler:
    """Waiting and running jobs. Not thread-safe: the worker calls it under its lock."""

    def __init__(self, *, max_running: int, max_waiting: int) -> None:
        self.max_running = max_running
        self.max_waiting = max_waiting
        self.waiting: list[Job] = []
        self.running: list[Job] = []

    @property
    def places(self) -> int:
        """How many jobs there is room for, running and waiting."""
        return self.max_running + self.max_waiting

    @property
    def under_way(self) -> int:
        """How many jobs there are. Those that wait for the next step to be admitted wait for nobody."""
        return len(self.running) + len(self.waiting)

    def add(self, generation: Generation, request: Request) -> None:
        """Put a request at the end of the queue."""
        self.waiting.append(Job(generation, request))

    def order(self) -> list[Job]:
        """The waiting jobs in the order they will be served."""
        return in_turn(self.waiting, self.running, lambda job: job.request.owner)

    def admit(self, place: Callable[[Job], bool]) -> list[Job]:
        """Move waiting jobs to running while there is width and ``place`` finds them cells.

        Strictly in order: a long prompt that does not fit yet is not overtaken for ever by short ones.
        """
        admitted = []
        for job in self.order():
            if len(self.running) >= self.max_running or not place(job):
                break
            self.waiting.remove(job)
            self._send_to_the_end(job.request.owner)
            self.running.append(job)
            admitted.append(job)
        return admitted

    def remove(self, generation: Generation) -> Job | None:
        """Forget a generation, waiting or running; None when it has ended already."""
        for jobs in (self.waiting, self.running):
            for job in jobs:
                if job.generation is generation:
                    jobs.remove(job)
                    return job
        return None

    def plan(self, max_batch: int) -> list[Chunk]:
        """What the next step computes: one token of each answer, then prompts in order of admission.

        Args:
            max_batch: tokens the backend computes in one step; more than may be running.
        """
        chunks = [Chunk(job, job.pending, last=True) for job in self.running if job.writing]
        budget = min(PROMPT_BITE, max_batch - len(chunks)) if chunks else max_batch
        for job in self.running:
            if job.writing or budget <= 0:
                continue
            tokens = job.pending[:budget]
            chunks.append(Chunk(job, tokens, last=len(tokens) == len(job.pending)))
            budget -= len(tokens)
        return chunks

    def _send_to_the_end(self, owner: str) -> None:
        """Let an owner whose turn it was queue anew with what else it asked."""
        self.waiting.sort(key=lambda job: job.request.owner == owner)  # stable
