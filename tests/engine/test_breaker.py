"""The circuit breaker: when it opens, when it closes, and how long it waits."""

import pytest

from webchat.engine.breaker import Breaker


@pytest.fixture
def breaker():
    return Breaker()


def fail(breaker, times):
    for _ in range(times):
        breaker.failed()


def test_it_opens_with_the_third_failure_in_a_row(breaker):
    fail(breaker, 2)
    assert not breaker.open
    fail(breaker, 1)
    assert breaker.open


def test_a_success_between_failures_is_a_new_beginning(breaker):
    fail(breaker, 2)
    breaker.worked()
    fail(breaker, 2)
    assert not breaker.open


def test_found_again_one_more_failure_opens_it(breaker):
    breaker.trip()
    breaker.found()
    assert not breaker.open
    fail(breaker, 1)
    assert breaker.open


def test_a_look_that_finds_the_server_forgives_no_failures(breaker):
    fail(breaker, 2)
    breaker.found()
    fail(breaker, 1)
    assert breaker.open


def test_the_pause_doubles_with_each_look_in_vain_up_to_a_bound(breaker):
    pauses = []
    for _ in range(7):
        breaker.trip()
        pauses.append(breaker.pause)
    assert pauses == [1, 2, 4, 8, 10, 10, 10]


def test_many_that_fail_together_do_not_make_the_pause_longer(breaker):
    fail(breaker, 50)
    assert breaker.pause == 1


def test_only_an_answer_makes_the_pause_short_again(breaker):
    breaker.trip()
    breaker.trip()
    breaker.found()
    fail(breaker, 1)
    assert breaker.pause == 4
    breaker.worked()
    breaker.trip()
    assert breaker.pause == 1
