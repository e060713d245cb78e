"""Whatever goes wrong: the right status, a sentence in the right clothes, and never what only the log should say."""

import io
import logging

import pytest
from structlog.stdlib import ProcessorFormatter
from support.page import Page, parse
from support.visitor import HTMX, Visitor, let_finish, text_of, wait_until, wait_until_idle

from webchat.storage import conversations, faq
from webchat.storage.database import StorageUnavailable

JSON = "application/problem+json"


def is_a_page_for_people(response):
    assert response.headers["Content-Type"].startswith("text/html")
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Request-Id"] in response.text
    assert 'href="/"' in response.text
    return text_of(response)


@pytest.fixture
def broken(monkeypatch):
    """A mistake of ours, which knows a secret."""

    def fail(*_args, **_options):
        raise RuntimeError("the secret is hunter2")

    monkeypatch.setattr(faq, "top_questions", fail)


@pytest.fixture
def log(site):
    """The lines that the site has logged in this test."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    root = logging.getLogger()
    handler.setFormatter(next(h.formatter for h in root.handlers if isinstance(h.formatter, ProcessorFormatter)))
    root.addHandler(handler)
    yield lambda: [line for line in written.getvalue().splitlines() if "HTTP Request" not in line]  # our own client's
    root.removeHandler(handler)


@pytest.fixture
def read_only(new_app, data_dir):
    """A site whose database can be read and not written, and a visitor with a conversation from before."""
    before = new_app()
    alice = Visitor.of(before)
    conversation = alice.ask("你是谁？")
    app = new_app(database_url=f"sqlite:///file:{data_dir}/webchat.db?mode=ro&uri=true")
    again = Visitor.of(app, cookies=dict(alice.http.cookies))
    return again, conversation


@pytest.fixture
def full(new_app, held):
    """A site whose model's queue is full."""
    app = new_app(held.engine(max_running=1, max_waiting=1), max_new_tokens=4000, context_tokens=8192)
    wait_until_idle(app)
    held.hold()
    wait_until(lambda: _is_full(app) or Visitor.of(app).send("随便说点什么吧，英语也行") is None)
    return Visitor.of(app)


def _is_full(app):
    stats = app.extensions["webchat"].engine.stats()
    return (stats.running, stats.waiting) == (1, 1)


# ---- clothes -------------------------------------------------------------------------------------


def test_an_unknown_address_is_a_page_for_people(alice):
    response = alice.get("/nowhere")
    assert response.status_code == 404
    assert "这个地址" in is_a_page_for_people(response)


def test_an_unknown_address_is_a_notice_for_htmx(alice):
    page = Page(alice.get("/").text)
    response = alice.get("/nowhere", headers=HTMX)
    assert response.status_code == 404
    page.apply(response.text)
    assert "这个地址" in page.notice


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/api/v1/nowhere", {}),
        ("/api/v1/nowhere", HTMX),
        ("/api/v1/nowhere", {"Accept": "text/html"}),
        ("/nowhere", {"Accept": "application/json"}),
    ],
)
def test_programs_get_problem_json(bob, path, headers):
    response = bob.get(path, headers=headers)
    assert (response.status_code, response.headers["Content-Type"]) == (404, JSON)
    assert set(response.json()) == {"type", "title", "status", "detail", "request_id"}
    assert response.json()["request_id"] == response.headers["X-Request-Id"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/", {"GET", "HEAD", "OPTIONS"}),
        ("GET", "/chat", {"POST", "OPTIONS"}),
        ("GET", "/c/new/messages", {"POST", "OPTIONS"}),
        ("GET", "/language", {"POST", "OPTIONS"}),
        ("DELETE", "/healthz", {"GET", "HEAD", "OPTIONS"}),
    ],
)
def test_a_wrong_method_is_told_the_right_ones(alice, method, path, allowed):
    response = alice.http.request(method, path)
    assert response.status_code == 405
    assert set(response.headers["Allow"].split(", ")) == allowed


