"""``GET /api/v1/conversations/<id>/messages``: what was said, for programs and for the page's own visitor."""

from datetime import UTC, datetime, timedelta

import pytest
from support.visitor import let_finish

KEYS = {"id", "role", "text", "source", "status", "created_at"}


def opened_by_program(visitor, message="怎么退货？"):
    answer = visitor.http.post("/chat", json={"message": message})
    return answer.text.rpartition('"session_id": "')[2].partition('"')[0]


def test_what_was_said_comes_oldest_first_with_exactly_the_promised_keys(site, alice):
    conversation = alice.ask("怎么退货？")
    alice.ask("随便说点什么吧，英语也行", conversation)
    let_finish(site, conversation)
    response = alice.get(f"/api/v1/conversations/{conversation}/messages")
    assert response.headers["Content-Type"] == "application/json"
    assert set(response.json()) == {"messages"}
    said = response.json()["messages"]
    assert all(set(message) == KEYS for message in said)
    assert [message["role"] for message in said] == ["visitor", "assistant"] * 2
    assert [message["source"] for message in said] == [None, "faq", None, "model"]
    assert [message["status"] for message in said] == ["done"] * 4
    assert [message["id"] for message in said] == sorted({message["id"] for message in said})
    assert said[1]["text"] == "七天内可以**退货**。"  # as written, not as HTML


def test_times_are_in_utc_and_true(alice):
    for message in alice.said(alice.ask("怎么退货？")):
        moment = datetime.fromisoformat(message["created_at"])
        assert moment.utcoffset() == timedelta(0)
        assert abs(datetime.now(UTC) - moment) < timedelta(minutes=5)


def test_the_id_opens_what_a_program_opened(alice, bob):
    conversation = opened_by_program(bob)
    assert len(alice.said(conversation)) == 2


def test_the_id_does_not_open_what_a_page_opened(alice, bob):
    conversation = alice.ask("怎么退货？")
    response = bob.get(f"/api/v1/conversations/{conversation}/messages")
    assert response.status_code == 404
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["request_id"] == response.headers["X-Request-Id"]


@pytest.mark.parametrize("unknown", ["vbzSGwRrzK9Ify843PAGb8Nd", "x", "%00", "%ff", "%F0%9F%98%80", "x" * 3000, "1"])
def test_an_unknown_conversation_is_a_problem_in_json(site, unknown):
    response = site.test_client().get(f"/api/v1/conversations/{unknown}/messages")
    assert response.status_code == 404
    assert response.mimetype == "application/problem+json"
    assert response.json["detail"]


def test_a_conversation_is_not_written_here(bob):
    conversation = opened_by_program(bob)
    for method in ("PUT", "DELETE", "PATCH"):
        assert bob.http.request(method, f"/api/v1/conversations/{conversation}/messages").status_code in (400, 405)
    assert len(bob.said(conversation)) == 2


def test_pages_of_allowed_origins_may_read(bob):
    conversation = opened_by_program(bob)
    allowed, foreign = (
        bob.get(f"/api/v1/conversations/{conversation}/messages", headers={"Origin": origin})
        for origin in ("https://shop.example", "https://evil.example")
    )
    assert allowed.headers["Access-Control-Allow-Origin"] == "https://shop.example"
    assert "Access-Control-Allow-Origin" not in foreign.headers
