"""API keys: given out once, found by what is shown, revoked for good."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text, update

from webchat.storage import api_keys
from webchat.storage.database import Conflict
from webchat.storage.tables import ApiKey


@pytest.fixture
def key(database):
    with database.write() as session:
        return api_keys.add(session, "till", per_minute=5)


def in_force(database, key):
    with database.read() as session:
        return api_keys.in_force(session, key)


def test_a_key_is_found_by_itself_alone(database, key):
    found = in_force(database, key)
    assert (found.name, found.per_minute, found.last_used_at, found.revoked_at) == ("till", 5, None, None)
    for other in ("", "wc_", key[:-1], key + "x", key.upper(), "till", found.key_hash):
        assert in_force(database, other) is None


def test_keys_differ_and_are_long(database):
    with database.write() as session:
        keys = {api_keys.add(session, f"program {number}") for number in range(20)}
    assert len(keys) == 20
    assert all(key.startswith("wc_") and len(key) == 46 for key in keys)  # 256 bits in base64


def test_the_key_itself_is_not_kept(database, key):
    with database.read() as session:
        row = session.execute(text("SELECT * FROM api_keys")).one()
    assert not [value for value in row if key.removeprefix("wc_") in str(value)]


def test_a_name_in_force_is_given_once(database, key):
    with pytest.raises(Conflict), database.write() as session:
        api_keys.add(session, "till")


def test_a_revoked_key_is_refused_and_gives_its_name_back(database, key):
    with database.write() as session:
        assert api_keys.revoke(session, "till")
    assert in_force(database, key) is None
    with database.write() as session:
        assert not api_keys.revoke(session, "till")
        assert not api_keys.revoke(session, "nobody")
        another = api_keys.add(session, "till")
    assert in_force(database, another).per_minute is None
    assert in_force(database, key) is None
    with database.read() as session:
        assert [row.revoked_at is None for row in api_keys.everything(session)] == [False, True]


def test_the_last_use_is_noted_once_a_minute(database, key):
    found = in_force(database, key)
    assert api_keys.use_is_worth_noting(found)
    with database.write() as session:
        api_keys.note_use(session, found.id)
    noted = in_force(database, key)
    assert datetime.now(UTC) - noted.last_used_at < timedelta(minutes=1)
    assert not api_keys.use_is_worth_noting(noted)
    with database.write() as session:
        api_keys.note_use(session, found.id)
    assert in_force(database, key).last_used_at == noted.last_used_at

    long_ago = noted.last_used_at - timedelta(seconds=61)
    with database.write() as session:
        session.execute(update(ApiKey).values(last_used_at=long_ago))
    assert api_keys.use_is_worth_noting(in_force(database, key))
    with database.write() as session:
        api_keys.note_use(session, found.id)
    assert in_force(database, key).last_used_at >= noted.last_used_at


def test_of_many_who_add_one_name_one_does(database):
    def add(_racer):
        try:
            with database.write() as session:
                return api_keys.add(session, "till")
        except Conflict:
            return None

    with ThreadPoolExecutor(8) as pool:
        made = [key for key in pool.map(add, range(8)) if key]
    assert len(made) == 1
    assert in_force(database, made[0]).name == "till"
