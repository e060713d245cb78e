"""The bars: what raises them, what does not, and where they lie."""

import pytest

from webchat.answering.faq.calibration import SAMPLE, Bars, bars, sample


def of(mean, *, entries=50, small=1.0, by_meaning=True):
    return bars([mean] * 10, entries=entries, small=small, by_meaning=by_meaning)


@pytest.mark.parametrize("by_meaning", [True, False])
def test_near_neighbours_raise_the_bar_of_a_small_faq_and_far_ones_do_not_lower_it(by_meaning):
    usual = bars([], entries=50, small=1.0, by_meaning=by_meaning)
    assert of(0.0, by_meaning=by_meaning) == usual
    assert of(0.5, by_meaning=by_meaning).answer > usual.answer + 0.1
    assert of(0.5, by_meaning=by_meaning).suggest == usual.suggest


@pytest.mark.parametrize("by_meaning", [True, False])
def test_a_large_faq_has_higher_bars_which_neighbours_do_not_move(by_meaning):
    large = of(0.9, small=0.0, by_meaning=by_meaning)
    assert large == of(0.1, small=0.0, by_meaning=by_meaning)
    assert large.answer > of(0.1, by_meaning=by_meaning).answer + 0.2
    assert large.suggest > of(0.1, by_meaning=by_meaning).suggest + 0.1
    between = of(0.1, small=0.5, by_meaning=by_meaning)
    assert of(0.1, by_meaning=by_meaning).answer < between.answer < large.answer


def test_with_a_handful_of_entries_the_bar_is_high():
    answers = [of(0.1, entries=entries).answer for entries in (1, 2, 3, 4, 50)]
    suggests = [of(0.1, entries=entries).suggest for entries in (1, 2, 3, 4, 50)]
    assert answers == sorted(answers, reverse=True)
    assert answers[0] - answers[-1] == pytest.approx(0.3)
    assert suggests[0] - suggests[-1] == pytest.approx(0.15)
    assert answers[3] == answers[4]


def test_near_lies_between_suggesting_and_answering():
    assert Bars(0.8, 0.4).near == pytest.approx(0.6)


def test_the_same_rows_are_asked_each_time_and_never_more_than_enough():
    assert sample(5000) == sample(5000)
    assert len(set(sample(5000))) == SAMPLE
    assert sorted(sample(7)) == list(range(7))
