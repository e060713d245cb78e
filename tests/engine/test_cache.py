"""The KV cache as a resource: the next turn finds its state again, beginnings outlive the process."""

from __future__ import annotations

import json
import random
from contextlib import closing
from itertools import pairwise

import pytest
from support.backends import ByteBackend, RecordedLlama

from webchat.engine.cache import CacheLimits, KvCache
from webchat.engine.generation import Request, Sampling
from webchat.engine.llama import LlamaBackend

PARKED = CacheLimits(idle_cells=100, parked_bytes=1_000_000)


def words(seed: int, length: int) -> tuple[int, ...]:
    return tuple(random.Random(seed).randbytes(length))


def play(backend, cache, prompt, answer=b"", head=0):
    """Compute a prompt and an answer and end; the placement."""
    placement = cache.place(prompt, len(prompt) + len(answer))
    new = [*prompt[placement.reused :], *answer]
    backend.begin(placement.slot, None)
    backend.decode([(placement.slot, placement.reused, new, 0)])
    cache.grow(placement.slot, new)
    assert backend.prompts()[placement.slot] == bytes((*prompt, *answer))
    cache.release(placement.slot, head)
    return placement


@pytest.fixture
def backend():
    """It checks at each step that it goes on where the sequence ends."""
    return ByteBackend(sequences=4, cells=2000)


def test_a_conversation_finds_its_state_again_after_many_others(backend):
    cache = KvCache(backend, PARKED)
    first, answer = words(1, 304), words(2, 64)
    play(backend, cache, first, answer)
    for number in range(20):
        play(backend, cache, words(100 + number, 200))
    second = (*first, *answer, *words(3, 40))
    placement = play(backend, cache, second)
    assert placement.reused == len(first) + len(answer)


@pytest.mark.parametrize("forgotten", [False, True])
def test_a_conversation_goes_on_behind_the_system_text_it_shares(backend, forgotten):
    """Its own state holds what comes after that; the system text is in a slot still, or parked too."""
    cache, persona = KvCache(backend, PARKED), words(0, 50)
    first, answer = (*persona, *words(1, 102)), words(2, 64)
    play(backend, cache, first, answer, head=50)
    for number in range(10):
        beginning = words(200 + number, 50) if forgotten else persona
        play(backend, cache, (*beginning, *words(100 + number, 40)), head=50)
    assert any(persona_in == bytes(persona) for persona_in in (p[:50] for p in backend.prompts())) != forgotten
    second = (*first, *answer, *words(3, 40))
    assert play(backend, cache, second, head=50).reused == len(first) + len(answer)


def test_the_system_text_is_parked_once(backend):
    cache, persona = KvCache(backend, PARKED), words(0, 100)
    sizes = []
    for number in range(4):
        play(backend, cache, (*persona, *words(1 + number, 40)), head=100)
        sizes.append(cache.parked_bytes)
    once = [later - earlier for earlier, later in pairwise(sizes)]
    assert sizes[0] > 2 * max(once), "the first one brought the system text"


def test_without_room_for_parked_states_it_computes_anew(backend):
    cache = KvCache(backend, CacheLimits(idle_cells=100))
    play(backend, cache, words(1, 304))
    for number in range(5):
        play(backend, cache, words(100 + number, 200))
    assert play(backend, cache, (*words(1, 304), 7)).reused == 0
    assert cache.parked_bytes == 0


def test_idle_slots_hold_no_more_than_they_may(backend):
    cache = KvCache(backend, PARKED)
    for number in range(8):
        play(backend, cache, words(number, 60))
        assert sum(map(len, backend.prompts())) <= PARKED.idle_cells


def test_what_many_begin_with_stays_though_others_come_and_go(backend):
    cache = KvCache(backend, PARKED)
    persona = words(0, 48)
    play(backend, cache, persona)
    for number in range(10):
        placement = play(backend, cache, (*persona, *words(number + 1, 30)))
        assert placement.reused >= len(persona)


def test_a_state_that_is_longer_than_the_room_is_left_where_it_is(backend):
    cache = KvCache(backend, PARKED)
    play(backend, cache, words(1, 304))
    for number in range(5):
        play(backend, cache, words(100 + number, 96))
    prompt = (*words(1, 100), *words(2, 20))
    assert play(backend, cache, prompt).reused == 0


def test_what_is_known_can_be_asked_before(backend):
    cache = KvCache(backend, PARKED)
    play(backend, cache, words(1, 304))
    for number in range(5):
        play(backend, cache, words(100 + number, 96))
    assert cache.known((*words(1, 304), *words(7, 9))) == 304
    assert cache.known((*words(104, 96), *words(7, 9))) == 96
    assert cache.known(words(9, 50)) == 0


# ---- beginnings on disk -----------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path):
    return tmp_path / "engine" / "prompts"