def test_every_request_has_a_number_of_its_own(alice):
    numbers = {alice.get(path).headers["X-Request-Id"] for path in ("/", "/", "/nowhere", "/healthz", "/chat")}
    assert len(numbers) == 5
    assert alice.http.post("/c/new/messages").headers["X-Request-Id"] not in {"", *numbers}


def test_a_number_sent_along_is_not_ours(alice):
    assert alice.get("/", headers={"X-Request-Id": "forged"}).headers["X-Request-Id"] != "forged"


# ---- our own mistakes ----------------------------------------------------------------------------


@pytest.mark.parametrize("headers", [{}, HTMX, {"Accept": "application/json"}])
def test_a_mistake_of_ours_is_a_sentence_and_its_reason_stays_in_the_log(site, alice, broken, headers):
    response = alice.get("/", headers=headers)
    assert response.status_code == 500
    assert "出了点问题" in (response.json()["detail"] if "Accept" in headers else text_of(response))
    for secret in ("hunter2", "RuntimeError", "Traceback", "webchat/"):
        assert secret not in response.text


def test_the_log_has_the_reason_under_the_number_that_people_see(alice, broken, log):
    response = alice.get("/")
    (line,) = [line for line in log() if "request failed" in line]
    assert response.headers["X-Request-Id"] in line
    assert "hunter2" in line


def test_the_log_repeats_no_address_that_may_be_a_key_or_forge_a_line(site, alice, log):
    conversation = alice.ask("你是谁？")
    alice.get(f"/c/{conversation}")
    site.test_client().get("/x%0a2026-01-01T00:00:00Z [critical] forged")
    assert len([line for line in log() if "/c/<public_id>" in line]) == 2
    assert not [line for line in log() if conversation in line or "forged" in line]


def test_the_log_does_not_repeat_what_visitors_say(site, alice, log):
    conversation = alice.ask("我的秘密是七七四十九")
    let_finish(site, conversation)
    alice.send("我的秘密是七七四十九" * 1000)
    assert log()
    assert not [line for line in log() if "七七四十九" in line]


# ---- the database --------------------------------------------------------------------------------


def test_with_a_database_that_cannot_be_written_a_question_comes_back(read_only):
    alice, conversation = read_only
    for where in ("new", conversation):
        response = alice.send("你是谁？", where)
        page = Page(response.text)
        assert response.status_code == 503
        assert int(response.headers["Retry-After"]) > 0
        assert "无法保存" in page.notice
        assert page.draft == "你是谁？"


def test_with_a_database_that_cannot_be_written_htmx_gets_a_notice(read_only):
    alice, conversation = read_only
    page = alice.page(conversation)
    before = page.thread()
    response = alice.send("你是谁？", conversation, headers=HTMX)
    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) > 0
    page.apply(response.text)
    assert "无法保存" in page.notice
    assert page.thread() == before


def test_with_a_database_that_cannot_be_written_programs_get_problem_json(read_only):
    alice, _ = read_only
    response = alice.http.post("/chat", json={"message": "你是谁？"})
    assert (response.status_code, response.headers["Content-Type"]) == (503, JSON)
    assert int(response.headers["Retry-After"]) > 0


def test_with_a_database_that_cannot_be_written_everything_can_still_be_read(read_only):
    alice, conversation = read_only
    assert len(alice.page(conversation).messages) == 2
    assert len(alice.said(conversation)) == 2


def test_with_a_database_that_cannot_be_read_there_is_a_page_all_the_same(alice, monkeypatch):
    def fail(*_args):
        raise StorageUnavailable("The disk that holds the database reports an error.")

    monkeypatch.setattr(conversations, "by_public_id", fail)
    monkeypatch.setattr(faq, "top_questions", fail)
    for path in ("/", "/c/anything"):
        response = alice.get(path)
        assert response.status_code == 503
        assert int(response.headers["Retry-After"]) > 0
        assert "disk" not in is_a_page_for_people(response)


def test_a_database_without_tables_is_a_sentence(new_app, tmp_path):
    app = new_app(database_url=f"sqlite:///{tmp_path}/empty.db")
    assert Visitor.of(app).get("/").status_code == 503
    assert "webchat db upgrade" in app.test_client().get("/readyz").text


# ---- too much at once ----------------------------------------------------------------------------


