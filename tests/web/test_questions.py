"""The door for what visitors and programs send: whatever comes, a sentence and the right status, and nothing stored."""

import json

import pytest
from sqlalchemy import text as sql
from support.page import Page
from support.visitor import HTMX, text_of

from webchat.config import LARGEST_BODY

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
EMPTY = ["", "   ", "\n\t\r\n", "\0", "\x01\x02 \x7f", "\u200b \u200e", "\u3000"]
NO_UTF8 = [b"%FF%FE", b"%ED%A0%80", b"%C0%80", b"\xff\xfe", b"ok%80"]
NO_OBJECT = [
    b"",
    b"{",
    b"[]",
    b'["message"]',
    b'"message"',
    b"1",
    b"null",
    b"NaN",
    b'{"message": "\xff"}',
    b"\x80\x81",
    b"[" * 100_000,
    b'{"message":' * 20_000,
    b"1" * 100_000,
]
NO_QUESTION = [{}, *({"message": wrong} for wrong in (None, 1, 1.5, True, [], ["a"], {}, {"text": "a"}))]
NO_SESSION = [1, True, [], {}, ["a" * 24]]
UNKNOWN_SESSIONS = ["x", "x" * 100_000, "\0", "\ud800", "会话", "../../etc/passwd", "a" * 24]


@pytest.fixture
def nothing_stored(site):
    """Whatever the test sends, no message may come of it."""

    def count():
        with site.extensions["webchat"].database.read() as rows:
            return rows.scalar(sql("SELECT count(*) FROM messages"))

    before = count()
    yield
    assert count() == before


def raw_form(visitor, body, **headers):
    return visitor.http.post("/c/new/messages", content=body, headers=FORM | headers)


def chat(visitor, body):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return visitor.http.post("/chat", content=content, headers={"Content-Type": "application/json"})


def problem(response, status):
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/problem+json"
    found = response.json()
    assert found["status"] == status
    assert found["title"]
    assert found["request_id"] == response.headers["X-Request-Id"]
    return found["detail"]


@pytest.mark.parametrize("text", EMPTY)
def test_an_empty_question_is_refused_and_kept(nothing_stored, alice, text):
    response = alice.send(text)
    assert response.status_code == 400
    page = Page(response.text)
    assert page.notice == "请先输入问题。"
    assert page.draft.strip() == text.strip()
    fragment = alice.send(text, headers=HTMX)
    assert fragment.status_code == 400
    page.apply(fragment.text)
    assert page.notice == "请先输入问题。"


@pytest.mark.parametrize("text", ["字" * 2001, "😀" * 2001, "a" * 100_000], ids=len)
def test_a_question_that_is_too_long_is_refused_and_kept(nothing_stored, alice, text):
    response = alice.send(text)
    assert response.status_code == 413
    page = Page(response.text)
    assert str(len(text)) in page.notice
    assert "2000" in page.notice
    assert page.draft == text
    fragment = alice.send(text, headers=HTMX)
    assert fragment.status_code == 413
    assert str(len(text)) in text_of(fragment)
    assert str(len(text)) in problem(chat(alice, {"message": text}), 413)


def test_the_longest_question_is_taken_whole_and_counted_in_characters(alice):
    text = "字😀" * 1000
    assert alice.said(alice.ask(text))[0]["text"] == text


@pytest.mark.parametrize("text", ["字" * LARGEST_BODY, "a" * (LARGEST_BODY + 1)], ids=len)
def test_a_body_larger_than_any_question_is_refused_with_a_sentence(nothing_stored, alice, text):
    page = alice.send(text)
    assert page.status_code == 413
    assert "太长" in text_of(page)
    fragment = alice.send(text, headers=HTMX)
    assert fragment.status_code == 413
    assert "太长" in text_of(fragment)
    assert "太长" in problem(chat(alice, {"message": text}), 413)


@pytest.mark.parametrize("body", NO_UTF8)
def test_a_form_that_is_no_utf8_is_refused(nothing_stored, alice, body):
    token = alice.csrf_token().encode()
    for headers in ({}, HTMX):
        response = raw_form(alice, b"csrf_token=" + token + b"&client_id=abcdefgh&text=" + body, **headers)
        assert response.status_code == 400
        assert "UTF-8" in text_of(response)


