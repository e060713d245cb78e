"""The policy of the engine, without a model: who runs, and what the next step computes.

Iteration-level scheduling as in Orca (Yu et al., OSDI 2022); prompts are read in pieces that ride along with the
answers' tokens, as in Sarathi-Serve (Agrawal et al., OSDI 2024): the weights pass through the processor once for both.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeVar

from webchat.engine.calibration import UNMEASURED
from webchat.engine.lookup import MOST, worth_guessing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from webchat.engine.calibration import Costs
    from webchat.engine.generation import Generation, Request
    from webchat.engine.lookup import Lookup
    from webchat.engine.slots import Placement

# Seconds of a step that reads a piece of a prompt while answers are being written. Where their own step leaves less
# than half of it to the prompt, the prompt gets half.
_STOP = 0.13
_LEAST = 4  # tokens of a prompt in a step, however slow the machine
# Short prompts are read whole: a newcomer's first word is worth more than the others' next one.
SHORT = 64  # tokens

_FULL = 32  # tokens of prompts in a step, from which on more of them take as long as one after the other
_SMOOTHING = 0.2  # weight of the newest step in the pace
_FAR_OFF = 20.0  # a step that took so many times its cost, or so much less, says little about the next
_AGING = 64  # tokens by which a prompt counts as shorter each time another one is read before it

# What became of a job that was to begin: it runs; it had better wait for the one it was put ``behind``, which keeps
# nobody else from beginning; there is no room for it.
Admission = Literal["placed", "later", "no room"]

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
    stepped: int = 0  # the step in which it last got a token
    passed_over: int = 0  # times that other prompts were read before its own
    short: bool = False  # whether little of its prompt had to be read
    lookup: Lookup | None = None  # guesses how the answer goes on
    behind: Job | None = None  # a running one that is just reading what this one's prompt begins with, too
    until: int = 0  # tokens that one has to have computed before this one begins

    @property
    def due(self) -> float | None:
        """When its patience ends, on the monotonic clock."""
        patience = self.request.patience
        return None if patience is None else self.generation.submitted_at + patience

    @property
    def left(self) -> int:
        """Tokens that the answer may still have."""
        return self.request.max_new_tokens - self.produced

    @property
    def writing(self) -> bool:
        """Whether the prompt has been read and the answer has begun."""
        return self.produced > 0


@dataclass(frozen=True, slots=True)
class Chunk:
    """Tokens of one job to compute in a step.

    Attributes:
        job: whose.
        tokens: the next of those that are pending, then guesses at what will be.
        choose: behind how many of them a token is chosen: none as long as some of the prompt is missing.
    """

    job: Job
    tokens: list[int]
    choose: int


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


def places(max_running: int, max_waiting: int, queue_share: float = 1.0) -> int:
    """How many can be under way, running and waiting, among those who may join so much of the queue."""
    return max_running + int(max_waiting * queue_share)


class Scheduler:
    """Waiting and running jobs. Not thread-safe: the worker calls it under its lock."""

    def __init__(self, *, max_running: int, max_waiting: int, costs: Costs = UNMEASURED) -> None:
        self.max_running = max_running
        self.max_waiting = max_waiting
        self.costs = costs
        self._steps = 0
        self._pace = 1.0  # how much longer steps take than they did when they were measured
        self._expected = 0.0  # seconds of the planned step
        self._changed = False  # whether somebody came, began or left since all who wait were looked at
        self.waiting: list[Job] = []
        self.running: list[Job] = []

    @property
    def places(self) -> int:
        """How many jobs there is room for, running and waiting."""
        return places(self.max_running, self.max_waiting)

    @property
    def under_way(self) -> int:
        """How many jobs there are. Those that wait for the next step to be admitted wait for nobody."""
        return len(self.running) + len(self.waiting)

    def takes(self, request: Request) -> bool:
        """Whether there is room for this request."""
        return self.under_way < places(self.max_running, self.max_waiting, request.queue_share)

    def add(self, generation: Generation, request: Request) -> None:
        """Put a request at the end of the queue."""
        self.waiting.append(Job(generation, request))
        self._changed = True

    def order(self) -> list[Job]:
        """The waiting jobs in the order they will be served."""
        return in_turn(self.waiting, self.running, lambda job: job.request.owner)

    def admit(self, place: Callable[[Job], Admission]) -> list[Job]:
        """Move waiting jobs to running while there is width and ``place`` finds them cells.

        In order: a long prompt that does not fit yet is not overtaken for ever by short ones. Where nothing has changed
        nobody is looked at: steps come by the dozen a second, and to place a job is to search the whole cache.
        """
        admitted: list[Job] = []
        if not self._somebody_may_begin():
            return admitted
        for job in self.order():
            if len(self.running) >= self.max_running:
                break
            if job.behind:
                continue
            admission = place(job)
            if admission == "no room":
                break
            if admission == "later":
                continue
            self.waiting.remove(job)
            self._send_to_the_end(job.request.owner)
            self.running.append(job)
            admitted.append(job)
        self._changed = bool(admitted)  # whose turn it is now may be another's
        return admitted

    def remove(self, generation: Generation) -> Job | None:
        """Forget a generation, waiting or running; None when it has ended already."""
        for jobs in (self.waiting, self.running):
            for job in jobs:
                if job.generation is generation:
                    jobs.remove(job)
                    self._left()
                    return job
        return None

    def late(self, now: float) -> list[Job]:
        """The jobs whose patience has ended."""
        return [job for job in (*self.running, *self.waiting) if job.due is not None and job.due <= now]

    def plan(self, max_batch: int) -> list[Chunk]:
        """What the next step computes: answers' next tokens, and pieces of prompts that ride along, these first.

        Args:
            max_batch: tokens the backend computes in one step; more than may be running.
        """
        writing = [job for job in self.running if job.writing]
        reading = [job for job in self.running if not job.writing]
        pieces = self._read(reading, len(writing), max_batch)
        width = len(writing) if pieces else self.costs.width(len(writing))
        read = sum(len(piece.tokens) for piece in pieces)
        chosen = self._take_turns(writing, width)
        guesses = [[] for _ in chosen] if pieces else self._guess(chosen, max_batch)
        rows = width + sum(map(len, guesses))
        attention = sum(self.costs.attention(len(piece.tokens), piece.job.computed) for piece in pieces)
        self._expected = self.costs.mixed(rows, read) + attention
        answers = zip(chosen, guesses, strict=True)
        return pieces + [Chunk(job, job.pending + guess, 1 + len(guess)) for job, guess in answers]

    def took(self, seconds: float) -> None:
        """Tell how long the planned step took: a machine that has other things to do gets smaller pieces."""
        if self._expected > 0:
            ratio = min(max(seconds / self._expected, 1 / _FAR_OFF), _FAR_OFF)
            self._pace += _SMOOTHING * (ratio - self._pace)

    def _left(self) -> None:
        """Look at everybody anew: there is room, what was computed may lie elsewhere, and nobody waits behind it."""
        self._changed = True
        for job in self.waiting:
            job.behind = None

    def _somebody_may_begin(self) -> bool:
        for job in self.waiting:
            if job.behind and job.behind.computed >= job.until:
                job.behind, self._changed = None, True
        return self._changed and bool(self.waiting)

    def _read(self, reading: list[Job], writing: int, max_batch: int) -> list[Chunk]:
        """A piece of the shortest prompt; with it the whole of others as long as that is cheaper than one by one."""
        chosen: list[Chunk] = []
        room = max_batch - writing
        for job in sorted(reading, key=lambda job: len(job.pending) - _AGING * job.passed_over):
            most = room if chosen else min(room, self._bite(job, writing, room))
            length = min(len(job.pending), most)
            last = length == len(job.pending)
            if length < 1 or (chosen and not last):
                break
            chosen.append(Chunk(job, job.pending[:length], int(last)))
            if not last:
                break  # it takes all the time that prompts may take
            room = min(room, _FULL) - length
        taken = {id(chunk.job) for chunk in chosen}
        for job in reading:
            job.passed_over += id(job) not in taken
        return chosen

    def _bite(self, job: Job, writing: int, most: int) -> int:
        """How many tokens of a prompt may be read now."""
        if not writing or job.short:
            return most
        longest = max(_STOP / self._pace, self.costs.step(writing) + _STOP / 2 / self._pace)
        return max(self.costs.readable(longest, most, beside=writing, behind=job.computed), _LEAST)

    def _take_turns(self, writing: list[Job], width: int) -> list[Job]:
        """So many answers, those first that have waited longest."""
        self._steps += 1
        chosen = sorted(writing, key=lambda job: job.stepped)[:width]
        for job in chosen:
            job.stepped = self._steps
        return chosen

    def _guess(self, writing: list[Job], most_rows: int) -> list[list[int]]:
        """How each of these answers may go on, where the time that it takes to compute a guess is worth it."""
        possible = [job.lookup.guess(min(MOST, job.left - 1)) if job.lookup else [] for job in writing]
        if not any(possible):
            return possible
        trusts = [(job.lookup.trust if job.lookup else 0.0) for job in writing]
        counts = worth_guessing([*zip(trusts, map(len, possible), strict=True)], self.costs.step, most_rows)
        return [guess[:count] for guess, count in zip(possible, counts, strict=True)]

    def _send_to_the_end(self, owner: str) -> None:
        """Let an owner whose turn it was queue anew with what else it asked."""
        self.waiting.sort(key=lambda job: job.request.owner == owner)  # stable
