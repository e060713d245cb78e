"""The page that says who may answer what."""

from __future__ import annotations

import re

import pytest
from admin_cast import actions, text_of

from webchat.storage import answer_policy


def stored(database):
    with database.read() as session:
        return answer_policy.read(session)


def change(browser, seen=0, mode="faq_only", **fields):
    return browser.post("/admin/answers", mode=mode, seen=str(seen), **fields)


def test_the_page_shows_the_three_choices_with_careful_chosen(lin):
    page = lin.get("/admin/answers")
    assert page.status_code == 200
    assert re.findall(r'value="(\w+)"( checked)?', page.text.partition("<fieldset")[2].partition("</fieldset")[0]) == [
        ("careful", " checked"),
        ("open", ""),
        ("faq_only", ""),
    ]


def test_a_stranger_is_sent_to_sign_in(stranger):
    assert stranger.get("/admin/answers").status_code == 303


def test_a_change_is_stored_noted_and_holds_for_the_next_question(lin, database):
    page = lin.follow(change(lin, banned=" 贝壳 \r\n\r\nshell\r\n贝壳", contact_en="Ring the bell."))
    assert "Saved. The next answer follows it." in page
    policy = stored(database)
    assert (policy.mode, policy.banned, policy.contact_en) == ("faq_only", ("贝壳", "shell"), "Ring the bell.")
    assert actions(database)[0] == ("lin", "answers.change")
    assert "Ring the bell." in lin.ask("write a poem")


@pytest.mark.parametrize(
    ("hours", "sentence"),
    [
        ("每天 0:00-24:00", "现在是人工服务时间。"),
        ("每天 9:00-9:01\r\n休 2000-01-01 - 2000-12-31", "人工服务时间"),
        ("", ""),
    ],
)
def test_who_wants_a_person_is_told_when_there_is_one(lin, stranger, hours, sentence):
    change(lin, mode="careful", hours=hours)
    page = text_of(stranger.get("/c/new/person", headers={"Accept-Language": "zh"}))
    assert sentence in page
    assert ("人工服务时间" in page) is bool(hours)
    wish = {"what": "杯子碎了", "contact": "138", "consent": "1", "client_id": "request-1"}
    thread = stranger.follow(stranger.post("/c/new/person", **wish))
    assert ("staff are" in thread or "人工服务时间" in thread) is bool(hours)


def test_the_last_change_can_be_taken_back_once(lin, database):
    change(lin, contact_en="Ring the bell.")
    assert "It is as it was before." in lin.follow(lin.post("/admin/answers/undo"))
    assert (stored(database).mode, stored(database).contact_en) == ("careful", "")
    assert actions(database)[0] == ("lin", "answers.undo")
    assert "nothing to undo" in lin.follow(lin.post("/admin/answers/undo"))


def test_nobody_takes_back_what_someone_else_has_changed_since(lin, wei, database):
    change(lin)
    change(wei, seen=1, mode="open")
    assert "nothing to undo" in lin.follow(lin.post("/admin/answers/undo"))
    assert stored(database).mode == "open"


def test_of_two_operators_the_second_sees_what_the_first_has_saved(lin, wei, database):
    change(lin, contact_en="Ring the bell.")
    refused = change(wei, mode="open")
    assert refused.status_code == 409
    assert "Ring the bell." in text_of(refused)
    assert stored(database).mode == "faq_only"
    assert 'name="seen" value="1"' in refused.text, "saving again is meant"
    assert change(wei, seen=1, mode="open").status_code == 303


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"mode": "wild"}, "Not a valid choice"),
        ({"banned": "。。。"}, "Word 1: It needs at least one letter"),
        ({"banned": "a" * 51}, "Word 1: 51 characters are too many"),
        ({"banned": "\n".join(f"word{n}" for n in range(501))}, "These are 501 words"),
        ({"banned": "a\x00b"}, "Control characters"),
        ({"contact_en": "x" * 200}, "Use at most 199 characters"),
        ({"contact_zh": "a\x07"}, "Control characters"),
        ({"hours": "周一 9:00-18:00\r\n随时"}, "Line 2 cannot be read"),
        ({"hours": "\n".join(f"休 {year}-01-01" for year in range(2000, 2041))}, "At most 40 lines fit"),
    ],
)
def test_what_cannot_be_saved_is_said_and_kept(lin, database, fields, sentence):
    refused = change(lin, **{"contact_en": "Ring the bell."} | fields)
    assert refused.status_code == 422
    assert sentence in text_of(refused)
    assert stored(database) == answer_policy.AnswerPolicy()