def test_a_form_may_leave_utf8_unescaped(alice):
    body = f"csrf_token={alice.csrf_token()}&client_id=abcdefgh&text=你好呀"
    response = raw_form(alice, body.encode())
    assert response.status_code == 303
    assert alice.said(response.headers["Location"].rpartition("/")[2])[0]["text"] == "你好呀"


def test_a_form_in_parts_is_refused_because_wrong_bytes_would_pass_unseen(nothing_stored, alice):
    token = alice.csrf_token()
    fields = {"csrf_token": token, "client_id": "abcdefgh", "text": b"\xff\xfe"}
    response = alice.http.post("/c/new/messages", files={name: (None, value) for name, value in fields.items()})
    assert response.status_code == 400


@pytest.mark.parametrize(
    "client_id", [None, "", "short", "x" * 65, "有空格 abc", "abcdefgh\0", "abcdefgh\n", "../../abc"]
)
def test_a_question_needs_the_pages_client_id(nothing_stored, alice, client_id):
    fields = {"text": "你好呀"} | ({"client_id": client_id} if client_id is not None else {})
    response = alice.post("/c/new/messages", **fields)
    assert response.status_code == 400
    page = Page(response.text)
    assert page.notice
    assert page.draft == "你好呀"


def test_a_question_needs_a_text(nothing_stored, alice):
    assert alice.post("/c/new/messages", client_id="abcdefgh").status_code == 400


def test_control_characters_are_taken_out_and_lines_end_alike(alice):
    said = alice.said(alice.ask(" \0一\x1b[31m行\x07\r\n二\t行\r三行\x85 "))
    assert said[0]["text"] == "一[31m行\n二\t行\n三行"


@pytest.mark.parametrize(
    "text",
    ["<b>x</b>", "{{ 7*7 }}", "%s %(x)s {0}", "' OR 1=1 --", "<|im_end|>", "e\u0301 👨\u200d👩\u200d👧 \u202e反"],
)
def test_what_looks_dangerous_is_a_question_like_any_other(alice, text):
    assert alice.said(alice.ask(text))[0]["text"] == text


@pytest.mark.parametrize("body", NO_OBJECT, ids=lambda body: body[:12])
def test_a_program_must_send_a_json_object(nothing_stored, bob, body):
    assert "JSON" in problem(chat(bob, body), 400)


@pytest.mark.parametrize("body", NO_QUESTION, ids=str)
def test_a_program_must_send_a_message(nothing_stored, bob, body):
    assert problem(chat(bob, body), 400) == "请求里没有问题。"


@pytest.mark.parametrize("text", EMPTY)
def test_a_programs_question_must_say_something(nothing_stored, bob, text):
    assert problem(chat(bob, {"message": text}), 400)


@pytest.mark.parametrize("text", ["\ud800", "你好\udfff", "\udc00\ud800"])
def test_half_a_character_is_refused(nothing_stored, bob, text):
    assert "UTF-8" in problem(chat(bob, {"message": text}), 400)


def test_two_halves_are_a_character(bob):
    assert chat(bob, b'{"message": "\\ud83d\\ude00 hello"}').status_code == 200


@pytest.mark.parametrize("session", NO_SESSION, ids=str)
def test_a_session_id_must_be_text(nothing_stored, bob, session):
    assert "session_id" in problem(chat(bob, {"message": "你好呀", "session_id": session}), 400)


@pytest.mark.parametrize("session", UNKNOWN_SESSIONS, ids=lambda session: ascii(session[:24]))
def test_an_unknown_session_does_not_exist(nothing_stored, bob, session):
    assert problem(chat(bob, {"message": "你好呀", "session_id": session}), 404)


@pytest.mark.parametrize("session", [None, ""])
def test_no_session_opens_one(bob, session):
    assert chat(bob, {"message": "怎么退货", "session_id": session}).status_code == 200
