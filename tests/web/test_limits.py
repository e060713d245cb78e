"""How often one may ask: strictly by visitor, loosely by address; everything else is free."""

import pytest
from support.page import Page, parse
from support.visitor import HTMX, Visitor, text_of

FAQ = "你是谁？"  # a rule answers: no model needed


@pytest.fixture
def app(new_app):
    return new_app()


def ask_often(visitor, times, **options):
    """The statuses of so many questions in one conversation."""
    return [visitor.send(FAQ, **options).status_code for _ in range(times)]


def test_the_31st_question_in_a_minute_has_to_wait(app):
    alice = Visitor.of(app)
    assert ask_often(alice, 30) == [303] * 30
    response = alice.send(FAQ)
    assert response.status_code == 429
    assert 1 <= int(response.headers["Retry-After"]) <= 61
    assert "请稍等" in text_of(response)
    assert FAQ in parse(response.text).by_class("error-draft")[0].text  # nothing typed is lost


def test_htmx_and_programs_are_told_in_their_way(app):
    alice = Visitor.of(app)
    ask_often(alice, 30)
    fragment = alice.send(FAQ, headers=HTMX)
    assert (fragment.status_code, 1 <= int(fragment.headers["Retry-After"]) <= 61) == (429, True)
    page = Page(alice.get("/").text)
    page.apply(fragment.text)
    assert "请稍等" in page.notice
    problem = alice.http.post("/chat", json={"message": FAQ})
    assert problem.status_code == 429
    assert problem.json()["status"] == 429
    assert 1 <= int(problem.headers["Retry-After"]) <= 61


def test_two_visitors_behind_one_address_do_not_share_the_strict_limit(app):
    alice, bob = Visitor.of(app), Visitor.of(app)
    ask_often(alice, 30)
    assert ask_often(bob, 30) == [303] * 30
    assert alice.send(FAQ).status_code == 429


def test_an_address_has_a_limit_of_its_own(new_app):
    app = new_app(rate_address="5 per minute")
    assert [Visitor.of(app).send(FAQ).status_code for _ in range(6)] == [303] * 5 + [429]
    assert Visitor.of(app, address="192.0.2.7").send(FAQ).status_code == 303


def test_a_forged_forwarded_address_opens_no_new_account(new_app):
    app = new_app(rate_address="5 per minute")
    statuses = [
        Visitor.of(app, headers={"X-Forwarded-For": f"203.0.113.{number}"}).send(FAQ).status_code for number in range(6)
    ]
    assert statuses == [303] * 5 + [429]


def test_behind_a_trusted_proxy_the_address_is_the_visitors(new_app):
    app = new_app(rate_address="2 per minute", trusted_proxies=1)

    def ask_from(forwarded):
        return Visitor.of(app, headers={"X-Forwarded-For": forwarded}).send(FAQ).status_code

    assert [ask_from("203.0.113.1") for _ in range(3)] == [303, 303, 429]
    assert ask_from("203.0.113.2") == 303
    assert ask_from("198.51.100.9, 203.0.113.1") == 429  # what the visitor wrote before the proxy did does not count


def test_retries_count_as_questions(app):
    alice = Visitor.of(app)
    conversation = alice.ask(FAQ)
    statuses = {alice.post(f"/c/{conversation}/messages/1/retry").status_code for _ in range(29)}
    assert statuses == {409}
    assert alice.post(f"/c/{conversation}/messages/1/retry").status_code == 429


def test_a_program_is_limited_by_its_session(app):
    client = Visitor.of(app)
    first = client.http.post("/chat", json={"message": FAQ})
    session = first.text.rpartition('"session_id": "')[2].partition('"')[0]

    def again(session):
        return client.http.post("/chat", json={"message": FAQ, "session_id": session}).status_code

    assert [again(session) for _ in range(31)] == [200] * 30 + [429]
    assert client.http.post("/chat", json={"message": FAQ}).status_code == 200


def test_what_is_sent_as_a_session_is_kept_only_in_part(app):
    """Counters are kept in memory under the names that callers choose."""
    client = Visitor.of(app)
    for number in range(31):
        session = "x" * 100_000 + str(number)
        status = client.http.post("/chat", json={"message": FAQ, "session_id": session}).status_code
    assert status == 429  # one counter for all of them


def test_reading_is_free(app):
    alice = Visitor.of(app)
    conversation = alice.ask(FAQ)
    ask_often(alice, 30)
    for path in ("/", f"/c/{conversation}", "/static/icon.svg", "/healthz", "/readyz", "/metrics"):
        assert {alice.get(path).status_code for _ in range(40)} == {200}
    assert alice.post(f"/c/{conversation}/stop").status_code == 303


def test_a_redis_that_does_not_answer_does_not_stop_the_shop(new_app):
    app = new_app(redis_url="redis://127.0.0.1:1/0", rate_visitor="3 per minute")
    alice = Visitor.of(app)
    assert ask_often(alice, 5) == [303] * 3 + [429] * 2  # counted in memory meanwhile
