"""Rules: their order, and the count of changes by which every process sees one."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from webchat.storage import rules

RULE = {"condition": {"keywords": ["退款"]}, "action": "reply", "reply_zh": "好。"}


def add(database, name, **content):
    with database.write() as session:
        return rules.add(session, {**RULE, "name": name, **content}).id


def names(database):
    with database.read() as session:
        return [rule.name for rule in rules.in_order(session)]


@pytest.fixture
def three(database):
    """Three rules, in this order."""
    with database.write() as session:
        for rule in rules.in_order(session):
            rules.remove(session, rule)
    return dict(zip("cba", [add(database, name) for name in "cba"], strict=True))


@pytest.mark.parametrize(
    ("name", "steps", "order"),
    [("a", 1, "bac"), ("c", -1, "acb"), ("a", -1, "abc"), ("c", 1, "abc"), ("a", 2, "bca"), ("b", 1, "acb")],
)
def test_a_rule_moves_and_stays_within_the_list(database, three, name, steps, order):
    with database.write() as session:
        rules.move(session, rules.locked(session, three[name]), steps)
    assert names(database) == list(order)


def test_a_new_rule_is_first_unless_it_has_a_place(database, three):
    with database.write() as session:
        rules.add(session, {**RULE, "name": "x"}, before=2)
        rules.add(session, {**RULE, "name": "last"}, before=99)
    assert names(database) == ["a", "b", "x", "c", "last"]


def test_every_change_is_counted_and_a_note_of_slowness_is_none(database, three):
    def version():
        with database.read() as session:
            return rules.version(session)

    changes = (
        lambda session, rule: rules.switch(session, rule, enabled=False),
        lambda session, rule: rules.move(session, rule, 1),
        lambda session, rule: rules.update_content(session, rule, {"reply_zh": "新"}),
        rules.remove,
    )
    for change in changes:
        before = version()
        with database.write() as session:
            change(session, rules.locked(session, three["a"]))
        assert version() == before + 1
    with database.write() as session:
        rules.note_slow(session, [three["b"]], datetime.now(UTC))
    assert version() == before + 1


def test_what_is_undone_is_not_counted(database, three):
    with database.read() as session:
        before = rules.version(session)
    with database.write() as session:
        rules.add(session, RULE)
        session.rollback()
    with database.read() as session:
        assert rules.version(session) == before


def test_of_many_who_move_rules_at_once_none_is_lost(database, three):
    start = threading.Barrier(6, timeout=30)

    def move(number):
        start.wait()
        with database.write() as session:
            rules.move(session, rules.locked(session, three["abc"[number % 3]]), 1)

    with database.read() as session:
        before = rules.version(session)
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(move, range(6)))
    with database.read() as session:
        assert rules.version(session) == before + 6
        assert sorted(rule.position for rule in rules.in_order(session)) == [0, 1, 2]
