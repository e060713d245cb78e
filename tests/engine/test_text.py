"""From bytes to words: whole characters, nothing of a stop string, the same however the bytes were cut."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from webchat.engine.text import TextAssembler

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
# Everything a model can write but the two characters that are never shown.
texts = st.text(st.characters(codec="utf-8", exclude_characters=f"\0{REPLACEMENT}"), max_size=40)
cuts = st.lists(st.integers(0, 200), max_size=20)


def pieces(data: bytes, at: list[int]) -> list[bytes]:
    ends = sorted({min(cut, len(data)) for cut in at} | {len(data)})
    return [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def assemble(parts: list[bytes], stop: tuple[str, ...] = ()) -> str:
    assembler = TextAssembler(stop)
    return "".join([*(assembler.push(part) for part in parts), assembler.flush()])


def until_stop(text: str, stop: tuple[str, ...]) -> str:
    """What a reader would do who sees one character at a time."""
    for end in range(len(text) + 1):
        begins = [end - len(s) for s in stop if s and text[:end].endswith(s)]
        if begins:
            return text[: min(begins)]
    return text


@given(texts, cuts)
def test_any_text_cut_anywhere_comes_back(text, at):
    assert assemble(pieces(text.encode(), at)) == text


@given(texts, cuts)
def test_text_is_shown_as_soon_as_its_characters_are_whole(text, at):
    assembler, given_back, sent = TextAssembler(), "", b""
    for part in pieces(text.encode(), at):
        sent += part
        given_back += assembler.push(part)
        assert given_back == sent.decode(errors="ignore")


@given(st.binary(max_size=200), cuts)
def test_no_bytes_whatever_make_a_replacement_character_or_a_nul(data, at):
    shown = assemble(pieces(data, at))
    assert REPLACEMENT not in shown
    assert "\0" not in shown


def test_characters_that_are_never_shown_leave_their_neighbours_alone():
    assert assemble([f"好{REPLACEMENT}\0的".encode()]) == "好的"


def test_wrong_bytes_are_dropped_and_the_rest_stays():
    assert assemble([b"a\xff\xe4\xbd", b"b\xe4", b"\xbd\xa0\x80"]) == "ab你"


def test_an_incomplete_tail_is_dropped():
    assert assemble(["你好".encode()[:-1]]) == "你"


@given(
    st.text("ab停。", max_size=12),
    st.lists(st.text("ab停。", max_size=4), max_size=3).map(tuple),
    cuts,
)
def test_the_first_complete_stop_string_ends_the_text_however_it_is_cut(text, stop, at):
    parts = pieces(text.encode(), at)
    assert assemble(parts, stop) == until_stop(text, stop)
    assembler = TextAssembler(stop)
    for part in parts:
        assembler.push(part)
    assert assembler.stopped == any(s and s in text for s in stop)


@given(st.text("ab停。", max_size=12), st.lists(st.text("ab停。", min_size=1, max_size=4), max_size=3).map(tuple))
def test_nothing_of_a_stop_string_is_shown_before_it_is_decided(text, stop):
    assembler, shown = TextAssembler(stop), ""
    for byte in text.encode():
        shown += assembler.push(bytes([byte]))
        assert until_stop(text, stop).startswith(shown)


def test_a_stop_string_that_straddles_tokens_is_held_back_and_let_go_when_it_was_none():
    assembler = TextAssembler(("<end>",))
    assert assembler.push(b"yes <e") == "yes "
    assert assembler.push(b"n") == ""
    assert assembler.push(b"ough") == "<enough"
    assert not assembler.stopped


def test_of_overlapping_stop_strings_the_one_that_is_complete_first_counts():
    assert assemble([b"xabcde"], ("abcde", "bc")) == "xa"
    assert assemble([b"x", b"abc", b"de"], ("abcde", "bc")) == "xa"


def test_after_a_stop_string_nothing_more_is_shown():
    assembler = TextAssembler(("。",))
    assert assembler.push("好。不".encode()) == "好"
    assert assembler.stopped
    assert assembler.push("好".encode()) == ""
    assert assembler.flush() == ""
