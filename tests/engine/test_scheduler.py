"""The policy without a model: who runs next, and what a step computes."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webchat.engine.calibration import UNMEASURED, Costs
from webchat.engine.generation import Generation, Request
from webchat.engine.scheduler import SHORT, Admission, Scheduler
from webchat.engine.slots import Placement

MAX_BATCH = 64


@dataclass(eq=False)
class Asked(Generation):
    """A generation that remembers what it was asked."""

    request: Request = field(kw_only=True)


def generation(owner: str = "", prompt: int = 1, new: int = 1) -> Asked:
    return Asked(request=Request(tuple(range(prompt)), new, owner=owner))


def add(scheduler: Scheduler, asked: Asked) -> None:
    scheduler.add(asked, asked.request)


class World:
    """A scheduler over a number of cells, played step by step. Every end is written down.

    Its clock goes by the costs of the steps, ``slowness`` times as fast as they were measured. Where prompts are
    ``alike``, each begins as the others do, and waits behind one that is being read.
    """

    def __init__(
        self,
        *,
        width: int,
        cells: int,
        max_batch: int = MAX_BATCH,
        costs: Costs = UNMEASURED,
        slowness: float = 1,
        alike: bool = False,
    ) -> None:
        self.scheduler = Scheduler(max_running=width, max_waiting=1000, costs=costs)
        self.costs = costs
        self.slowness = slowness
        self.alike = alike
        self.looked_at = 0  # how often somebody was to be placed
        self.now = 0.0
        self.wrote_at: dict[int, list[float]] = {}  # by id of the generation: when it got its tokens
        self.cells = cells
        self.max_batch = max_batch
        self.ended: list[Generation] = []
        self.admitted: list[Generation] = []

    def place(self, job) -> Admission:
        self.looked_at += 1
        if reader := self._reader_of(job):
            job.behind, job.until = reader, self._shared(reader, job)
            return "later"
        if not self._fits(job):
            return "no room"
        job.placement, job.pending = Placement(0, 0, 0), list(job.request.prompt)
        job.short = len(job.pending) <= SHORT
        return "placed"

    def step(self) -> None:
        """Admit, compute and end as the worker does."""
        before = self.scheduler.order()
        admitted = self.scheduler.admit(self.place)
        assert self.alike or before[: len(admitted)] == admitted, "a waiting job was overtaken"
        assert admitted or self._who_could_begin() is None, "somebody waits for nothing"
        self.admitted += [job.generation for job in admitted]
        running = self.scheduler.running
        assert len(running) <= self.scheduler.max_running
        assert self._held() <= self.cells
        writing = [job for job in running if job.writing]
        chunks = self.scheduler.plan(self.max_batch)
        assert bool(chunks) == bool(running)
        moved_on = [chunk.job for chunk in chunks if chunk.job.writing]
        assert set(map(id, moved_on)) <= set(map(id, writing))
        assert moved_on == [chunk.job for chunk in chunks[len(chunks) - len(moved_on) :]], "pieces of prompts go first"
        assert len(set(map(id, moved_on))) == len(moved_on)
        assert sum(len(chunk.tokens) for chunk in chunks) <= self.max_batch
        assert all(chunk.tokens for chunk in chunks)
        self._pass_time(chunks)
        for chunk in chunks:
            self._compute(chunk)

    def _pass_time(self, chunks) -> None:
        if not chunks:
            return
        pieces = [chunk for chunk in chunks if not chunk.job.writing]
        rows = sum(len(chunk.tokens) for chunk in pieces)
        cost = self.costs.mixed(len(chunks) - len(pieces), rows)
        cost += sum(self.costs.attending * len(piece.tokens) * piece.job.computed for piece in pieces)
        self.now += cost * self.slowness
        self.scheduler.took(cost * self.slowness)

    def cancel(self, which: Generation) -> None:
        if self.scheduler.remove(which):
            self.ended.append(which)

    def _compute(self, chunk) -> None:
        job = chunk.job
        assert chunk.tokens == job.pending[: len(chunk.tokens)]
        job.pending = job.pending[len(chunk.tokens) :]
        job.computed += len(chunk.tokens)
        assert bool(chunk.choose) == (not job.pending)
        if not chunk.choose:
            return
        self.wrote_at.setdefault(id(job.generation), []).append(self.now)
        job.produced += 1
        job.pending = [0]
        if job.produced == job.request.max_new_tokens:
            self.cancel(job.generation)

    def _who_could_begin(self):
        """The first in turn who waits behind nobody, when there is room: what looking at all anew would find."""
        if len(self.scheduler.running) >= self.scheduler.max_running:
            return None
        first = next((job for job in self.scheduler.order() if not self._reader_of(job)), None)
        return first if first and self._fits(first) else None

    def _reader_of(self, job):
        """Who is reading most of what this prompt begins with."""
        reading = [other for other in self.scheduler.running if self.alike and not other.writing]
        longest = max(reading, key=lambda other: self._shared(other, job), default=None)
        return longest if longest and longest.computed < self._shared(longest, job) else None

    @staticmethod
    def _shared(one, other) -> int:
        return min(len(one.request.prompt), len(other.request.prompt)) - 1

    def _fits(self, job) -> bool:
        return self._held() + self._size(job) <= self.cells

    def _held(self) -> int:
        return sum(self._size(job) for job in self.scheduler.running)

    @staticmethod
    def _size(job) -> int:
        return len(job.request.prompt) + job.request.max_new_tokens


arrivals = st.tuples(st.just("ask"), st.sampled_from("ABC"), st.integers(1, 150), st.integers(1, 9))
cancels = st.tuples(st.just("cancel"), st.integers(0, 30))


@given(
    width=st.integers(1, 8),
    alike=st.booleans(),
    history=st.lists(st.one_of(arrivals, cancels, st.just(("step",))), max_size=60),
)
def test_whatever_comes_everything_ends_exactly_once_and_nobody_waits_for_nothing(width, alike, history):
    world, asked = World(width=width, cells=200, alike=alike), []
    for what, *details in history:
        if what == "ask":
            owner, prompt, new = details
            asked.append(generation(owner, prompt, new))
            add(world.scheduler, asked[-1])
        elif what == "cancel" and asked:
            world.cancel(asked[details[0] % len(asked)])
        elif what == "step":
            world.step()
    # No starvation: a step moves something on, so that all is done after as many steps as there are tokens.
    for _ in range(sum(len(g.request.prompt) + g.request.max_new_tokens for g in asked)):
        if not world.scheduler.waiting and not world.scheduler.running:
            break
        world.step()
    assert sorted(map(id, world.ended)) == sorted(map(id, asked))


@given(st.lists(st.sampled_from("ABC"), max_size=30), st.lists(st.sampled_from("ABC"), max_size=5))
def test_owners_take_turns(waiting, running):
    scheduler = Scheduler(max_running=8, max_waiting=100)
    for owner in running:
        add(scheduler, generation(owner))
    scheduler.admit(lambda _job: "placed")
    arrived = [generation(owner) for owner in waiting]
    for one in arrived:
        add(scheduler, one)
    order = [job.generation for job in scheduler.order()]
    assert sorted(map(id, order)) == sorted(map(id, arrived))
    served = {owner: running.count(owner) for owner in "ABC"}
    for position, one in enumerate(order):
        still_waiting = {later.request.owner for later in order[position:]}
        assert served[one.request.owner] == min(served[owner] for owner in still_waiting)
        served[one.request.owner] += 1
    for owner in "ABC":
        own = [one for one in order if one.request.owner == owner]
        assert own == [one for one in arrived if one.request.owner == owner]


def test_one_visitor_with_many_questions_delays_nobodys_first():
    world = World(width=1, cells=1000)
    for owner in "AAABC":
        add(world.scheduler, generation(owner, new=2))
    while world.scheduler.waiting:
        world.step()
    assert "".join(one.request.owner for one in world.admitted) == "ABCAA"


def test_newcomers_do_not_keep_anybody_waiting_for_ever():
    world = World(width=2, cells=1000)
    first, second = generation("A", new=3), generation("A", new=3)
    for one in (first, second):
        add(world.scheduler, one)
    for number in range(20):
        add(world.scheduler, generation(f"newcomer {number}", new=3))
        world.step()
    assert second in world.ended


def test_a_long_prompt_that_does_not_fit_yet_is_not_overtaken():
    world = World(width=4, cells=100)
    add(world.scheduler, generation("A", prompt=60, new=4))
    world.step()
    long = generation("B", prompt=90)
    add(world.scheduler, long)
    for number in range(10):
        add(world.scheduler, generation(f"short {number}"))
    while world.scheduler.waiting:
        world.step()
    assert world.admitted[1] is long


@pytest.mark.parametrize(
    "sides",
    [{"width": 1, "cells": 1000}, {"width": 8, "cells": 300}, {"width": 8, "cells": 9000, "alike": True}],
    ids=["no width", "no cells", "being read"],
)
def test_who_cannot_begin_is_looked_at_again_only_when_something_has_changed(sides):
    world, first = World(max_batch=20, **sides), generation(prompt=200, new=20)
    add(world.scheduler, first)
    world.step()
    for number in range(64):
        add(world.scheduler, generation(f"late {number}", prompt=100))
    world.step()
    looked_at = world.looked_at
    world.step()
    world.step()
    assert world.looked_at == looked_at
    world.cancel(first)
    world.step()
    assert world.scheduler.running


def test_many_writers_do_not_keep_a_prompt_from_being_read():
    world = World(width=64, cells=10_000, max_batch=512)
    for number in range(63):
        add(world.scheduler, generation(f"writer {number}", new=50))
    world.step()
    late = generation("late", prompt=300)
    add(world.scheduler, late)
    while late not in world.ended:
        world.step()
    assert len(world.ended) == 1, "it was read while the others wrote"


def gaps(world: World, asked: Asked, *, after: float) -> list[float]:
    """Seconds between two tokens of an answer."""
    times = [time for time in world.wrote_at[id(asked)] if time >= after]
    return [later - earlier for earlier, later in pairwise(times)]


@pytest.mark.parametrize("writers", [1, 2, 3, 8])
@pytest.mark.parametrize("slowness", [0.3, 1, 4])
def test_a_long_prompt_never_stops_answers_for_long(writers, slowness):
    costs = Costs({1: 0.020, 2: 0.035, 8: 0.060}, {1: 0.01, 64: 0.3}, attending=0.000_001)
    world = World(width=16, cells=10_000, max_batch=128, costs=costs, slowness=slowness)
    others = [generation(str(number), prompt=10, new=800) for number in range(writers)]
    for one in others:
        add(world.scheduler, one)
    for _ in range(60):
        world.step()
    began, long = world.now, generation("long", prompt=2000)
    add(world.scheduler, long)
    while long not in world.ended:
        world.step()
    alone = slowness * costs.step(writers)
    for one in others:
        longest = max(gaps(world, one, after=began))
        assert longest <= alone + 0.15
        assert longest <= 0.15 or slowness > 1, "the whole step, where the machine is as fast as that"


def test_nothing_rides_along_with_a_piece_that_was_cut_to_the_time_there_is():
    world = World(width=16, cells=100_000, max_batch=128, costs=Costs({1: 0.020}, {1: 0.01, 64: 0.3}))
    add(world.scheduler, generation("writer", prompt=10, new=800))
    world.step()
    for name, tokens in (("long", 2000), ("short", 5)):
        add(world.scheduler, generation(name, prompt=tokens))
    world.scheduler.admit(world.place)
    world.scheduler.running[1].passed_over = 1000  # its turn
    piece, answer = world.scheduler.plan(128)
    assert 0 < len(piece.tokens) < 27, "so much as fits the time"
    assert answer.job.writing


def test_a_newcomer_is_read_at_once_beside_many_writers():
    costs = Costs({1: 0.020, 8: 0.120}, {1: 0.01, 64: 0.3})
    world = World(width=16, cells=10_000, max_batch=128, costs=costs)
    for number in range(8):
        add(world.scheduler, generation(str(number), prompt=10, new=200))
    for _ in range(60):
        world.step()
    came, late = world.now, generation("late", prompt=30)
    add(world.scheduler, late)
    while late not in world.ended:
        world.step()
    assert world.wrote_at[id(late)][0] - came == pytest.approx(costs.mixed(8, 30)), "with the very next step"


def test_newcomers_together_are_read_one_after_the_other():
    world = World(width=16, cells=10_000, max_batch=128)
    together = [generation(str(number), prompt=20, new=2) for number in range(4)]
    for one in together:
        add(world.scheduler, one)
    for _ in range(9):
        world.step()
    firsts = [world.wrote_at[id(one)][0] for one in together]
    assert firsts == sorted(set(firsts))


def test_short_prompts_are_read_together_as_long_as_that_is_cheaper():
    world = World(width=16, cells=10_000, max_batch=128)
    for number in range(4):
        add(world.scheduler, generation(str(number), prompt=10, new=5))
    world.scheduler.admit(world.place)
    assert [len(chunk.tokens) for chunk in world.scheduler.plan(128)] == [10, 10, 10]


def test_what_rides_along_comes_behind_the_prompts():
    world = World(width=16, cells=10_000, max_batch=128)
    for number in range(2):
        add(world.scheduler, generation(f"writer {number}", prompt=10, new=50))
    world.step()
    add(world.scheduler, generation("late", prompt=30))
    world.scheduler.admit(world.place)
    assert [(chunk.job.writing, len(chunk.tokens)) for chunk in world.scheduler.plan(128)] == [
        (False, 30),
        (True, 1),
        (True, 1),
    ]


def test_a_long_prompt_is_read_though_short_ones_keep_coming():
    world = World(width=4, cells=100_000, max_batch=64)
    long = generation("long", prompt=2000)
    add(world.scheduler, long)
    for number in range(3000):
        add(world.scheduler, generation(f"short {number}", prompt=40))
        world.step()
        if long in world.ended:
            return
    pytest.fail("it starved")


def test_answers_are_written_in_the_widths_that_are_cheapest():
    """Where two together cost more than one after the other, they take turns; and nobody is left behind."""
    world = World(width=4, cells=10_000, costs=Costs({1: 0.018, 2: 0.051, 4: 0.064}, {1: 0.004}))
    pair = [generation(str(number), new=50) for number in range(2)]
    for one in pair:
        add(world.scheduler, one)
    while not world.ended:
        world.step()
    first, second = (world.wrote_at[id(one)] for one in pair)
    assert max(gaps(world, pair[0], after=0)) == pytest.approx(0.036)
    assert abs(len(first) - len(second)) <= 1


def test_alone_a_prompt_is_read_as_fast_as_a_step_allows():
    scheduler = Scheduler(max_running=1, max_waiting=1)
    world = World(width=1, cells=10_000, max_batch=512)
    add(scheduler, generation(prompt=600))
    scheduler.admit(world.place)
    assert [len(chunk.tokens) for chunk in scheduler.plan(512)] == [512]


def test_what_runs_and_what_waits_takes_a_place_each():
    world = World(width=1, cells=1000)
    for number in range(3):
        add(world.scheduler, generation(str(number), new=2))
        assert world.scheduler.under_way == number + 1
    world.step()
    assert (len(world.scheduler.running), world.scheduler.under_way) == (1, 3)
    world.step()
    assert world.scheduler.under_way == 2
    assert Scheduler(max_running=2, max_waiting=3).places == 5


def test_what_has_ended_cannot_be_removed_again():
    scheduler = Scheduler(max_running=1, max_waiting=2)
    one = generation()
    add(scheduler, one)
    assert scheduler.remove(one)
    assert scheduler.remove(one) is None
    assert not scheduler.waiting
