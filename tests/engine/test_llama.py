"""llama.cpp itself, on a tiny model: what it refuses, and what the engine relies on."""

from __future__ import annotations

import gc
import resource
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs
from support import odd_models
from support.tiny_model import SPECIALS

from webchat.engine.generation import EngineUnavailable, Sampling
from webchat.engine.llama import LlamaBackend

GREEDY = Sampling(temperature=0, repeat_penalty=1.0)
END_OF_TEXT, IM_START, IM_END = range(256, 259)


def load(path, **kwargs):
    return LlamaBackend(path, **{"sequences": 4, "cells": 1024, "threads": 1, **kwargs})


@pytest.fixture(scope="module")
def backend(tiny_model):
    with closing(load(tiny_model)) as backend:
        yield backend


@pytest.fixture
def little_memory():
    """100 MB more than this process has already."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        # macOS: the limit can be set there, but not from what the process has already.
        pytest.skip("this system does not say how much memory a process has")
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(statm.read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 100_000_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def write(backend, sequence, prompt, count, sampling=GREEDY):
    """Greedy tokens after a prompt, one step at a time."""
    backend.truncate(sequence, 0)
    backend.begin(sequence, sampling)
    [chosen] = backend.decode([(sequence, 0, list(prompt), 1)])
    for at in range(len(prompt), len(prompt) + count - 1):
        chosen += backend.decode([(sequence, at, chosen[-1:], 1)])[0]
    return chosen


# ---- files ------------------------------------------------------------------------------------------------


def refused(path, **kwargs):
    with capture_logs(), pytest.raises(EngineUnavailable) as refusal:
        load(path, **kwargs)
    return str(refusal.value)


def test_a_missing_file_is_named(tmp_path):
    assert str(tmp_path / "none.gguf") in refused(tmp_path / "none.gguf")
    assert str(tmp_path) in refused(tmp_path)


@pytest.mark.parametrize("content", [b"", b"GGUF", b"PK\x03\x04 not a model", b"\0" * 4096])
def test_what_is_no_model_is_refused_with_a_sentence(tmp_path, content):
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    assert "model.gguf could not be loaded" in refused(path)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.999])
def test_half_a_model_is_refused_with_a_sentence(tmp_path, tiny_model, share):
    whole = tiny_model.read_bytes()
    path = tmp_path / "half.gguf"
    path.write_bytes(whole[: int(len(whole) * share)])
    assert "damaged" in refused(path)


@pytest.mark.parametrize("token", ["<|im_start|>", "<|im_end|>"])
def test_a_model_without_a_chatml_token_is_refused_with_its_name(tmp_path, tiny_model, token):
    path = odd_models.rename_token(tiny_model, tmp_path / "other.gguf", token)
    assert f"no token {token}" in refused(path)


def test_a_model_whose_template_tokens_visitors_could_type_is_refused(tmp_path, tiny_model):
    path = odd_models.unmark_specials(tiny_model, tmp_path / "open.gguf")
    assert "a visitor could forge turns" in refused(path)


def test_a_model_without_a_vocabulary_is_refused(tmp_path, monkeypatch):
    path = odd_models.write_model_without_vocabulary(tmp_path / "mute.gguf", monkeypatch)
    assert "no vocabulary" in refused(path)


def test_a_model_whose_past_cannot_be_cut_is_refused(tmp_path):
    path = odd_models.write_recurrent_model(tmp_path / "mamba.gguf")
    assert "recurrent" in refused(path)


def test_a_cache_that_does_not_fit_the_memory_is_refused_with_a_sentence(tiny_model, little_memory):
    assert "no memory for 4000000 cells" in refused(tiny_model, cells=4_000_000)


def test_a_path_in_any_language_and_encoding_loads(tmp_path, tiny_model):
    path = tmp_path / "模型 \udcff.gguf"
    path.write_bytes(tiny_model.read_bytes())
    load(path).close()


def test_what_llama_cpp_complains_about_reaches_the_log(tmp_path):
    path = tmp_path / "broken.gguf"
    path.write_bytes(b"GGUF")
    with capture_logs() as logs, ThreadPoolExecutor(1) as engine, pytest.raises(EngineUnavailable):
        engine.submit(load, path).result()
    assert any(entry["event"] == "llama.cpp" and entry["text"] for entry in logs)


# ---- tokens -----------------------------------------------------------------------------------------------


@given(st.text(max_size=50))
def test_text_becomes_tokens_whose_pieces_are_the_text(backend, text):
    assert b"".join(backend.piece(token) for token in backend.tokenize(text)) == text.encode()


@given(st.lists(st.sampled_from([*SPECIALS, "<|", "im_", "|>", "你", "\nsystem\n"]), max_size=12).map("".join))
def test_no_text_makes_a_template_token(backend, text):
    assert all(token < END_OF_TEXT for token in backend.tokenize(text))


def test_template_tokens_are_made_by_name_end_answers_and_stand_for_no_text(backend):
    for text, token in zip(SPECIALS, (END_OF_TEXT, IM_START, IM_END), strict=True):
        assert backend.tokenize(text, special=True) == [token]
        assert backend.piece(token) == b""
    assert backend.is_end(IM_END)
    assert backend.is_end(END_OF_TEXT)
    assert not backend.is_end(ord("a"))


def test_after_the_end_of_the_model_tokenising_is_refused_and_does_not_crash(tiny_model):
    backend = load(tiny_model)
    refusals = []

    def tokenise():
        while True:
            try:
                backend.tokenize("你好" * 50)
            except EngineUnavailable as refusal:
                refusals.append(str(refusal))
                return

    threads = [threading.Thread(target=tokenise) for _ in range(4)]
    for thread in threads:
        thread.start()
    backend.close()
    for thread in threads:
        thread.join(20)
    assert refusals == ["the model has been closed"] * 4


# ---- sequences --------------------------------------------------------------------------------------------


def test_a_copied_beginning_goes_on_as_if_it_had_been_computed(backend):
    expected = write(backend, 0, b"one two three", 8)
    write(backend, 0, b"one two four", 8)
    backend.truncate(1, 0)
    backend.copy(0, 1, len(b"one two "))
    backend.truncate(0, 0)  # after the copy: the cells are shared, not moved
    backend.begin(1, GREEDY)
    [chosen] = backend.decode([(1, len(b"one two "), list(b"three"), 1)])
    for at in range(len(b"one two three"), len(b"one two three") + 7):
        chosen += backend.decode([(1, at, chosen[-1:], 1)])[0]
    assert chosen == expected


def test_tokens_are_given_back_for_the_parts_that_asked_in_order(backend):
    first, second = write(backend, 0, b"first", 1), write(backend, 1, b"second", 1)
    for sequence in (0, 1, 2):
        backend.truncate(sequence, 0)
        backend.begin(sequence, GREEDY)
    batch = [(1, 0, list(b"second"), 1), (2, 0, list(b"only read"), 0), (0, 0, list(b"first"), 1)]
    assert backend.decode(batch) == [second, first]


def test_guesses_are_kept_as_far_as_they_are_what_would_have_been_chosen(backend):
    first, second, third, fourth = write(backend, 0, b"some prompt", 4)
    for guessed, kept in (
        ([first, second, third], [first, second, third, fourth]),
        ([first, second + 1, third], [first, second]),
        ([first + 1, second], [first]),
    ):
        backend.truncate(1, 0)
        backend.begin(1, GREEDY)
        prompt = list(b"some prompt")
        assert backend.decode([(1, 0, prompt + guessed, 1 + len(guessed))]) == [kept]


def test_a_seed_makes_the_same_choices_and_without_one_they_differ(backend):
    def sampled(seed):
        return write(backend, 0, b"say", 24, Sampling(temperature=1.5, top_p=1.0, top_k=0, seed=seed))

    assert sampled(7) == sampled(7)
    assert sampled(7) != sampled(8)
    assert sampled(None) != sampled(None)


def test_the_repeat_penalty_changes_what_greedy_repeats(backend):
    plain = write(backend, 0, b"aaaa", 60)
    penalised = write(backend, 0, b"aaaa", 60, Sampling(temperature=0, repeat_penalty=2.0))
    assert len(set(penalised)) > len(set(plain))


@pytest.mark.parametrize(
    "sampling",
    [Sampling(top_k=1), Sampling(top_p=0.0001), Sampling(min_p=0.999), Sampling(temperature=-1)],
    ids=["top_k", "top_p", "min_p", "temperature"],
)
def test_each_way_to_take_only_the_likeliest_does(backend, sampling):
    sampling = replace(sampling, repeat_penalty=1.0)
    assert write(backend, 0, b"take", 12, sampling) == write(backend, 0, b"take", 12)


def test_a_batch_llama_cpp_refuses_is_an_error_and_not_a_wrong_answer(backend):
    backend.truncate(3, 0)
    backend.begin(3, GREEDY)
    with capture_logs(), pytest.raises(RuntimeError, match="llama_decode returned"):
        backend.decode([(3, 5, [65], 1), (3, 1, [65], 1)])


def test_a_state_nobody_needs_any_more_is_freed_at_once(backend):
    """Not by the next collection of circles: states are megabytes."""
    write(backend, 0, b"a beginning", 1)
    gc.collect()
    gc.disable()
    try:
        state = backend.save(0)
        backend.truncate(1, 0)
        backend.load(1, state)
        state.append(0)  # refused as long as anything holds its memory
    finally:
        gc.enable()


def test_every_core_is_used_when_none_are_named(tiny_model):
    load(tiny_model, threads=0).close()


def test_more_sequences_than_tokens_in_a_step(tiny_model):
    """As with WEBCHAT_MAX_PARALLEL=64."""
    with closing(load(tiny_model, sequences=128, max_batch=128)) as backend:
        assert write(backend, 127, b"last", 3)
