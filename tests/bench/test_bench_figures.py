"""The arithmetic, with exact expectations."""

import math
from statistics import median, quantiles

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webchat.bench.client import Answer
from webchat.bench.figures import percentile, ratio, summarise
from webchat.bench.load import Observed

times = st.floats(min_value=0, max_value=1e6)
speeds = st.floats(min_value=1e-3, max_value=1e6)


def an_answer(sent, *pieces, ended=None, text="好好", tokens=3, prompt_tokens=10, early=False):
    return Answer(sent, pieces, ended or pieces[-1], text, tokens, prompt_tokens, early)


def test_one_run_in_figures():
    observed = Observed(
        [
            [an_answer(10.0, 10.5, 10.6, 11.0), an_answer(11.0, 11.1, 11.2, text="好", tokens=1, prompt_tokens=20)],
            [an_answer(10.0, 10.7, 12.0, ended=14.0, early=True)],
        ],
        client_cpu=0.2,
    )
    figures = summarise(observed, 123)
    assert figures.characters_per_second == pytest.approx(5 / 4)
    assert figures.tokens_per_second == pytest.approx(7 / 4)
    assert figures.ttft_p50 == pytest.approx(0.5)  # of 0.1, 0.5, 0.7
    assert figures.ttft_p95 == pytest.approx(0.68)
    assert figures.together_p50 == pytest.approx(0.6)  # of 0.5, 0.7
    assert figures.together_p95 == pytest.approx(0.69)
    assert figures.gap_p95 == pytest.approx(0.4 + 0.85 * 0.9)  # of 0.1, 0.1, 0.4, 1.3
    assert (figures.answers, figures.early, figures.prompt_tokens, figures.memory) == (3, 1, 10, 123)
    assert figures.client_cpu == pytest.approx(0.05)


def test_what_is_not_known_is_not_guessed():
    observed = Observed([[an_answer(0.0, 1.0, tokens=None)], [an_answer(0.0, 1.0, prompt_tokens=None)]], 0.0)
    figures = summarise(observed, None)
    assert (figures.tokens_per_second, figures.prompt_tokens, figures.gap_p95) == (None, None, None)


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [([7], 95, 7), ([1, 2], 50, 1.5), ([3, 1, 2], 50, 2), ([1, 2, 3, 4, 5], 95, 4.8), ([1, 2], 0, 1), ([1, 2], 100, 2)],
)
def test_percentiles(values, percent, expected):
    assert percentile(values, percent) == pytest.approx(expected)


@given(st.lists(times, min_size=2), st.integers(1, 99))
def test_percentiles_agree_with_the_standard_library(values, percent):
    expected = quantiles(values, n=100, method="inclusive")[percent - 1]
    assert math.isclose(percentile(values, percent), expected, rel_tol=1e-9, abs_tol=1e-9)


@given(st.lists(times, min_size=1), st.floats(0, 100), st.floats(0, 100))
def test_a_percentile_lies_within_the_values_and_grows_with_the_percent(values, one, other):
    low, high = sorted((percentile(values, min(one, other)), percentile(values, max(one, other))))
    assert percentile(values, min(one, other)) == low
    assert min(values) <= low <= high <= max(values)


@given(st.lists(st.tuples(speeds, speeds), min_size=1))
def test_a_ratio_lies_between_those_of_its_rounds(rounds):
    ours, theirs = zip(*rounds, strict=True)
    found = ratio(ours, theirs)
    assert found.value == median(ours) / median(theirs)
    assert found.low * (1 - 1e-9) <= found.value <= found.high * (1 + 1e-9)


def test_ratios():
    found = ratio([2, 3, 4], [1, 2, 4])
    assert (found.value, found.low, found.high) == (1.5, 1, 2)


@pytest.mark.parametrize(("ours", "theirs"), [([], []), ([1], []), ([], [1]), ([1], [0])])
def test_without_a_pair_there_is_no_ratio(ours, theirs):
    assert ratio(ours, theirs) is None


def test_a_round_that_only_one_server_finished_does_not_count():
    assert ratio([2, 100], [1]).value == 2
