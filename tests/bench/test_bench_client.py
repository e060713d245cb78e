"""One client: what it asks, what it notes, and what it says about servers that misbehave."""

import json
import socket
import threading

import pytest
from support.openai_server import DEADLINE, DONE, Cut, event, piece, usage

from webchat.bench.client import BenchError, Stopped, server_at


def test_the_question_is_asked_in_openais_words(peer, ask_peer):
    ask_peer(key="sk-1", model="some-model")
    [asked] = peer.asked
    assert (asked.path, asked.key) == ("/v1/chat/completions", "Bearer sk-1")
    assert asked.body == {
        "model": "some-model",
        "messages": [{"role": "user", "content": "问"}],
        "max_tokens": 64,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_without_a_key_none_is_sent(peer, ask_peer):
    ask_peer()
    assert peer.asked[0].key == ""


def test_an_answer_is_noted_with_its_lengths(peer, ask_peer):
    answer = ask_peer()
    assert (answer.text, answer.tokens, answer.prompt_tokens, answer.early) == ("一二三四五六", 5, 30, False)
    assert len(answer.pieces) == 4


def test_a_piece_is_noted_when_it_comes_and_not_when_the_answer_is_whole(peer, ask_peer):
    answer = ask_peer()
    [asked] = peer.asked
    assert answer.sent <= asked.arrived <= asked.sent[0] <= answer.pieces[0]
    assert all(sent <= noted for sent, noted in zip(asked.sent, answer.pieces, strict=False))
    assert list(answer.pieces) == sorted(answer.pieces)
    assert answer.ended >= asked.sent[-1]


def test_what_holds_no_text_is_no_piece(peer, ask_peer):
    peer.answer = lambda asked: iter(
        [
            event({"choices": [{"delta": {"role": "assistant", "content": None}, "finish_reason": None}]}),
            b": still there\n\n",
            b"\r\nevent: message\r\n",
            piece(""),
            piece("好"),
            piece(None, "stop"),
            DONE,
        ]
    )
    answer = ask_peer()
    assert (answer.text, len(answer.pieces), answer.early) == ("好", 1, True)
    assert (answer.tokens, answer.prompt_tokens) == (None, None)


def test_an_answer_that_nobody_wants_any_more_is_hung_up_on(peer, ask_peer):
    stop = threading.Event()

    def endless(asked):
        while True:
            stop.set()
            yield piece("好")

    peer.answer = endless
    with pytest.raises(Stopped):
        ask_peer(stop=stop)
    assert peer.hung_up.wait(DEADLINE)


# ---- servers that misbehave ----------------------------------------------------------------------


def sentence_of(call, **arguments):
    with pytest.raises(BenchError) as caught:
        call(**arguments)
    return str(caught.value)


def test_a_server_that_is_not_there(ask_peer):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert sentence_of(ask_peer, url=f"http://127.0.0.1:{port}") == (
        f"The peer at http://127.0.0.1:{port} cannot be reached or broke off: Connection refused."
    )


def test_a_name_that_is_nobodys(ask_peer):
    assert "nobody.invalid cannot be reached" in sentence_of(ask_peer, url="http://nobody.invalid")


@pytest.mark.parametrize(
    ("status", "body", "what"),
    [
        (401, {"error": {"message": "Invalid API key"}}, "does not accept the API key (status 401): Invalid API key"),
        (403, {"detail": "Key was revoked."}, "does not accept the API key (status 403): Key was revoked."),
        (500, {"title": "Internal error"}, "answered with status 500: Internal error"),
        (503, {"error": "busy"}, "answered with status 503: busy"),
        (404, ["x"], "answered with status 404: ['x']"),
    ],
)
def test_a_refusal_is_told_in_the_servers_words(peer, ask_peer, status, body, what):
    peer.refusal = status, json.dumps(body).encode()
    assert sentence_of(ask_peer) == f"The peer at {peer.url} {what}"


@pytest.mark.parametrize("body", [b"", b"<html>\n" + b"x" * 5000, b"\xff\xfe"])
def test_a_refusal_in_no_words_is_cut_short(peer, ask_peer, body):
    peer.refusal = 502, body
    assert len(sentence_of(ask_peer)) < 300


@pytest.mark.parametrize(
    ("events", "what"),
    [
        ([piece("好"), b"data: {junk\n\n"], "sent an event that is no JSON object: b'{junk'"),
        ([b"data: 7\n\n"], "sent an event that is no JSON object: b'7'"),
        ([event({"choices": [{}]})], "sent an event that is no part of an answer: {'choices': [{}]}"),
        ([event({"choices": [{"delta": {"content": 7}}]})], "sent an event that is no part of an answer: "),
        ([event({"choices": [], "usage": 7})], "sent an event that is no part of an answer: "),
        ([event({"choices": 7})], "sent an event that is no part of an answer: {'choices': 7}"),
        ([event({"x": "y" * 9999})], "sent an event that is no part of an answer: {'x': 'yyy"),
        ([piece("好"), event({"error": {"message": "out of memory"}})], "gave up during an answer: out of memory"),
        ([piece("好")], "closed the connection before an answer was complete."),
        ([], "closed the connection before an answer was complete."),
        ([piece(None, "stop"), DONE], "gave an answer without any text."),
    ],
)
def test_a_stream_that_is_no_answer(peer, ask_peer, events, what):
    peer.answer = lambda asked: iter(events)
    sentence = sentence_of(ask_peer)
    assert sentence.startswith(f"The peer at {peer.url} {what}")
    assert len(sentence) < 300


def test_a_connection_that_breaks_off(peer, ask_peer):
    def broken(asked):
        yield piece("好")
        raise Cut

    peer.answer = broken
    assert sentence_of(ask_peer).endswith("closed the connection before an answer was complete.")


@pytest.mark.parametrize("before", [[], [piece("好")]])
def test_a_server_that_falls_silent(peer, ask_peer, before):
    over = threading.Event()

    def silent(asked):
        yield from before
        over.wait(DEADLINE)

    peer.answer = silent
    try:
        assert sentence_of(ask_peer, timeout=0.2).endswith("did not finish an answer within 0.2 s.")
    finally:
        over.set()


def test_a_server_that_never_comes_to_an_end(peer, ask_peer):
    def endless(asked):
        while True:
            yield piece("好")

    peer.answer = endless
    assert sentence_of(ask_peer, timeout=0.2).endswith("did not finish an answer within 0.2 s.")
    assert peer.hung_up.wait(DEADLINE)


def test_something_else_than_http(ask_peer):
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet():
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"220 mail.example ready\r\n")

        threading.Thread(target=greet, daemon=True).start()
        sentence = sentence_of(ask_peer, url=f"http://127.0.0.1:{listener.getsockname()[1]}")
        assert "cannot be reached or broke off: " in sentence


