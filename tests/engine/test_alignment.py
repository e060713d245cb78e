"""However a prompt is cut and wherever it goes on, each of its tokens is computed in the same company."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from webchat.engine.alignment import GROUP, LEAST, piece, reusable

lengths = st.integers(1, 300)
rooms = st.lists(st.integers(2 * LEAST, 100), min_size=1)


def company(start, end, prompt, head):
    """Whom each token read from ``start`` to ``end`` in one step is computed with: its group, and whether many are."""
    many = end - start >= LEAST
    origin = start
    return {
        token: (tuple(range(first := token - (token - origin) % GROUP, min(first + GROUP, end))), many)
        for token in range(start, end)
    }


def read(start, prompt, head, rooms):
    """The company of all tokens of a prompt from ``start`` on, read in pieces for which there is so much room."""
    found, turn = {}, 0
    while start < prompt:
        length = piece(start, prompt, head, rooms[turn % len(rooms)])
        assert length > 0
        found |= company(start, start + length, prompt, head)
        start, turn = start + length, turn + 1
    return found


@given(lengths, st.integers(0, 120), rooms)
def test_however_a_prompt_is_cut(prompt, head, rooms):
    head = min(head, prompt)
    assert read(0, prompt, head, rooms) == read(0, prompt, head, [1000])


@given(lengths, st.integers(0, 120), st.integers(0, 300), rooms)
def test_wherever_it_goes_on(prompt, head, shared, rooms):
    head, shared = min(head, prompt), min(shared, prompt)
    start = reusable(shared, prompt, head)
    whole = read(0, prompt, head, [1000])
    assert read(start, prompt, head, rooms) == {token: whole[token] for token in range(start, prompt)}


@given(lengths, st.integers(0, 120), st.integers(0, 300))
def test_no_more_is_reused_than_is_shared_and_little_less(prompt, head, shared):
    head, shared = min(head, prompt), min(shared, prompt)
    start = reusable(shared, prompt, head)
    assert 0 <= start <= shared
    assert start < prompt
    assert start > min(shared, prompt - LEAST) - LEAST - GROUP


def test_a_known_system_text_is_reused_to_its_end():
    assert reusable(61, 90, 61) == 61
    assert reusable(75, 90, 61) == 61 + 12


@given(lengths, lengths, st.integers(0, 120), st.integers(0, 100))
def test_a_piece_is_never_more_than_there_is_room_for(start, left, head, room):
    length = piece(start, start + left, min(head, start + left), room)
    assert 0 <= length <= min(left, room)
    assert length or room < GROUP
