"""The load: who asks whom, when, and what."""

import threading

import pytest
from support.openai_server import DEADLINE, OpenAIServer, four_pieces, piece

from webchat.bench.client import BenchError, Server
from webchat.bench.limit import Limit, machine_limit, read_bandwidth
from webchat.bench.load import run
from webchat.bench.prompts import Prompts
from webchat.bench.scenarios import COLD, HISTORY, LONG, SHORT, WARM, Plan, Results, in_turn, measure


def questions(*streams):
    return [[[{"role": "user", "content": text}] for text in stream] for stream in streams]


def at(peer, name="site"):
    return Server(name, peer.url, model="tiny")


def measured(plan, *peers):
    results = Results(plan, [at(peer, name) for peer, name in zip(peers, ("site", "peer"), strict=False)])
    measure(results, Prompts(1), lambda line: None)
    return results


@pytest.fixture
def other():
    with OpenAIServer().serving() as server:
        yield server


# ---- one run -------------------------------------------------------------------------------------


def test_all_streams_of_a_run_ask_at_the_same_time(peer):
    together = threading.Barrier(16)

    def when_all_are_here(asked):
        together.wait(DEADLINE)  # broken, and the answer with it, when one never comes
        yield from four_pieces(asked)

    peer.answer = when_all_are_here
    observed = run(at(peer), questions(*[["问"]] * 16), 64, DEADLINE)
    assert len(observed.streams) == peer.most_at_once == 16


def test_a_stream_asks_its_next_question_after_the_answer(peer):
    observed = run(at(peer), questions(["a", "b", "c"]), 64, DEADLINE)
    assert [asked.question for asked in peer.asked] == ["a", "b", "c"]
    assert peer.most_at_once == 1
    [answers] = observed.streams
    assert answers[0].ended <= answers[1].sent <= answers[1].ended <= answers[2].sent


def test_answers_stay_with_their_streams(peer):
    peer.answer = lambda asked: iter([piece(asked.question, "length")])
    observed = run(at(peer), questions(["a", "b"], ["c"], ["d", "e"]), 64, DEADLINE)
    assert [[answer.text for answer in stream] for stream in observed.streams] == [["a", "b"], ["c"], ["d", "e"]]


def test_when_one_answer_fails_the_others_hang_up(peer):
    others_write = threading.Event()

    def fails_once_others_write(asked):
        if asked.question == "bad":
            others_write.wait(DEADLINE)
            return
        while True:
            others_write.set()
            yield piece("好")

    peer.answer = fails_once_others_write
    with pytest.raises(BenchError, match="closed the connection before an answer was complete"):
        run(at(peer), questions(["good"], ["bad"]), 64, DEADLINE)
    assert peer.hung_up.wait(DEADLINE)


def test_a_mistake_in_one_stream_is_raised_and_not_waited_for(peer):
    no_json = [[{"role": "user", "content": object()}]]
    with pytest.raises(TypeError, match="not JSON serializable"):
        run(at(peer), [*questions(["good"]), no_json], 64, DEADLINE)


# ---- scenarios -----------------------------------------------------------------------------------


def test_servers_take_turns_in_being_first(peer, other):
    results = measured(Plan((WARM,), (1, 2), rounds=3, questions=1), peer, other)
    assert [(run.level, run.round, run.server) for run in results.runs] == [
        (level, round_, server)
        for level in (1, 2)
        for round_, servers in enumerate(["site peer", "peer site", "site peer"])
        for server in servers.split()
    ]
    assert list(in_turn("AB", 0)) == ["A", "B"]


def test_both_servers_are_asked_the_same_and_nothing_twice(peer, other):
    measured(Plan((COLD, WARM, HISTORY), (1, 3), rounds=2, questions=2, others=3), peer, other)
    asked, of_the_other = ([repr(each.body["messages"]) for each in server.asked] for server in (peer, other))
    assert sorted(asked) == sorted(of_the_other)
    assert len(set(asked)) == len(asked)


def test_another_measurement_asks_something_else():
    assert Prompts(1).warm("here")[-1] != Prompts(2).warm("here")[-1]
    assert Prompts(1).cold("here")[0] != Prompts(2).cold("here")[0]
    assert Prompts(1).warm("here") == Prompts(1).warm("here")


def systems(peer):
    return [asked.body["messages"][0]["content"] for asked in peer.asked]


def test_warm_streams_share_a_system_prompt_that_was_made_known_before(peer):
    results = measured(Plan((WARM,), (4,), rounds=1, questions=2, tokens=64), peer)
    assert len(set(systems(peer))) == 1
    limits = [asked.body["max_tokens"] for asked in peer.asked]
    assert limits == [16] * 4 + [64] * 8
    assert results.runs[0].figures.answers == 8


def test_cold_streams_share_nothing_from_the_first_words_on(peer):
    measured(Plan((COLD,), (4,), rounds=2), peer)
    assert len({system[:13] for system in systems(peer)}) == len(systems(peer)) == 8


def test_a_next_turn_goes_on_where_the_answer_ended_with_others_in_between(peer):
    results = measured(Plan((HISTORY,), rounds=1, others=20), peer)
    assert [(run.level, run.others) for run in results.runs] == [(SHORT, 0), (LONG, 0), (SHORT, 20), (LONG, 20)]
    histories = [asked.body["messages"] for asked in peer.asked]
    short, long, *others, next_short, next_long = histories[4:]
    assert len(others) == 20
    for opening, then in ((short, next_short), (long, next_long)):
        assert then[:-2] == opening
        assert then[-2] == {"role": "assistant", "content": "一二三四五六"}
    sizes = [sum(len(message["content"]) for message in opening) for opening in (short, long)]
    assert sizes[0] < 80
    assert 2400 < sizes[1] < 2800


def test_without_others_a_history_is_measured_once(peer):
    assert {run.others for run in measured(Plan((HISTORY,), rounds=1, others=0), peer).runs} == {0}


def test_what_was_measured_before_a_failure_is_kept(peer):
    calls = iter(range(100))

    def fails_later(asked):
        if next(calls) < 4:
            yield from four_pieces(asked)

    peer.answer = fails_later
    results = Results(Plan((WARM,), (1,), rounds=3, questions=1), [at(peer)])
    with pytest.raises(BenchError):
        measure(results, Prompts(1), lambda line: None)
    assert [run.round for run in results.runs] == [0, 1]


# ---- the machine ---------------------------------------------------------------------------------


def test_a_stream_is_limited_by_how_often_the_weights_can_be_read():
    assert Limit(20e9, 400_000_000).tokens_per_second == 50
    assert machine_limit(1000).bytes_per_token == 1000


def test_memory_is_read_at_a_rate_that_memory_can_have():
    assert 1e8 < read_bandwidth(32 << 20, 2) < 1e13
