"""How the first operator comes to be."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from admin_cast import PASSWORD, Browser, actions, text_of

from webchat.accounts import verify_password
from webchat.config import ConfigurationError
from webchat.storage import operators, settings
from webchat.storage.first_operator import ensure_admin_password, issue_setup_token


def everyone(database):
    with database.read() as session:
        return operators.all_operators(session)


def set_up(stranger, token, name="lin", password=PASSWORD, repeated=PASSWORD):
    return stranger.post("/admin/setup", token=token, name=name, password=password, repeated=repeated)


def test_the_link_makes_the_first_operator_and_signs_them_in(stranger, database):
    token = issue_setup_token(database)
    assert "This link works once" in text_of(stranger.get(f"/admin/setup?token={token}"))
    assert "There are no entries yet" in stranger.follow(set_up(stranger, token))
    assert [operator.name for operator in everyone(database)] == ["lin"]
    assert actions(database) == [("lin", "operator.add")]


def test_the_link_is_dead_once_used(stranger, database):
    token = issue_setup_token(database)
    set_up(stranger, token)
    dead = stranger.get(f"/admin/setup?token={token}")
    assert dead.status_code == 410
    assert 'href="/admin/sign-in"' in dead.text
    assert set_up(stranger, token, name="mallory").status_code == 410
    assert len(everyone(database)) == 1
    assert issue_setup_token(database) is None


def test_a_new_link_ends_the_one_before(stranger, database):
    old, new = issue_setup_token(database), issue_setup_token(database)
    assert stranger.get(f"/admin/setup?token={old}").status_code == 410
    assert stranger.get(f"/admin/setup?token={new}").status_code == 200


def test_the_link_dies_when_an_operator_comes_otherwise(stranger, database):
    token = issue_setup_token(database)
    ensure_admin_password(database, PASSWORD)
    assert set_up(stranger, token).status_code == 410
    assert [operator.name for operator in everyone(database)] == ["admin"]


def test_a_wrong_link_says_so(stranger, database):
    issue_setup_token(database)
    for query in ("", "?token=", "?token=wrong", "?token=%00", "?token=%FF", "?token=" + "x" * 5000):
        refused = stranger.get(f"/admin/setup{query}")
        assert refused.status_code == 410
        assert "restart the site for a new one" in text_of(refused)
        assert 'href="/admin/sign-in"' not in refused.text


def test_only_a_hash_of_the_token_is_stored(database):
    token = issue_setup_token(database)
    with database.read() as session:
        kept = settings.get(session, "admin_setup")
    assert len(kept) == 64
    assert token not in kept


def test_of_many_who_use_the_link_at_once_one_becomes_operator(app, database):
    token = issue_setup_token(database)
    browsers = [Browser(app.test_client()) for _ in range(6)]
    csrf_tokens = [stranger.csrf_token() for stranger in browsers]
    start = Barrier(len(browsers), timeout=30)

    def race(number):
        fields = {"csrf_token": csrf_tokens[number], "token": token, "name": f"operator {number}"}
        start.wait()
        return browsers[number].client.post("/admin/setup", data={**fields, "password": PASSWORD, "repeated": PASSWORD})

    with ThreadPoolExecutor(len(browsers)) as pool:
        statuses = [response.status_code for response in pool.map(race, range(len(browsers)))]
    assert sorted(statuses) == [303] + [410] * 5
    assert len(everyone(database)) == 1


UNUSABLE = [
    ({"name": "  "}, "Choose a name"),
    ({"name": "x" * 41}, "at most 40 ordinary characters"),
    ({"name": "li\0n"}, "at most 40 ordinary characters"),
    ({"password": "short", "repeated": "short"}, "Use 10 to 200 characters"),
    ({"password": "x" * 201, "repeated": "x" * 201}, "Use 10 to 200 characters"),
    ({"repeated": "another long password"}, "The two passwords differ"),
]


def test_what_cannot_be_used_is_said_and_the_link_stays_alive(stranger, database, subtests):
    token = issue_setup_token(database)
    for fields, sentence in UNUSABLE:
        with subtests.test(sentence):
            refused = set_up(stranger, token, **fields)
            assert refused.status_code == 422
            assert sentence in text_of(refused)
            assert 'aria-invalid="true"' in refused.text
    assert set_up(stranger, token).status_code == 303


def test_an_unattended_deploy_gets_an_operator_from_its_settings(database):
    ensure_admin_password(database, PASSWORD)
    ensure_admin_password(database, "another long password")
    (operator,) = everyone(database)
    assert operator.name == "admin"
    assert verify_password(PASSWORD, operator.password_hash)


def test_a_password_from_the_settings_must_be_usable(database):
    with pytest.raises(ConfigurationError, match=r"WEBCHAT_ADMIN_PASSWORD cannot be used\. .* 10 to 200"):
        ensure_admin_password(database, "short")
    assert everyone(database) == []
