"""Operators, the settings that change while the site runs, and the audit."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from webchat.storage import audit, operators, settings
from webchat.storage.database import Conflict


@pytest.fixture
def admin(database):
    with database.write() as session:
        return operators.add(session, "admin", "hash")


def test_nobody_can_sign_in_to_a_new_database(database):
    with database.read() as session:
        assert not operators.any_exist(session)
        assert operators.by_name(session, "admin") is None
        assert operators.by_id(session, 1) is None
        assert operators.all_operators(session) == []


def test_an_operator_is_found_by_name_and_by_number(database, admin):
    with database.read() as session:
        assert operators.any_exist(session)
        assert operators.by_name(session, "admin").id == admin.id
        assert operators.by_id(session, admin.id).name == "admin"
        assert operators.by_name(session, "Admin") is None


def test_operators_are_listed_by_name(database, admin):
    with database.write() as session:
        operators.add(session, "zoe", "hash")
        operators.add(session, "abe", "hash")
    with database.read() as session:
        assert [operator.name for operator in operators.all_operators(session)] == ["abe", "admin", "zoe"]


def test_a_name_is_given_once(database, admin):
    with pytest.raises(Conflict), database.write() as session:
        operators.add(session, "admin", "other")


def test_a_new_password_ends_the_sessions_of_the_old_one(database, admin):
    with database.write() as session:
        operators.set_password(session, operators.by_id(session, admin.id), "new hash")
    with database.read() as session:
        changed = operators.by_id(session, admin.id)
    assert (changed.password_hash, changed.session_epoch) == ("new hash", admin.session_epoch + 1)


def test_a_sign_in_is_noted(database, admin):
    assert admin.signed_in_at is None
    with database.write() as session:
        operators.signed_in(session, operators.by_id(session, admin.id))
    with database.read() as session:
        signed_in_at = operators.by_id(session, admin.id).signed_in_at
    assert timedelta(0) <= datetime.now(UTC) - signed_in_at < timedelta(minutes=1)


@pytest.mark.parametrize("value", [None, False, 0, "", "文字", 1.5, [1, "二"], {"键": [None]}])
def test_a_setting_comes_back_as_it_was_put(database, value):
    with database.write() as session:
        settings.put(session, "key", "before")
    with database.write() as session:
        settings.put(session, "key", value)
    with database.read() as session:
        assert settings.get(session, "key", default="missing") == value


def test_a_missing_setting_is_its_default(database):
    with database.read() as session:
        assert settings.get(session, "key") is None
        assert settings.get(session, "key", 7) == 7


def test_a_changed_setting_tells_when(database):
    with database.write() as session:
        settings.put(session, "key", 1)
    with database.read() as session:
        before = session.get(settings.Setting, "key").updated_at
    with database.write() as session:
        settings.put(session, "key", 2)
    with database.read() as session:
        assert session.get(settings.Setting, "key").updated_at > before


def test_of_many_who_take_a_one_time_token_one_gets_it(database):
    with database.write() as session:
        settings.put(session, "setup_token", "hash")

    def take(_racer):
        with database.write() as session:
            return settings.remove(session, "setup_token")

    with ThreadPoolExecutor(12) as pool:
        assert list(pool.map(take, range(12))).count(True) == 1
    with database.read() as session:
        assert settings.get(session, "setup_token") is None


def test_the_audit_tells_who_did_what_latest_first(database):
    with database.write() as session:
        audit.record(session, "admin", "publish", "entry 1")
        audit.record(session, "zoe", "edit", "entry 1", before="三天", after=["两天"])
    with database.read() as session:
        latest, first = audit.recent(session, 10)
        assert [found.id for found in audit.recent(session, 1)] == [latest.id]
    assert (latest.operator_name, latest.action, latest.subject) == ("zoe", "edit", "entry 1")
    assert latest.detail == {"before": "三天", "after": ["两天"]}
    assert (first.detail, first.at.tzinfo) == ({}, UTC)


def test_what_is_rolled_back_leaves_no_record(database, admin):
    def add_operator():
        with database.write() as session:
            audit.record(session, "zoe", "add operator", "admin")
            operators.add(session, "admin", "hash")

    with pytest.raises(Conflict):
        add_operator()
    with database.read() as session:
        assert audit.recent(session, 10) == []