# ---- which server and which model ----------------------------------------------------------------


@pytest.mark.parametrize("end", ["", "/", "/v1", "/v1/"])
def test_the_first_bare_model_is_asked_for_unless_another_is_named(peer, end):
    server = server_at("peer", peer.url + end, "sk-1", "", 30)
    assert (server.name, server.url, server.key, server.model) == ("peer", peer.url, "sk-1", "tiny")
    assert server_at("peer", peer.url, "", "other", 30).model == "other"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:8000",
        "ftp://x",
        "http://",
        "http://[::1",
        "http://x:99999",
        "http://x:0",
        "http://a b",
        "http://a:b@c",
    ],
)
def test_what_is_no_address(url):
    assert sentence_of(lambda: server_at("site", url, "", "m", 1)).startswith(f"{url} is not an address")


@pytest.mark.parametrize("models", [[], {}, {"data": 7}, {"data": [{}]}, 7])
def test_a_server_that_lists_its_models_otherwise(peer, models):
    peer.models = models
    assert "does not list its models" in sentence_of(lambda: server_at("site", peer.url, "", "", 30))


def test_a_server_without_a_bare_model(peer):
    peer.models = {"data": [{"id": "webchat"}]}
    assert sentence_of(lambda: server_at("site", peer.url, "", "", 30)).endswith("lists no model.")


@pytest.mark.parametrize("key", ["sk\n1", "sk-é", "sk\0"])
def test_what_is_no_key(peer, key):
    assert sentence_of(lambda: server_at("peer", peer.url, key, "", 30)).startswith(
        "What was given as the peer's API key"
    )
    assert peer.asked == []


@pytest.mark.parametrize("host", ["x" * 300, "a..b"])
def test_a_name_that_no_host_can_have(host):
    assert "cannot be reached" in sentence_of(lambda: server_at("peer", f"http://{host}", "", "", 30))


def test_lengths_that_are_no_numbers_are_not_known(peer, ask_peer):
    peer.answer = lambda asked: iter([usage("many", None), piece("好", "stop")])
    assert (ask_peer().tokens, ask_peer().prompt_tokens) == (None, None)


def test_usage_beside_the_last_piece_counts_too(peer, ask_peer):
    last = {"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": {"completion_tokens": 1, "prompt_tokens": 2}}
    peer.answer = lambda asked: iter([piece("好"), event(last)])
    answer = ask_peer()
    assert (answer.tokens, answer.prompt_tokens) == (1, 2)
    peer.answer = lambda asked: iter([usage(2, 1), piece("好", "stop")])
    assert ask_peer().tokens == 1
