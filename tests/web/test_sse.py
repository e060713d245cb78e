"""``POST /chat`` to the letter: what a published tutorial's loop, which nobody can change any more, relies on."""

import http.client
import json
import shutil
import subprocess
import threading
from contextlib import closing

import pytest
from support.server import read_chunks
from support.visitor import Visitor, let_finish

from webchat.answering.events import Delta
from webchat.answering.pipeline import Answerer
from webchat.web.sse import _lines

LONG = "说一万个字"
# The tutorial's front end, as its readers have copied it.
TUTORIAL = """
const [url, message, session] = process.argv.slice(2);
const res = await fetch(url, {
  method: "POST",
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify(session ? { message, session_id: session } : { message }),
});
const reader = res.body.getReader();
const decoder = new TextDecoder();
let text = "";
let last = null;
while (true) {
  const { done, value } = await reader.read();
  if (done) break;
  const chunk = decoder.decode(value);
  for (const line of chunk.split("\\n\\n").filter(Boolean)) {
    const data = JSON.parse(line.slice(5));
    if (data.done) { last = data; break; }
    text += data.token;
  }
}
console.log(JSON.stringify({ text, last }));
"""


def chat(visitor, message, session=None, **options):
    body = {"message": message} | ({"session_id": session} if session else {})
    return visitor.http.post("/chat", json=body, **options)


def events_of(response):
    assert response.status_code == 200, response.text
    return [json.loads(line.removeprefix("data: ")) for line in response.text.split("\n\n") if line]


def text_in(events):
    return "".join(event["token"] for event in events)


def require_contract(raw):
    """Every event: one line of JSON behind ``data:``, at most 1,000 bytes, nothing between them."""
    assert raw.endswith(b"\n\n")
    events = raw.removesuffix(b"\n\n").split(b"\n\n")
    for event in events:
        assert event.startswith(b"data: ")
        assert len(event) + 2 <= 1000
        assert b"\n" not in event
        assert b"\r" not in event
        found = json.loads(event.removeprefix(b"data: "))
        assert isinstance(found["token"], str)
        assert isinstance(found["done"], bool)
        found["token"].encode()  # no half characters
    found = [json.loads(event.removeprefix(b"data: ")) for event in events]
    assert [event["done"] for event in found] == [False] * (len(found) - 1) + [True]
    return found


def read_in_the_tutorials_way(server, message, session=None):
    """The same loop, chunk by chunk, where there is no Node."""
    body = {"message": message} | ({"session_id": session} if session else {})
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)) as connection:
        connection.request("POST", "/chat", json.dumps(body), {"Content-Type": "application/json"})
        with connection.getresponse() as response:
            assert response.status == 200
            chunks = read_chunks(response)
    text, last = "", None
    for chunk in chunks:
        for line in filter(None, chunk.decode().split("\n\n")):
            data = json.loads(line[5:])
            if data["done"]:
                last = data
                break
            text += data["token"]
    return text, last, chunks


def test_an_official_answer(bob):
    response = chat(bob, "怎么退货？")
    assert response.headers["Content-Type"].startswith("text/event-stream")
    assert response.headers["Cache-Control"] == "no-store"
    events = require_contract(response.content)
    session = events[-1].pop("session_id")
    assert len(session) >= 22  # 128 random bits
    assert events[-1] == {"token": "", "done": True, "source": "faq", "finish_reason": "stop", "suggestions": []}
    assert text_in(events) == "七天内可以**退货**。"


def test_a_rules_answer(bob):
    events = require_contract(chat(bob, "今天天气怎么样？").content)
    assert events[-1]["source"] == "rule"
    assert "天气" in text_in(events)


def test_an_answer_of_the_model_is_what_was_stored(bob):
    events = require_contract(chat(bob, "随便说点什么吧，英语也行").content)
    assert (events[-1]["source"], events[-1]["finish_reason"]) == ("model", "length")
    stored = bob.said(events[-1]["session_id"])
    assert [message["role"] for message in stored] == ["visitor", "assistant"]
    assert stored[1]["text"] == text_in(events)


def test_the_same_session_is_one_conversation(bob):
    session = events_of(chat(bob, "随便说点什么吧，英语也行"))[-1]["session_id"]
    again = events_of(chat(bob, "怎么退货？", session))[-1]
    assert again["session_id"] == session
    assert [message["text"] for message in bob.said(session)][::2] == ["随便说点什么吧，英语也行", "怎么退货？"]
    assert events_of(chat(bob, "怎么退货？"))[-1]["session_id"] != session


