"""Signing in and out, and the guard before every page."""

from __future__ import annotations

import re
from html import unescape

import pytest
from admin_cast import HTMX, PASSWORD, actions, all_entries, stored, text_of

from webchat import accounts
from webchat.storage import operators
from webchat.web.admin.auth import admin_address

PAGES = ("/admin/", "/admin/faq", "/admin/faq/new", "/admin/faq/1")
COMMANDS = ("/admin/faq/new", "/admin/faq/1", "/admin/faq/1/status", "/admin/faq/1/delete", "/admin/faq/undo",
            "/admin/faq/example", "/admin/faq/example/remove", "/admin/sign-out")  # fmt: skip


@pytest.fixture
def account(database, password_hash):
    with database.write() as session:
        return operators.add(session, "lin", password_hash)


def test_an_operator_signs_in_and_out(stranger, account, database):
    assert "There are no entries yet" in stranger.follow(stranger.sign_in("lin"))
    assert actions(database) == [("lin", "operator.sign_in")]
    with database.read() as session:
        assert operators.by_id(session, account.id).signed_in_at

    assert stranger.follow(stranger.post("/admin/sign-out")).startswith("Sign in")
    assert stranger.get("/admin/faq").status_code == 303


WRONG = [
    ("lin", "a wrong password"), ("nobody", PASSWORD), ("", ""), ("lin", PASSWORD * 20), ("lin\0", PASSWORD),
    ("x" * 100_000, PASSWORD), ("' OR 1=1 --", PASSWORD),
]  # fmt: skip


def test_a_wrong_name_or_password_is_refused_in_the_same_words(stranger, account, subtests):
    for name, password in WRONG:
        with subtests.test(f"{name[:20]} {password[:20]}"):
            page = stranger.sign_in(name, password)
            assert page.status_code == 401
            assert "Name or password is wrong." in text_of(page)
            assert stranger.get("/admin/faq").status_code == 303


def test_the_name_is_kept_after_a_slip_and_the_password_is_not(stranger, account):
    page = stranger.sign_in('lin"><script>', "a wrong password").text
    assert 'value="lin&#34;&gt;&lt;script&gt;"' in page
    assert "a wrong password" not in page


def test_one_name_can_be_tried_five_times_a_minute(stranger, account):
    for _ in range(5):
        assert stranger.sign_in("lin", "a wrong password").status_code == 401
    refused = stranger.sign_in("lin")
    assert refused.status_code == 429
    assert 0 < int(refused.headers["Retry-After"]) <= 60
    assert "Too many attempts" in text_of(refused)
    elsewhere = {
        "environ_overrides": {"REMOTE_ADDR": "10.0.0.9"},
        "data": {"csrf_token": stranger.csrf_token(), "name": "lin"},
    }
    assert stranger.client.post("/admin/sign-in", **elsewhere).status_code == 401  # nobody can lock lin out there
    assert stranger.get("/admin/sign-in").status_code == 200


def test_another_spelling_is_not_another_name(stranger, account):
    for name in ("lin", "ｌin", "lｉn", " lin ", "liｎ"):
        assert stranger.sign_in(name, "a wrong password").status_code == 401
    assert stranger.sign_in("ｌｉｎ").status_code == 429


def test_a_name_of_accents_costs_no_time(stranger):
    """Normalising a run of 200,000 accents would take a minute, and hold up every other request."""
    name = "a" + "\N{COMBINING ACUTE ACCENT}" * 30_000 + "\N{COMBINING DOT BELOW}" * 30_000
    for _ in range(12):
        assert stranger.sign_in(name, "a wrong password").status_code in (401, 413, 429)


def test_signing_out_ends_a_copied_cookie_too(stranger, account, app):
    stranger.sign_in("lin")
    thief = app.test_client()
    thief.set_cookie("webchat", stranger.client.get_cookie("webchat").value)
    assert thief.get("/admin/faq").status_code == 200
    stranger.post("/admin/sign-out")
    assert thief.get("/admin/faq").status_code == 303


def test_one_address_can_try_ten_times_a_minute(stranger):
    statuses = [stranger.sign_in(f"name {number}", "a wrong password").status_code for number in range(11)]
    assert statuses == [401] * 10 + [429]


