"""Clients that dawdle do not keep a thread."""

from __future__ import annotations

import pytest

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
        while client.recv(4096):
            pass
        client.close()
    assert server.status("/healthz") == 200


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
    body = b"x" * (256 * 1024 + 1) + hidden
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
