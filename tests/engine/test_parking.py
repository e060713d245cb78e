"""Parked states: found by content, bounded, and the longest unused leave first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from webchat.engine.parking import ParkingLot
from webchat.engine.slots import common_prefix

BLOCK = 32


def sequence(*words: int, length: int = BLOCK) -> tuple[int, ...]:
    """So many equal tokens for each word."""
    return tuple(word for word in words for _ in range(length))


def found_tokens(lot: ParkingLot, prompt: tuple[int, ...]) -> tuple[int, ...] | None:
    found = lot.find(prompt)
    return found[0].tokens if found else None


def test_a_prompt_finds_the_state_that_shares_most_with_it():
    lot = ParkingLot(1000)
    lot.put(sequence(1, 2), bytearray(10))
    lot.put(sequence(1, 3, 4), bytearray(10))
    parked, shared = lot.find((*sequence(1, 3), 4, 4, 4, 9))
    assert (parked.tokens, shared) == (sequence(1, 3, 4), 2 * BLOCK + 3)
    assert found_tokens(lot, sequence(1, 2, 8)) == sequence(1, 2)
    assert lot.find(sequence(5, 6)) is None
    assert lot.find((1, 2)) is None


def test_the_next_turn_takes_the_place_of_the_one_before():
    lot = ParkingLot(1000)
    lot.put(sequence(1, 2), bytearray(10))
    lot.put(sequence(1, 5), bytearray(10))
    lot.put(sequence(1, 2, 3), bytearray(15))
    assert (len(lot), lot.size) == (2, 25)
    assert found_tokens(lot, sequence(1, 2)) == sequence(1, 2, 3)
    assert found_tokens(lot, sequence(1, 5)) == sequence(1, 5)


def test_the_longest_unused_leaves_first():
    lot = ParkingLot(30)
    for word in (1, 2, 3):
        lot.put(sequence(word), bytearray(10))
    lot.find(sequence(1))
    lot.put(sequence(4), bytearray(10))
    assert [found_tokens(lot, sequence(word)) is not None for word in (1, 2, 3, 4)] == [True, False, True, True]


def test_what_is_larger_than_the_lot_is_not_kept():
    lot = ParkingLot(10)
    lot.put(sequence(1), bytearray(10))
    lot.put(sequence(2), bytearray(11))
    assert found_tokens(lot, sequence(1))
    assert lot.find(sequence(2)) is None


# ---- what many begin with ----------------------------------------------------------------------------------


def with_head(lot, persona, *words, size=10):
    head = lot.head(sequence(persona), lambda: bytearray(20))
    lot.put(sequence(persona, *words), bytearray(size), head)
    return head


def test_what_many_begin_with_is_kept_once():
    lot = ParkingLot(1000)
    for word in (2, 3, 4):
        with_head(lot, 1, word)
    assert lot.size == 20 + 3 * 10
    found, shared = lot.find((*sequence(1, 3), 9))
    assert (found.start, found.head.start, shared) == (BLOCK, 0, 2 * BLOCK)


def test_the_next_turn_leaves_what_it_begins_with_in_its_place():
    lot = ParkingLot(1000)
    with_head(lot, 1, 2)
    with_head(lot, 1, 2, 3, size=15)
    assert (len(lot), lot.size) == (2, 35)
    assert found_tokens(lot, sequence(1, 5)) == sequence(1)


def test_what_many_begin_with_leaves_after_the_last_of_them():
    lot = ParkingLot(50)
    with_head(lot, 1, 2)
    with_head(lot, 1, 3)
    for word in (7, 8):
        lot.put(sequence(word), bytearray(15))
    assert found_tokens(lot, sequence(1, 3)) == sequence(1), "its conversations left first"
    for word in (9, 10, 11):
        lot.put(sequence(word), bytearray(15))
    assert found_tokens(lot, sequence(1, 3)) is None


def test_who_leaves_takes_nobody_elses_beginning_along():
    lot = ParkingLot(30)
    lot.put(sequence(1, 2), bytearray(10))
    lot.put(sequence(1, 3), bytearray(10))
    lot.find(sequence(1, 2))
    lot.put(sequence(4), bytearray(10))
    lot.put(sequence(5), bytearray(10))
    assert found_tokens(lot, sequence(1, 2)) == sequence(1, 2)


def test_a_beginning_too_short_to_be_found_or_too_long_is_not_kept():
    lot = ParkingLot(30)
    assert lot.head(sequence(1, length=BLOCK - 1), lambda: bytearray(10)) is None
    assert lot.head(sequence(1), lambda: bytearray(31)) is None
    assert lot.size == 0


def test_no_state_is_made_of_a_beginning_too_short_to_be_kept():
    made = []
    ParkingLot(30).head(sequence(1, length=BLOCK - 1), lambda: made.append(True) or bytearray(10))
    assert not made


words = st.lists(st.integers(1, 3), min_size=1, max_size=4)


@given(st.lists(st.tuples(words, st.integers(0, 60)), max_size=40), words)
def test_whatever_is_parked_the_bounds_hold_and_what_is_found_is_shared(history, asked):
    lot = ParkingLot(100)
    for parts, size in history:
        head = lot.head(sequence(parts[0]), lambda: bytearray(20)) if size % 2 else None
        lot.put(sequence(*parts), bytearray(size), head)
        assert all(parked.head in lot._kept for parked in lot._kept if parked.head)
        assert lot.size == sum(len(parked.state) for parked in lot._kept) <= 100
        assert set(lot._by_block.values()) <= set(lot._kept)
    if found := lot.find(sequence(*asked)):
        parked, shared = found
        assert shared == common_prefix(parked.tokens, sequence(*asked)) >= BLOCK