def test_strangers_are_sent_to_the_sign_in_page_and_back(stranger, account):
    for path in PAGES:
        sent = stranger.get(f"{path}?q=%E9%80%80")
        assert stranger.follow(sent).startswith("Sign in")
        assert f'name="next" value="{path}?q=%E9%80%80"' in stranger.get(sent.location).text
    assert stranger.sign_in("lin", next="/admin/faq?q=%E9%80%80").location == "/admin/faq?q=%E9%80%80"


def test_strangers_cannot_change_anything(stranger, database):
    for path in COMMANDS[2:]:
        refused = stranger.post(path, status="published")
        assert refused.status_code == 303
        assert refused.location == "/admin/sign-in"
    assert actions(database) == []


def test_who_is_signed_out_is_told_that_nothing_was_changed(lin, entry, database):
    lin.client.delete_cookie("webchat")
    page = lin.follow(lin.post(f"/admin/faq/{entry.id}/delete"))
    assert "You are signed out, so nothing was changed." in page
    assert stored(database, entry.id).status == "published"


def test_htmx_is_told_to_open_the_sign_in_page(stranger):
    refused = stranger.get("/admin/faq?q=r", headers=HTMX)
    assert refused.status_code == 401
    assert refused.headers["HX-Redirect"] == "/admin/sign-in?next=/admin/faq?q%3Drefund"
    assert refused.text == ""


def test_a_row_that_outlived_its_session_says_so(lin, stranger, entry):
    path, fields = f"/admin/faq/{entry.id}/status", {"status": "disabled"}
    for csrf in ({}, {"csrf_token": "of the session before"}):
        refused = stranger.post(path, headers=HTMX, **fields, **csrf)
        assert refused.status_code == 401
        assert refused.text.startswith('<hx-partial hx-target="#notice"')
        assert "You are signed out" in text_of(refused)
        assert 'href="/admin/sign-in?next=/admin/faq?q%3Drefund"' in refused.text
    refused = lin.post(path, headers=HTMX, csrf_token="of the session before", **fields)
    assert refused.status_code == 400
    assert "This page is too old" in text_of(refused)
    assert "sign-in" not in refused.text


FOREIGN = [
    "https://evil.example/", "//evil.example/", "/\\evil.example", "/admin/\\evil.example", "/admin/\t//evil.example",
    "/admin/\r\nSet-Cookie: a=b", "javascript:alert(1)", "/", "/c/1", " /admin/faq", "", "/administrator",
]  # fmt: skip


def test_next_leads_to_admin_pages_only(app, stranger, account):
    with app.test_request_context():
        assert {admin_address(target) for target in FOREIGN} == {"/admin/faq"}
    assert stranger.sign_in("lin", next="//evil.example/").location == "/admin/faq"


def test_a_new_password_ends_every_session(lin, database, password_hash):
    with database.write() as session:
        operators.set_password(session, operators.by_name(session, "lin"), password_hash)
    assert lin.get("/admin/faq").status_code == 303


def sign_out_elsewhere(lin, database):
    lin.post("/admin/sign-out")


def lose_the_cookie(lin, database):
    lin.client.delete_cookie("webchat")


def give_a_new_password(lin, database):
    with database.write() as session:
        operators.set_password(session, operators.by_name(session, "lin"), "none that fits")


def let_two_weeks_pass(lin, database):
    with lin.client.session_transaction() as cookie:
        cookie["operator_until"] -= 14 * 24 * 3600


