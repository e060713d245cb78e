"""Slots: what is reused is truly there, what is busy is left alone, and no cell is promised twice."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from webchat.engine.slots import Placement, Slots, common_prefix

tokens = st.lists(st.integers(0, 2), max_size=12)
prompts = st.lists(st.integers(0, 2), min_size=1, max_size=12).map(tuple)


class Cache:
    """What llama.cpp would hold when a worker carries placements out."""

    def __init__(self, slots: Slots, count: int) -> None:
        self.slots = slots
        self.sequences: list[list[int]] = [[] for _ in range(count)]
        self.busy: dict[int, int] = {}  # slot → cells promised

    def place(self, prompt: tuple[int, ...], reserve: int) -> Placement | None:
        busy_before = {slot: list(self.sequences[slot]) for slot in self.busy}
        found = self.slots.place(prompt, reserve)
        if found is None:
            return None
        placement, emptied = found
        slot, reused, source = placement.slot, placement.reused, placement.source
        assert slot not in self.busy
        assert not set(emptied) & set(self.busy)
        kept = self.sequences[source][:reused]
        assert tuple(kept) == prompt[:reused]
        assert reused < len(prompt)
        self.sequences[slot] = kept
        for other in emptied:
            assert other != slot
            self.sequences[other] = []
        self.busy[slot] = reserve
        for other, content in busy_before.items():
            assert self.sequences[other] == content
        return placement

    def check(self) -> None:
        for slot, content in enumerate(self.sequences):
            assert self.slots.tokens(slot) == content
        idle = sum(len(content) for slot, content in enumerate(self.sequences) if slot not in self.busy)
        assert idle + sum(self.busy.values()) <= self.slots.cells


@settings(max_examples=300)
@given(
    count=st.integers(1, 4),
    cells=st.integers(12, 40),
    steps=st.lists(
        st.tuples(st.sampled_from(["place", "place", "grow", "end"]), prompts, st.integers(0, 12)),
        min_size=5,
        max_size=40,
    ),
)
def test_any_history_of_placements_keeps_the_promises(count, cells, steps):
    slots = Slots(count, cells, idle_cells=cells)
    cache = Cache(slots, count)
    for what, prompt, number in steps:
        if what == "place":
            reserve = min(len(prompt) + number, cells)
            placement = cache.place(prompt, reserve)
            if placement:
                new = prompt[placement.reused :]
                slots.tokens(placement.slot).extend(new)
                cache.sequences[placement.slot] += new
            else:
                assert len(cache.busy) == count or sum(cache.busy.values()) + reserve > cells
        elif cache.busy:
            slot = sorted(cache.busy)[number % len(cache.busy)]
            if what == "end":
                del cache.busy[slot]
                slots.release(slot)
            elif len(cache.sequences[slot]) < cache.busy[slot]:
                slots.tokens(slot).append(number)
                cache.sequences[slot].append(number)
        cache.check()


@given(tokens, prompts)
def test_the_common_prefix_is_as_long_as_it_can_be(a, b):
    length = common_prefix(a, b)
    assert tuple(a[:length]) == b[:length]
    assert length in (len(a), len(b)) or a[length] != b[length]


def run(slots: Slots, prompt: tuple[int, ...], answer: tuple[int, ...] = (), reserve: int = 0) -> Placement:
    """Place a prompt, compute it with its answer, and end."""
    placement, _ = slots.place(prompt, reserve or len(prompt) + len(answer))
    slots.tokens(placement.slot).extend([*prompt[placement.reused :], *answer])
    slots.release(placement.slot)
    return placement


def test_the_next_turn_of_a_conversation_goes_on_where_it_is():
    slots = Slots(2, 100, idle_cells=100)
    first = run(slots, (1, 2, 3), (4, 5))
    second = run(slots, (1, 2, 3, 4, 5, 6, 7))
    assert second == Placement(first.slot, 5, first.slot)


def test_the_last_token_of_a_prompt_is_always_computed_anew():
    slots = Slots(2, 100, idle_cells=100)
    run(slots, (1, 2, 3))
    assert run(slots, (1, 2, 3)).reused == 2


def test_a_short_common_beginning_is_copied_so_that_the_long_rest_stays():
    slots = Slots(2, 100, idle_cells=100)
    long = run(slots, tuple(range(50)))
    short = run(slots, (0, 1, 2, 99))
    assert short.slot != long.slot
    assert (short.source, short.reused) == (long.slot, 3)
    assert slots.tokens(long.slot) == list(range(50))


def test_a_running_generation_shares_its_beginning():
    slots = Slots(2, 100, idle_cells=100)
    first, _ = slots.place((1, 2, 3), 10)
    slots.tokens(first.slot).extend((1, 2, 3))
    second, _ = slots.place((1, 2, 9), 10)
    assert (second.source, second.reused) == (first.slot, 2)
    assert second.slot != first.slot


def test_the_longest_unused_slot_is_emptied_first_and_the_source_last():
    slots = Slots(4, 100, idle_cells=100)
    oldest, newer, source = run(slots, (1,) * 30), run(slots, (2,) * 30), run(slots, (3,) * 30)
    placement, emptied = slots.place((3, 3, 4), 50)
    assert placement.source == source.slot
    assert emptied == [oldest.slot, newer.slot]


def test_what_ran_longest_counts_as_used_when_it_ended():
    slots = Slots(2, 100, idle_cells=100)
    long, _ = slots.place((1,) * 40, 40)
    slots.tokens(long.slot).extend((1,) * 40)
    short = run(slots, (2,) * 40)
    slots.release(long.slot)
    assert run(slots, (3,) * 40).slot == short.slot


def test_a_prompt_that_nothing_shares_leaves_no_slot_out():
    slots = Slots(3, 100, idle_cells=100)
    assert {run(slots, (token,) * 30).slot for token in range(3)} == {0, 1, 2}


def test_there_is_no_place_while_the_running_ones_hold_the_cells_or_the_slots():
    slots = Slots(2, 100, idle_cells=100)
    first, _ = slots.place((1, 2), 60)
    assert slots.place((3, 4), 41) is None
    second, _ = slots.place((3, 4), 40)
    assert slots.place((5, 6), 1) is None
    slots.release(first.slot)
    assert slots.place((5, 6), 60) is not None
    assert second.slot != first.slot