def kept(file, persona, **more):
    """Keep a beginning as the engine of one process does."""
    backend = ByteBackend(sequences=4, cells=2000)
    for name, value in more.items():
        setattr(backend, name, value)
    cache = KvCache(backend, CacheLimits(file=file))
    placement = cache.place(persona, len(persona))
    backend.decode([(placement.slot, placement.reused, list(persona[placement.reused :]), 0)])
    cache.grow(placement.slot, persona[placement.reused :])
    cache.keep(placement.slot)
    return backend


def test_a_new_process_knows_the_beginning(backend, file):
    kept(file, words(1, 48))
    kept(file, words(2, 48))
    cache = KvCache(backend, CacheLimits(file=file))
    assert play(backend, cache, (*words(1, 48), *words(5, 9))).reused == 48
    assert play(backend, cache, (*words(2, 48), *words(6, 9))).reused == 48


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(path.read_bytes().replace(b"1", b"2")),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"\xff" * 100),
        lambda path: path.write_text(json.dumps({"model": "bytes"}) + "\n"),
        lambda path: path.write_text("[" * 100_000 + "\n"),
        lambda path: path.write_text('{"model": ' * 50_000 + "\n"),
        lambda path: path.unlink(),
        lambda path: (path.unlink(), path.mkdir()),
    ],
)
def test_a_damaged_file_costs_its_contents_only(backend, file, damage):
    kept(file, words(1, 48))
    damage(file)
    cache = KvCache(backend, CacheLimits(file=file))
    assert play(backend, cache, (*words(1, 48), 7)).reused == 0


def test_a_state_that_is_refused_costs_its_contents_only(backend, file, monkeypatch):
    """As llama.cpp does with one of another layout; the file's name and digest may be as they should."""
    kept(file, words(1, 48))
    monkeypatch.setattr(backend, "load", _refuse)
    cache = KvCache(backend, CacheLimits(parked_bytes=1_000_000, file=file))
    assert play(backend, cache, (*words(1, 48), 7)).reused == 0
    play(backend, cache, words(2, 304))
    for number in range(12):
        play(backend, cache, words(100 + number, 200))
    assert play(backend, cache, (*words(2, 304), 7)).reused == 0, "parked, and refused too"


def _refuse(_sequence, _state):
    raise RuntimeError("a saved state does not fit the cache")


def test_beginnings_that_are_too_many_for_the_idle_slots_leave_no_tokens_behind(backend, file):
    for number in range(12):
        kept(file, words(number, 48))
    assert len(json.loads(file.read_bytes().partition(b"\n")[0])["beginnings"]) == 8, "the newest"
    KvCache(backend, CacheLimits(idle_cells=100, file=file))
    assert sorted(map(len, backend.prompts())) == [0, 0, 48, 48]


def test_another_models_beginnings_are_left_alone(backend, file):
    kept(file, words(1, 48), identity="another")
    cache = KvCache(backend, CacheLimits(file=file))
    assert play(backend, cache, (*words(1, 48), 7)).reused == 0


def test_a_folder_that_cannot_be_written_costs_the_keeping_only(file):
    file.parent.write_text("a file where the folder should be")
    kept(file, words(1, 48))
    assert file.parent.read_text() == "a file where the folder should be"


# ---- llama.cpp itself -------------------------------------------------------------------------------------


def test_llama_goes_on_from_a_parked_state_as_if_it_had_never_been_away(tiny_model):
    prompt, more = list(words(1, 120)), list(words(2, 30))
    with closing(LlamaBackend(tiny_model, sequences=4, cells=1024, threads=1)) as llama:
        llama.decode([(0, 0, prompt, 0)])
        state, head, tail = llama.save(0), llama.save(0, 0, 50), llama.save(0, 50)
        assert len(head) + len(tail) < 1.1 * len(state)
        expected = _likeliest(llama, 0, len(prompt), more)
        llama.truncate(0, 0)
        llama.decode([(1, 0, list(words(3, 50)), 0)])
        llama.load(2, state)
        assert _likeliest(llama, 2, len(prompt), more) == expected
        llama.load(3, head)
        llama.load(3, tail)
        assert _likeliest(llama, 3, len(prompt), more) == expected
        llama.truncate(3, 100)
        assert _likeliest(llama, 3, 100, prompt[100:] + more) == expected


def _likeliest(llama, sequence, start, tokens):
    """The greedy continuation, eight tokens long."""

    llama.begin(sequence, Sampling(temperature=0, repeat_penalty=1.0))
    written, step = [], tokens
    for _ in range(8):
        [[token]] = llama.decode([(sequence, start, step, 1)])
        start, step = start + len(step), [token]
        written.append(token)
    return written


def test_a_restarted_engine_reads_no_persona_again(tiny_model, tmp_path, serve):

    limits, persona = CacheLimits(file=tmp_path / "prompts"), words(1, 80)
    reused = []
    for _ in range(2):
        engine = serve(RecordedLlama(tiny_model, sequences=4, cells=1024, threads=1), limits=limits)
        *_, end = engine.submit(Request(persona, 1, ahead=True))
        reused.append(end.stats.reused_tokens)
        engine.close()
    assert reused == [0, len(persona) - 1], "the last one is always computed: it chooses the first of the answer"