@pytest.mark.parametrize("end", [sign_out_elsewhere, lose_the_cookie, give_a_new_password, let_two_weeks_pass])
def test_what_was_typed_outlives_the_session(lin, entry, database, password_hash, end):
    opened = {"csrf_token": lin.csrf_token(), "seen": lin.seen(entry.id), "back": "/admin/faq?q=x"}
    typed = {"phrasings": "怎么退货？\n新的问法", "answer": "三十天 <b>", "group": "新的组"}
    end(lin, database)

    signed_out = lin.edit(entry.id, **{**opened, **typed}, publish="1")
    assert signed_out.status_code == 401
    assert "You are signed out, so nothing was saved." in text_of(signed_out)
    assert 'href="/admin/sign-in" target="_blank"' in signed_out.text
    assert "七天内" not in signed_out.text  # what is stored is for operators
    kept = sent_by(signed_out)
    # A token is signed with the second it was made in: of two made for one session only the first part is the same.
    token, current = kept.pop("csrf_token"), lin.csrf_token()
    assert token.partition(".")[0] == current.partition(".")[0]
    assert kept.items() >= {**typed, "seen": opened["seen"], "back": opened["back"]}.items()

    with database.write() as session:
        operators.set_password(session, operators.by_name(session, "lin"), password_hash)
    lin.sign_in("lin")
    too_old = lin.edit(entry.id, **sent_by(signed_out), preview="1")
    assert too_old.status_code == 400
    assert "save it now" in text_of(too_old)
    saved = lin.client.post(f"/admin/faq/{entry.id}", data=sent_by(too_old))
    assert saved.location == "/admin/faq?q=x"
    assert stored(database, entry.id).answer == typed["answer"]


def test_a_new_entry_outlives_the_session_too(lin, database):
    lin.client.delete_cookie("webchat")
    signed_out = lin.add("能刻字吗", "可以刻字。", publish="1")
    assert signed_out.status_code == 401
    assert sent_by(signed_out)["answer"] == "可以刻字。"
    fragment = lin.post("/admin/faq/new", headers=HTMX, phrasings="能刻字吗", answer="可以刻字。", preview="1")
    assert fragment.status_code == 401
    assert text_of(fragment).startswith("There is no preview")
    assert all_entries(database) == []


def sent_by(page):
    """What the entry's form on a page sends."""
    form = page.text.partition('<form class="form"')[2].partition("</form>")[0]
    inputs = dict(re.findall(r'<input [^>]*?name="(\w+)"[^>]* value="([^"]*)"', form))
    texts = dict(re.findall(r'<textarea [^>]*?name="(\w+)"[^>]*>\n([^<]*)</textarea>', form))
    return {name: unescape(value) for name, value in (inputs | texts).items()}


def test_a_session_ends_after_two_weeks(lin):
    with lin.client.session_transaction() as cookie:
        cookie["operator_until"] -= 14 * 24 * 3600
    assert lin.get("/admin/faq").status_code == 303


def test_signing_in_keeps_the_visitor_and_drops_everything_else(stranger, account):
    stranger.get("/")
    with stranger.client.session_transaction() as cookie:
        cookie.update(visitor_id="v", language="en", planted="x")
        cookie.permanent = True
        planted = cookie["csrf_token"]
    stranger.sign_in("lin")
    with stranger.client.session_transaction() as cookie:
        assert {"visitor_id": "v", "language": "en", "_permanent": True}.items() <= dict(cookie).items()
        assert "planted" not in cookie
        assert cookie.get("csrf_token") != planted


def test_a_post_without_csrf_token_is_refused(lin):
    for path in ("/admin/sign-in", "/admin/setup", *COMMANDS):
        assert lin.client.post(path, data={"name": "lin", "password": PASSWORD}).status_code == 400


def test_a_foreign_page_cannot_post_with_the_operators_cookie(lin):
    refused = lin.post("/admin/faq/example", headers={"Origin": "https://evil.example"})
    assert refused.status_code == 403


def test_who_is_signed_in_need_not_sign_in_again(lin):
    assert lin.get("/admin/sign-in?next=/admin/faq/new").location == "/admin/faq/new"


def test_without_operators_the_page_points_to_the_set_up_link(stranger, database):
    assert "Open the set-up link" in text_of(stranger.get("/admin/sign-in"))


def test_passwords_are_hashed_with_argon2_and_compared_by_what_was_meant():
    stored = accounts.hash_password("Ｐassword é 12")
    assert stored.startswith("$argon2id$")
    assert accounts.verify_password("Password e\u0301 12", stored)
    assert not accounts.verify_password("Password e 12", stored)
    assert not accounts.verify_password("compared with when a name is unknown", None)
    assert not accounts.verify_password("Password e 12", "damaged")


def test_passwords_have_a_length():
    for password in ("", "123456789", "x" * 201):
        with pytest.raises(ValueError, match="10 to 200 characters"):
            accounts.hash_password(password)
