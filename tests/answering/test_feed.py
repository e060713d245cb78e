"""Feeds: nobody who watches misses a change, and nothing is kept for those who do not."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webchat.answering.events import Failed, Finished, Queued
from webchat.answering.feed import Changes, Feed, Feeds, Presence, Run


@pytest.fixture
def feed():
    return Feed()


@given(st.lists(st.one_of(st.integers(1, 9), st.just("look")), max_size=300))
def test_a_watcher_learns_of_every_change_once_or_reads_everything(history):
    feed, cursor, missed = Feed(), 0, []
    for step in [*history, "look"]:
        if step != "look":
            feed.announce(step)
            missed.append(step)
            continue
        changes = feed.changes(cursor)
        assert changes.everything == (len(missed) > 64)
        if not changes.everything:
            assert changes.messages == tuple(dict.fromkeys(missed))
        cursor, missed = changes.cursor, []
    assert feed.changes(cursor).messages == ()
    assert cursor == feed.cursor()


def test_who_missed_more_than_is_remembered_reads_everything(feed):
    for number in range(64):
        feed.announce(number)
    assert feed.changes(0) == Changes(64, tuple(range(64)), everything=False)
    feed.announce(64)
    assert feed.changes(0) == Changes(65, tuple(range(1, 65)), everything=True)
    assert not feed.changes(1).everything


def test_who_takes_the_cursor_before_reading_misses_nothing(feed):
    feed.announce(1)
    cursor = feed.cursor()
    feed.announce(2, 3)
    assert feed.changes(cursor).messages == (2, 3)


def test_a_run_grows_and_ends_under_the_eyes_of_its_watchers(feed):
    watcher, run = threading.Event(), Run("c", 7)
    feed.join(watcher)
    feed.start(run, 6)
    assert watcher.is_set()
    assert feed.runs() == {7: run}
    assert feed.changes(0).messages == (6, 7)
    for change in (
        lambda: feed.grow(run, queued=Queued(1, 2.0)),
        lambda: feed.grow(run, "好"),
        lambda: feed.grow(run, "的"),
        lambda: feed.end(run, Finished("model", "stop")),
    ):
        watcher.clear()
        change()
        assert watcher.is_set()
    assert (run.text, run.queued, run.outcome) == ("好的", None, Finished("model", "stop"))
    assert feed.runs() == {}
    assert feed.changes(feed.cursor() - 1).messages == (7,)


def test_growing_changes_no_message(feed):
    run = Run("c", 7)
    feed.start(run, 6)
    cursor = feed.cursor()
    feed.grow(run, "text")
    assert feed.changes(cursor).messages == ()


def test_a_snapshot_does_not_grow_with_its_run(feed):
    run = Run("c", 7)
    feed.start(run, 6)
    feed.grow(run, "一", Queued(0, 1.0))
    snapshot = run.snapshot()
    feed.grow(run, "二")
    assert (snapshot.message_id, snapshot.text, snapshot.queued) == (7, "一", Queued(0, 1.0))


def test_the_end_of_a_run_leaves_alone_the_retry_that_has_begun(feed):
    first, retry = Run("c", 7), Run("c", 7)
    feed.start(first, 6)
    feed.start(retry, 6)
    feed.end(first, Failed("interrupted"))
    assert feed.runs() == {7: retry}


def test_who_has_left_is_not_woken(feed):
    stays, leaves = threading.Event(), threading.Event()
    for watcher in (stays, leaves):
        feed.join(watcher)
    feed.leave(leaves)
    feed.announce(1)
    assert stays.is_set()
    assert not leaves.is_set()
    assert feed.watched
    feed.leave(stays)
    assert not feed.watched


def test_watchers_of_a_conversation_share_its_feed_and_nobody_elses():
    feeds, alice, tab, bob = Feeds(), threading.Event(), threading.Event(), threading.Event()
    with feeds.watch("a", alice) as first, feeds.watch("a", tab) as second, feeds.watch("b", bob) as other:
        assert first is second
        assert first is not other
        feeds.announce("a", 5)
        assert alice.is_set()
        assert tab.is_set()
        assert not bob.is_set()
        run = Run("c", 5)
        first.start(run, 4)
        assert feeds.runs("a") == {5: run}
        assert feeds.runs("b") == {}


def test_a_feed_that_nobody_watches_is_forgotten():
    feeds, event = Feeds(), threading.Event()
    with feeds.watch("a", event):
        with feeds.watch("a", threading.Event()):
            pass
        assert feeds._feeds
    assert feeds._feeds == {}
    feeds.announce("a", 1)
    assert feeds._feeds == {}
    assert feeds.runs("a") == {}


def leave_with_an_error(feeds):
    with feeds.watch("a", threading.Event()):
        raise ConnectionError


def test_a_watcher_that_fails_leaves_too():
    feeds = Feeds()
    with pytest.raises(ConnectionError):
        leave_with_an_error(feeds)
    assert feeds._feeds == {}


def test_many_who_come_and_go_at_once_lose_no_change():
    feeds, failures = Feeds(), []

    def come_and_go():
        for _ in range(200):
            event = threading.Event()
            with feeds.watch("a", event) as feed:
                cursor = feed.cursor()
                feeds.announce("a", 1)
                if not (event.is_set() and feed.changes(cursor).messages == (1,)):
                    failures.append(feed)

    threads = [threading.Thread(target=come_and_go) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert failures == []
    assert feeds._feeds == {}


def test_who_types_is_seen_until_they_send_or_rest(monkeypatch):
    feeds, changed, now = Feeds(), threading.Event(), 100.0
    monkeypatch.setattr("webchat.answering.feed.time.monotonic", lambda: now)
    feeds.note_typing("a", "operator")
    assert feeds._feeds == {}, "nobody is there to see it"
    assert feeds.presence("a") == Presence()
    with feeds.watch("a", changed) as feed:
        feeds.note_typing("a", "visitor")
        assert changed.is_set()
        assert feeds.presence("a") == Presence(there=True, typing=True)
        assert not feed.typing("operator")
        now += feed.typing("visitor")
        assert feeds.presence("a") == Presence(there=True)
        feeds.note_typing("a", "operator")
        feeds.note_typing("a", "operator", typing=False)
        assert not feed.typing("operator")
