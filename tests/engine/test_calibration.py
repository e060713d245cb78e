"""What steps cost, and the plan that follows."""

from __future__ import annotations

import dataclasses
import json
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs
from support.backends import ByteBackend

from webchat.engine.calibration import UNMEASURED, Costs, measure, recall
from webchat.engine.llama import LlamaBackend

# Measured on a processor with AVX-512: two answers together cost more than one after the other.
VALLEY = Costs({1: 0.018, 2: 0.051, 4: 0.064, 8: 0.087, 16: 0.125}, {4: 0.016, 16: 0.060, 64: 0.240})


def test_answers_are_computed_together_where_that_brings_most():
    assert [VALLEY.width(answers) for answers in (1, 2, 3, 4, 8, 16)] == [1, 1, 1, 4, 8, 16]


def test_sizes_between_and_beyond_the_measured_ones_follow_from_them():
    assert VALLEY.step(3) == pytest.approx((0.051 + 0.064) / 2)
    assert VALLEY.step(32) == pytest.approx(0.250)
    assert VALLEY.read(1) == 0.016
    assert VALLEY.read(128) == pytest.approx(0.480)


def test_as_much_is_read_as_fits_the_time():
    assert VALLEY.readable(10, 128, beside=2) == 128
    read = VALLEY.readable(0.101, 128, beside=2)
    assert VALLEY.mixed(2, read) <= 0.101 < VALLEY.mixed(2, read + 1)


def test_less_is_read_behind_much_as_attention_takes_time():
    costs = dataclasses.replace(VALLEY, attending=0.000_001)
    near, far = (costs.readable(0.3, 128, beside=2, behind=tokens) for tokens in (0, 2000))
    assert near == VALLEY.readable(0.3, 128, beside=2) > far
    assert costs.mixed(2, far, 2000) == pytest.approx(costs.mixed(2, far) + 0.002 * far)
    assert costs.mixed(2, far, 2000) <= 0.3 < costs.mixed(2, far + 1, 2000)


def test_attention_is_measured_where_the_cache_has_room_for_it(tiny_model):
    with closing(LlamaBackend(tiny_model, sequences=2, cells=512, threads=1)) as backend:
        assert 0 <= measure(backend, 1).attending < 0.001
    with closing(LlamaBackend(tiny_model, sequences=2, cells=64, threads=1)) as backend:
        assert measure(backend, 1).attending == 0


def test_a_step_that_does_both_takes_less_than_two_and_no_less_than_each():
    for answers in (1, 2, 4, 16):
        for tokens in (4, 16, 64):
            both = VALLEY.mixed(answers, tokens)
            assert max(VALLEY.step(answers), VALLEY.read(tokens)) <= both <= VALLEY.step(answers) + VALLEY.read(tokens)
        assert VALLEY.mixed(answers, 0) == VALLEY.step(answers)
    assert VALLEY.mixed(0, 16) == VALLEY.read(16)


seconds = st.floats(0.0001, 1)


@given(st.dictionaries(st.integers(1, 32), seconds, min_size=1), st.integers(1, 40))
def test_no_width_is_slower_than_all_at_once(writing, answers):
    costs = Costs(writing, {1: 0.01})
    width = costs.width(answers)
    assert 1 <= width <= answers
    assert width / costs.step(width) >= answers / costs.step(answers) * 0.999


def test_a_model_is_measured_once(tiny_model, tmp_path):
    with closing(LlamaBackend(tiny_model, sequences=8, cells=512, threads=1)) as backend, capture_logs() as logs:
        first = recall(backend, tmp_path / "engine", threads=1, most=4)
        second = recall(backend, tmp_path / "engine", threads=1, most=4)
        recall(backend, tmp_path / "engine", threads=2, most=4)
    assert first == second
    assert [log["event"] for log in logs] == ["measuring this machine; once, some seconds"] * 2
    assert sorted(first.writing) == [1, 2, 3, 4, 6, 8], "answers, or one with guesses"


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"key": 1}', "[" * 100_000])
def test_results_that_cannot_be_read_are_measured_anew(tiny_model, tmp_path, content):
    (tmp_path / "costs.json").write_text(content)
    costs = recall(ByteBackend(), tmp_path, threads=1, most=2)
    assert min(costs.writing.values()) > 0
    assert json.loads((tmp_path / "costs.json").read_text())["writing"]


@pytest.mark.parametrize(
    "wrong",
    [
        *({kind: steps} for kind in ("writing", "reading") for steps in (None, {}, {"0": 0.1}, {"-3": 0.1}, {"x": 1})),
        *({"writing": {"1": seconds}} for seconds in (-1, 0, float("nan"), float("inf"), 1e300, 10**400, None)),
        {"writing": {"1": 0.1, "2": float("nan")}},
        {"reading": {"9" * 4000: 0.1}},
        *({"attending": seconds} for seconds in (-1, float("nan"), float("inf"), 10**400, None, [])),
    ],
)
def test_results_that_cannot_be_costs_are_measured_anew(tmp_path, wrong):
    recall(ByteBackend(), tmp_path, threads=1, most=2)
    kept = json.loads((tmp_path / "costs.json").read_text())
    (tmp_path / "costs.json").write_text(json.dumps(kept | wrong))
    found = recall(ByteBackend(), tmp_path, threads=1, most=2)
    assert min(found.writing.values()) > 0
    assert found.attending >= 0


def test_a_folder_that_cannot_be_written_costs_the_keeping_only(tiny_model, tmp_path):
    (tmp_path / "engine").write_text("a file")
    with capture_logs() as logs:
        assert recall(ByteBackend(), tmp_path / "engine", threads=1, most=2).writing
    assert logs[-1]["event"] == "measurement not kept"


def test_measuring_leaves_the_cache_empty():
    backend = ByteBackend()
    measure(backend, 8)
    assert backend.prompts() == [b""] * backend.sequences


def test_what_has_not_been_measured_costs_what_it_computes():
    assert UNMEASURED.width(16) == 16
    assert UNMEASURED.readable(0.0515, 128, beside=1) == 50