def test_the_model_is_told_what_was_said_before_in_this_session(site, bob, monkeypatch):
    prompts = []
    engine = site.extensions["webchat"].engine
    monkeypatch.setattr(type(engine), "chat", _recording(prompts, type(engine).chat))
    session = events_of(chat(bob, "我叫小明，记住了"))[-1]["session_id"]
    chat(bob, "我叫什么名字来着", session)
    chat(bob, "我叫什么名字来着")
    remembered, forgotten = ("".join(message.text for message in prompt) for prompt in prompts[1:])
    assert "我叫小明，记住了" in remembered
    assert "我叫小明" not in forgotten


def _recording(prompts, chat):
    def recorded(engine, request):
        prompts.append(request.messages)
        return chat(engine, request)

    return recorded


def test_a_long_answer_comes_in_small_events_and_whole_characters(bob):
    events = require_contract(chat(bob, LONG).content)
    assert text_in(events) == "好😀" * 5000
    assert len(events) > 60


@pytest.mark.parametrize("text", ["😀", "\x01", '"\\', "好", "\u2028", "a"])
def test_every_event_is_small_whatever_it_says(bob, text):
    """The most bytes that JSON can make of a character, hundreds of times."""
    lines = list(_lines(None, iter([Delta(text * 1000)])))
    assert max(len(line.encode()) for line in lines) <= 1000
    assert "".join(json.loads(line.removeprefix("data: "))["token"] for line in lines) == text * 1000


@pytest.fixture
def quick_heartbeat(monkeypatch):
    follow = Answerer.follow
    monkeypatch.setattr(Answerer, "follow", lambda self, where, message: follow(self, where, message, heartbeat=0.01))


def test_silence_is_filled_with_events_that_say_nothing(new_app, held, quick_heartbeat):
    app = new_app(held.engine())
    app.extensions["webchat"].engine.wait_until_ready(60)
    held.hold()
    client = Visitor.of(app)
    with client.http.stream("POST", "/chat", json={"message": "随便说点什么吧，英语也行"}) as response:
        events = response.iter_bytes()
        for _ in range(5):
            assert json.loads(next(events).removeprefix(b"data: ")) == {"token": "", "done": False}
        held.let_go()
        rest = b"".join(events)
    assert require_contract(rest)[-1]["source"] == "model"


def test_who_leaves_does_not_end_the_answer(new_app, held, quick_heartbeat):
    app = new_app(held.engine(), max_new_tokens=50)
    app.extensions["webchat"].engine.wait_until_ready(60)
    held.hold()
    client = Visitor.of(app)
    with client.http.stream("POST", "/chat", json={"message": "随便说点什么吧，英语也行"}) as response:
        assert response.status_code == 200
        (feed,) = app.extensions["webchat"].answerer.feeds._feeds
    held.let_go()
    let_finish(app, feed)
    assert client.said(feed)[1]["status"] == "done"


def test_an_answer_that_was_stopped_says_so(new_app, held):
    app = new_app(held.engine(), max_new_tokens=4000, context_tokens=8192)
    parts = app.extensions["webchat"]
    parts.engine.wait_until_ready(60)
    with Visitor.of(app).http.stream("POST", "/chat", json={"message": "写一个故事吧"}) as response:
        events = response.iter_bytes()
        first = next(events)
        (conversation,) = parts.answerer.feeds._feeds
        for run in parts.answerer.feeds.runs(conversation).values():
            parts.answerer._model_run.stop(run)
        last = require_contract(first + b"".join(events))[-1]
    assert (last["source"], last["finish_reason"]) == ("model", "stopped")
    assert "error" not in last


def test_an_answer_that_failed_ends_with_a_sentence(new_app):
    app = new_app(model="/nowhere/model.gguf")
    last = require_contract(chat(Visitor.of(app), "随便说点什么吧，英语也行").content)[-1]
    assert (last["source"], last["finish_reason"]) == ("model", "error")
    assert "AI 回答暂时不可用" in last["error"]


def test_a_busy_session_is_told_to_wait(new_app, held, quick_heartbeat):
    app = new_app(held.engine())
    app.extensions["webchat"].engine.wait_until_ready(60)
    held.hold()
    client = Visitor.of(app)
    with client.http.stream("POST", "/chat", json={"message": "随便说点什么吧，英语也行"}):
        (session,) = app.extensions["webchat"].answerer.feeds._feeds
        response = chat(client, "再说点什么吧", session)
        assert response.status_code == 409
        assert "还在写" in response.json()["detail"]
        assert text_in(events_of(chat(client, "今天天气怎么样", session)))  # needs no model
        held.let_go()


