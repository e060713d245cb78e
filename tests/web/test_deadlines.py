"""Clients that dawdle do not keep a thread."""

from __future__ import annotations

import socket
from urllib.parse import urlencode

import pytest
from support.page import Page
from support.program import program_at

from webchat.config import LARGEST_BODY

HALF_SENT = {
    "the head": b"GET / HTTP/1.1\r\nHost: x\r\nX-A: ",
    "the body": b"POST /chat HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{",
}


@pytest.mark.parametrize("what", HALF_SENT)
def test_who_sends_half_a_request_is_hung_up_on(new_server, what):
    server = new_server(wsgi="support.impatient_wsgi:app", max_sockets=1, max_queue=1).start().ready()
    clients = [server.connect() for _ in range(100)]  # more than there are threads
    for client in clients:
        client.sendall(HALF_SENT[what])
    for client in clients:
        answer = read_to_the_end(client)
        assert answer.startswith(b"HTTP/1.1 408 " if what == "the body" else b"")
        client.close()
    assert server.status("/healthz") == 200


@pytest.mark.parametrize(
    ("path", "headers", "kind"),
    [
        ("/chat", "Content-Type: application/json", b"application/problem+json"),
        ("/v1/chat/completions", "Authorization: Bearer {key}", b'"type":"invalid_request_error"'),
        ("/c/new/messages", "Content-Type: application/x-www-form-urlencoded", b"<!doctype html>"),
        ("/c/new/messages", "Content-Type: application/x-www-form-urlencoded\r\nHX-Request: true", b"<hx-partial"),
        ("/chat", "Content-Type: application/json\r\nTransfer-Encoding: chunked", b"application/problem+json"),
    ],
    ids=["a program", "a program of OpenAI's", "a form", "htmx", "in chunks"],
)
def test_who_is_late_is_told_so_in_its_own_way(impatient, path, headers, kind):
    with program_at(impatient) as program:
        headers = headers.format(key=program.api_key)
    length = "" if "chunked" in headers else "Content-Length: 1000\r\n"
    client = impatient.connect()
    client.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\nAccept-Language: en\r\n{headers}\r\n{length}\r\n4\r\n".encode())
    answer = read_to_the_end(client)
    client.close()
    assert answer.startswith(b"HTTP/1.1 408 REQUEST TIMEOUT\r\n")
    assert b"\r\nConnection: close\r\n" in answer
    assert b"did not arrive in time" in answer
    assert kind in answer.replace(b'": "', b'":"')


@pytest.fixture
def impatient(new_server):
    return new_server(wsgi="support.impatient_wsgi:app").start().ready()


def test_half_a_question_is_no_question(new_server):
    """A phone that loses its network in the middle of sending; the rest of what was typed may change all."""
    server = new_server().start().ready()
    visitor = server.visitor()
    form = urlencode({"csrf_token": visitor.csrf_token(), "client_id": "half-a-question", "text": "我想退货"}).encode()
    client = server.connect()
    client.sendall(
        b"POST /c/new/messages HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        b"Cookie: %s\r\nContent-Length: %d\r\n\r\n" % (visitor.cookie.encode(), len(form) + 30)
    )
    client.sendall(form)
    client.shutdown(socket.SHUT_WR)
    assert read_to_the_end(client).startswith(b"HTTP/1.1 400 ")
    client.close()
    assert Page(visitor.get("/").text).root.by_class("history-subject") == []
    again = visitor.send("我想退货的运费谁出", client_id="half-a-question").headers["Location"]
    assert visitor.said(again.rpartition("/")[2])[0]["text"] == "我想退货的运费谁出"


def read_to_the_end(client):
    answer = b""
    while piece := client.recv(4096):
        answer += piece
    return answer


def test_a_long_answer_is_not_late(new_server, endless_model):
    server = new_server(
        wsgi="support.impatient_wsgi:app", model=endless_model, max_new_tokens=4000, context_tokens=8192
    )
    server.start().ready()
    visitor = server.visitor()
    with visitor.http.stream("POST", "/chat", json={"message": "说一个很长的故事吧"}) as response:
        text = response.read().decode()
    assert '"finish_reason": "length"' in text


def test_who_waits_to_be_told_to_go_on_is_told_once(new_server):
    server = new_server().start().ready()
    body = b'{"message": "x"}'
    client = server.connect()
    client.sendall(
        b"POST /chat HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\n"
        b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body)
    )
    assert client.recv(4096) == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.sendall(body)
    answer = b""
    while piece := client.recv(4096):
        answer += piece
    client.close()
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert b"100 Continue" not in answer


def test_a_body_beyond_the_limit_ends_the_connection(new_server):
    server = new_server().start().ready()
    client = server.connect()
    hidden = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    body = b"x" * (LARGEST_BODY + 1) + hidden
    client.sendall(b"POST /chat HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body))
    client.sendall(body[:-1])
    answer = b""
    try:
        while piece := client.recv(65536):
            answer += piece
    except ConnectionResetError:
        pass
    client.close()
    assert answer.count(b"HTTP/1.1 ") == 1
    assert answer.startswith(b"HTTP/1.1 413")
