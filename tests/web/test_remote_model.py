"""A site whose model runs elsewhere: what visitors see of it, and of its absence."""

import threading
from collections import deque

import openai
import pytest
from support.fake_upstream import DEADLINE, FakeUpstream
from support.page import Page
from support.program import program_of, question
from support.visitor import Visitor, let_finish, text_of, wait_until

from webchat.storage import faq

FOR_THE_MODEL = "随便说点什么吧，英语也行"


@pytest.fixture
def upstream():
    with FakeUpstream() as server:
        yield server


@pytest.fixture
def app(new_app, upstream):
    """A site with one official answer. Its file of weights, which nobody needs, is missing."""
    app = new_app(engine_url=upstream.url, engine_key="s3cret", model="/nowhere/model.gguf")
    with app.extensions["webchat"].database.write() as rows:
        faq.create(rows, phrasings=["怎么退货？"], answer="七天内可以退货。")
    wait_until(lambda: state(app) == "ready")
    return app


@pytest.fixture
def alice(app):
    return Visitor.of(app)


def state(app):
    return app.extensions["webchat"].engine.stats().state


def answered(app, visitor, question):
    """The stored answer to a question."""
    conversation = visitor.ask(question)
    let_finish(app, conversation)
    return visitor.said(conversation)[1]


def test_the_model_answers_and_pages_name_it(app, alice, upstream):
    wait_until(lambda: app.test_client().get("/readyz").status_code == 200)
    answer = answered(app, alice, FOR_THE_MODEL)
    assert (answer["text"], answer["source"], answer["status"]) == ("hello", "model", "done")
    page = text_of(alice.get("/"))
    assert "Qwen/Qwen2.5-7B-Instruct" in page
    assert "店家自己电脑" not in page
    system = upstream.requests[0].body["messages"][0]
    assert system["role"] == "system"
    assert "Qwen/Qwen2.5-7B-Instruct" in system["content"]


def test_it_remembers_the_conversation(app, alice, upstream):
    conversation = alice.ask(FOR_THE_MODEL)
    let_finish(app, conversation)
    alice.ask("再说一点", conversation)
    let_finish(app, conversation)
    assert [message["content"] for message in upstream.requests[1].body["messages"][1:]] == [
        FOR_THE_MODEL,
        "hello",
        "再说一点",
    ]


def test_while_the_server_is_away_official_answers_come_and_the_page_says_so(app, alice, upstream):
    go = threading.Event()
    upstream.script.append(lambda exchange: (exchange.head(), exchange.event("half"), go.wait(DEADLINE)))
    conversation = alice.ask(FOR_THE_MODEL)
    upstream.wait_until(lambda: upstream.requests)
    upstream.shut()
    go.set()
    let_finish(app, conversation)
    broken = alice.said(conversation)[1]
    assert (broken["text"], broken["status"]) == ("half", "interrupted")
    assert alice.page(conversation).messages[1].can_retry
    wait_until(lambda: state(app) == "failed")

    page = Page(alice.get("/").text)
    assert "AI 回答暂时不可用" in page.root.by_class("banner")[0].text
    assert answered(app, alice, "怎么退货？")["text"] == "七天内可以退货。"
    assert answered(app, alice, FOR_THE_MODEL)["status"] == "failed"
    ready = app.test_client().get("/readyz", headers={"Accept-Language": "en"})
    assert (ready.status_code, ready.json["status"]) == (200, "degraded")  # no reason to send visitors elsewhere
    assert ready.json["problems"] == {
        "model": "The model's server cannot be used; the log says why. The FAQ goes on answering."
    }
    assert "Retry-After" not in ready.headers
    assert "webchat_engine_ready 0.0" in app.test_client().get("/metrics").text

    upstream.open()
    wait_until(lambda: state(app) == "ready")
    assert app.test_client().get("/readyz").json == {"status": "ready", "problems": {}}
    assert Page(alice.get("/").text).root.by_class("banner") == []
    assert alice.post(f"/c/{conversation}/messages/{broken['id']}/retry").status_code == 303
    let_finish(app, conversation)
    assert alice.said(conversation)[1]["text"] == "hello"


@pytest.mark.parametrize(
    ("refusal", "sentence"),
    [
        (("400 Bad Request", {"message": "maximum context length is 4096 tokens"}), "too long"),
        (("429 Too Many Requests", "slow down"), "many people are asking"),
        (("500 Internal Server Error", "oh"), "not available"),
        (("401 Unauthorized", "s3cret"), "not available"),
        (("418 Teapot", "no"), "could not be written"),
    ],
)
def test_what_the_server_refuses_is_said_in_the_visitors_words(app, upstream, refusal, sentence):
    upstream.script += [lambda exchange: exchange.refuse(*refusal, Retry_After="60")] * 3
    visitor = Visitor.of(app, headers={"Accept-Language": "en"})
    conversation = visitor.ask(FOR_THE_MODEL)
    let_finish(app, conversation)
    message = visitor.page(conversation).messages[1]
    assert (message.status, message.can_retry) == ("failed", True)
    assert sentence in message.element.text.lower()
    assert "s3cret" not in message.element.text


@pytest.mark.parametrize("stream", [True, False])
def test_a_program_is_told_by_400_what_the_server_finds_too_long(app, upstream, stream):
    """And not that its question is, to be sent again: the server may have meant the length of the answer."""
    words = "max_tokens is too large: 1000000000. This model's maximum context length is 4096 tokens"
    upstream.script.append(lambda exchange: exchange.refuse("400 Bad Request", {"message": words}))
    with program_of(app) as program, pytest.raises(openai.APIError) as refused:
        deque(program.chat.completions.create(**question(FOR_THE_MODEL, max_tokens=1e9, stream=stream)), maxlen=0)
    assert (refused.value.code, refused.value.type) == ("context_length_exceeded", "invalid_request_error")
    assert "an answer of max_tokens do not fit" in refused.value.message
    assert stream or refused.value.status_code == 400


def test_stop_ends_the_answer_and_the_request(app, alice, upstream):
    def speak(exchange):
        exchange.head()
        exchange.event("half")
        exchange.wait_for_hang_up()

    upstream.script.append(speak)
    conversation = alice.ask(FOR_THE_MODEL)
    upstream.wait_until(lambda: upstream.requests)
    alice.post(f"/c/{conversation}/stop")
    let_finish(app, conversation)
    assert alice.said(conversation)[1]["status"] == "stopped"
    assert upstream.requests[0].hung_up.wait(DEADLINE)