# ---- from other sites ----------------------------------------------------------------------------


def test_pages_of_an_allowed_origin_may_call(bob):
    response = chat(bob, "怎么退货？", headers={"Origin": "https://shop.example"})
    assert response.status_code == 200
    assert response.headers["Access-Control-Allow-Origin"] == "https://shop.example"
    assert "Origin" in response.headers["Vary"]
    assert "Access-Control-Allow-Credentials" not in response.headers


def test_a_preflight_of_an_allowed_origin_is_answered(bob):
    asking = {
        "Origin": "https://shop.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }
    response = bob.http.options("/chat", headers=asking)
    assert response.status_code == 204
    assert response.headers["Access-Control-Allow-Origin"] == "https://shop.example"
    assert "POST" in response.headers["Access-Control-Allow-Methods"]
    assert "content-type" in response.headers["Access-Control-Allow-Headers"].lower()


@pytest.mark.parametrize("origin", ["https://evil.example", "http://shop.example", "https://shop.example.evil", "null"])
def test_pages_of_other_origins_may_not(bob, origin):
    response = chat(bob, "怎么退货？", headers={"Origin": origin})
    assert response.status_code == 403
    assert response.headers["Content-Type"] == "application/problem+json"
    assert "Access-Control-Allow-Origin" not in response.headers
    preflight = bob.http.options("/chat", headers={"Origin": origin, "Access-Control-Request-Method": "POST"})
    assert "Access-Control-Allow-Origin" not in preflight.headers


def test_an_error_can_be_read_by_pages_of_an_allowed_origin(bob):
    response = chat(bob, "", headers={"Origin": "https://shop.example"})
    assert response.status_code == 400
    assert response.headers["Access-Control-Allow-Origin"] == "https://shop.example"
    assert "X-Request-Id" in response.headers["Access-Control-Expose-Headers"]


# ---- on the wire ---------------------------------------------------------------------------------


@pytest.mark.parametrize("message", [LONG, "随便说点什么吧，英语也行", "今天天气怎么样？"])
def test_every_event_is_one_chunk_on_the_wire(server, message):
    _, last, chunks = read_in_the_tutorials_way(server, message)
    require_contract(b"".join(chunks))
    for chunk in chunks:
        assert chunk.endswith(b"\n\n")
        assert chunk.count(b"\n") == 2
    assert last["done"] is True


def test_the_tutorials_loop_reads_every_answer_and_remembers(server):
    visitor = server.visitor()
    for message in (LONG, "随便说点什么吧，英语也行", "你是谁？"):
        text, last, _ = read_in_the_tutorials_way(server, message)
        again, later, _ = read_in_the_tutorials_way(server, "今天天气怎么样？", last["session_id"])
        said = visitor.said(last["session_id"])
        assert [said[1]["text"], said[3]["text"]] == [text, again]
        assert later["session_id"] == last["session_id"]


# Where npm is missing set-up brings one of its own, for itself alone.
@pytest.mark.skipif(not shutil.which("node"), reason="no node on this machine")
def test_the_tutorials_loop_runs_unchanged_in_node(server, tmp_path):
    script = tmp_path / "tutorial.mjs"
    script.write_text(TUTORIAL)

    def run(*arguments):
        command = [shutil.which("node"), script, f"{server.url}/chat", *arguments]
        return json.loads(subprocess.run(command, check=True, capture_output=True, timeout=60).stdout)

    first = run("随便说点什么吧，英语也行")
    second = run(LONG, first["last"]["session_id"])
    assert second["text"] == "好😀" * 5000
    said = server.visitor().said(first["last"]["session_id"])
    assert [said[1]["text"], said[3]["text"]] == [first["text"], second["text"]]


def test_many_at_once_get_their_own_answers(server):
    read = {}

    def ask(name):
        read[name] = read_in_the_tutorials_way(server, f"随便说点什么吧，英语也行，{name}")

    threads = [threading.Thread(target=ask, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    visitor = server.visitor()
    for name in range(8):
        text, last, _ = read[name]
        question, answer = visitor.said(last["session_id"])
        assert question["text"] == f"随便说点什么吧，英语也行，{name}"
        assert answer["text"] == text