def test_with_a_full_queue_a_question_comes_back(full):
    response = full.send("随便说点什么吧，英语也行")
    page = Page(response.text)
    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) > 0
    assert "请稍后再试" in page.notice
    assert page.draft == "随便说点什么吧，英语也行"
    fragment = full.send("随便说点什么吧，英语也行", headers=HTMX)
    assert (fragment.status_code, fragment.headers["Retry-After"]) == (503, response.headers["Retry-After"])
    page.apply(fragment.text)
    assert "请稍后再试" in page.notice
    problem = full.http.post("/chat", json={"message": "随便说点什么吧，英语也行"})
    assert (problem.status_code, problem.headers["Content-Type"]) == (503, JSON)
    assert int(problem.headers["Retry-After"]) > 0
    assert Page(full.get("/").text).root.by_class("history-subject") == []


def test_with_a_full_queue_official_answers_still_come(full):
    assert len(full.said(full.ask("你是谁？"))) == 2


# ---- forged and old pages ------------------------------------------------------------------------


@pytest.mark.parametrize("token", ["", "forged", "\0", "你好", "x" * 10_000])
@pytest.mark.parametrize("headers", [{}, HTMX])
def test_a_form_without_its_pages_token_is_refused(alice, token, headers):
    response = alice.post("/c/new/messages", csrf_token=token, text="怎么退货？", client_id="abcdefgh", headers=headers)
    assert response.status_code == 400
    assert "刷新" in text_of(response)


def test_without_javascript_the_question_of_an_old_page_comes_back_to_be_sent_again(alice):
    text = "\n怎么退货？\n<b>第二行</b>"
    refused = alice.post("/c/new/messages", csrf_token="", text=text, client_id="draft-draft")
    form = parse(refused.text).by_class("error-draft")[0]
    fields = {e.attributes["name"]: e.attributes.get("value", e.text) for e in form.walk() if "name" in e.attributes}
    assert fields["text"].removeprefix("\n") == text
    taken = alice.post(form.attributes["action"], **fields)
    assert taken.status_code == 303
    assert alice.said(taken.headers["Location"].rpartition("/")[2])[0]["text"] == text.strip()


def test_a_token_of_someone_elses_page_is_refused(alice, bob):
    response = alice.post("/c/new/messages", csrf_token=bob.csrf_token(), text="怎么退货？", client_id="abcdefgh")
    assert response.status_code == 400


def test_every_form_of_the_page_needs_its_token(alice):
    conversation = alice.ask("怎么退货？")
    for path in ("/c/new/messages", f"/c/{conversation}/messages", f"/c/{conversation}/stop", "/language"):
        assert alice.post(path, csrf_token="", text="你好呀", client_id="abcdefgh").status_code == 400
    assert alice.post(f"/c/{conversation}/messages/1/retry", csrf_token="").status_code == 400


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://localhost.evil.example", "http://localhost:81", "null", "http://[", ""]
)
def test_a_form_sent_by_another_sites_page_is_refused(alice, origin):
    token = alice.csrf_token()
    for headers in ({}, HTMX):
        response = alice.send("怎么退货？", csrf_token=token, headers={"Origin": origin} | headers)
        assert response.status_code == 403
        assert "不允许" in text_of(response)
        assert "怎么退货？" not in response.text


def test_a_form_sent_by_our_own_page_is_taken(alice):
    assert alice.send("怎么退货？", headers={"Origin": "http://localhost"}).status_code == 303


@pytest.mark.parametrize(
    "cookie", ["webchat=", "webchat=forged.token.here", "webchat=" + "x" * 4000, "webchat=\xff", "=;;="]
)
def test_a_forged_cookie_is_nobodys(site, cookie):
    stranger = site.test_client(use_cookies=False)
    assert stranger.get("/", headers={"Cookie": cookie}).status_code == 200
    assert stranger.get("/c/unknown", headers={"Cookie": cookie}).status_code == 404


def test_the_redirect_after_a_question_leads_to_our_own_address(alice):
    assert alice.send("怎么退货？", headers={"Host": "evil.example"}).headers["Location"].startswith("/c/")
