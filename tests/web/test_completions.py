"""``/v1`` as OpenAI's own client sees it: models, answers in one piece and in chunks, usage, sampling, keys."""

import json
import re

import openai
import pytest
from sqlalchemy import func, select
from support.program import new_key, program_of, question, text_of_stream
from support.visitor import Visitor, let_finish, wait_until, wait_until_idle

from webchat.answering.completions import Completion
from webchat.answering.events import Delta, Finished
from webchat.config import LARGEST_BODY
from webchat.engine.worker import LocalEngine
from webchat.storage import answer_policy, api_keys, faq
from webchat.storage.answer_policy import AnswerPolicy
from webchat.storage.tables import Conversation, Message
from webchat.web.completions import _chunks

FAQ, FAQ_ANSWER = "怎么退货？", "七天内可以**退货**。"
OPEN = "随便说点什么吧，英语也行"  # only the model could answer, in whatever letters its random weights come to


@pytest.fixture
def program(site):
    with program_of(site) as client:
        yield client


@pytest.fixture
def bare(site):
    """The name of the model alone."""
    return site.extensions["webchat"].engine.name


@pytest.fixture
def asked(site, monkeypatch):
    """The requests that reach the engine."""
    requests = []
    engine = site.extensions["webchat"].engine
    chat = type(engine).chat

    def recorded(self, request):
        requests.append(request)
        return chat(self, request)

    monkeypatch.setattr(type(engine), "chat", recorded)
    return requests


def refusal(call, *arguments, **options):
    """The error with which a call is refused, in the words of OpenAI's error object."""
    with pytest.raises(openai.APIStatusError) as refused:
        call(*arguments, **options)
    error = refused.value
    assert set(error.response.json()["error"]) == {"message", "type", "param", "code"}
    assert error.response.headers["Content-Type"] == "application/json"
    return error


# ---- answers -------------------------------------------------------------------------------------


def test_both_models_are_listed(program, bare):
    models = program.models.list().data
    assert [model.id for model in models] == ["webchat", bare]
    assert {(model.object, model.owned_by) for model in models} == {("model", "webchat")}


def test_a_model_may_be_named_as_remote_ones_are(new_app, held):
    name = "Qwen/Qwen2.5-0.5B-Instruct:latest 中"
    app = new_app(LocalEngine(name, lambda: held, max_running=2, max_waiting=2))
    with program_of(app) as program:
        assert [model.id for model in program.models.list()] == ["webchat", name]
        assert program.chat.completions.create(**question(OPEN, model=name)).model == name
        assert next(program.chat.completions.create(**question(OPEN, model=name, stream=True))).model == name


@pytest.mark.parametrize("pipeline", [True, False])
def test_an_answer_comes_in_one_piece(program, bare, pipeline):
    model = "webchat" if pipeline else bare
    answer = program.chat.completions.create(**question(OPEN, model=model, max_tokens=10))
    assert answer.id.startswith("chatcmpl-")
    assert (answer.object, answer.model) == ("chat.completion", model)
    (choice,) = answer.choices
    assert (choice.index, choice.message.role, choice.finish_reason) == (0, "assistant", "length")
    assert isinstance(choice.message.content, str)
    usage = answer.usage
    assert usage.completion_tokens == 10
    assert usage.prompt_tokens > len(OPEN.encode())  # of the tiny model every byte is a token
    assert usage.total_tokens == usage.prompt_tokens + 10
    assert answer.source == "model"


@pytest.mark.parametrize("pipeline", [True, False])
def test_an_answer_comes_in_chunks(program, bare, pipeline):
    wanted = question(OPEN, model="webchat" if pipeline else bare, temperature=0, max_tokens=10)
    program.chat.completions.create(**wanted)  # so that the prompts of the next two are read alike
    whole = program.chat.completions.create(**wanted)
    chunks = list(program.chat.completions.create(**wanted, stream=True))
    assert len({(chunk.id, chunk.created, chunk.model, chunk.object) for chunk in chunks}) == 1
    assert (chunks[0].choices[0].delta.role, chunks[0].choices[0].delta.content) == ("assistant", "")
    assert text_of_stream(chunks) == whole.choices[0].message.content
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * (len(chunks) - 1) + ["length"]
    assert not [chunk for chunk in chunks if chunk.usage]


@pytest.fixture
def ban(site):
    """Ban a word on the site that all tests share, for as long as the test lasts."""

    def banned(*words):
        with site.extensions["webchat"].database.write() as rows:
            answer_policy.save(rows, AnswerPolicy(banned=words))

    yield banned
    banned()


def test_an_answer_that_the_guard_ends_is_counted_too(program, ban):
    wanted = question(OPEN, temperature=0, stream_options={"include_usage": True}, stream=True)
    list(program.chat.completions.create(**wanted))  # so that the prompts of the next ones are read alike
    said = text_of_stream(program.chat.completions.create(**wanted))
    word = [letter for letter in said if letter.isalpha() and not letter.isascii()][-1]
    ban(word)
    *chunks, last = program.chat.completions.create(**wanted)
    assert word not in text_of_stream(chunks)
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert last.usage.prompt_tokens > len(OPEN.encode())
    assert 0 < last.usage.completion_tokens <= 24
    whole = program.chat.completions.create(**question(OPEN, temperature=0))
    assert whole.usage.prompt_tokens == last.usage.prompt_tokens
    assert word not in whole.choices[0].message.content


def test_a_stream_reports_its_usage_in_one_more_chunk_when_asked_to(program):
    wanted = question(OPEN, stream=True, max_tokens=3, stream_options={"include_usage": True})
    *chunks, last = program.chat.completions.create(**wanted)
    assert {chunk.usage for chunk in chunks} == {None}
    assert last.choices == []
    assert last.usage.completion_tokens == 3
    assert last.usage.total_tokens == last.usage.prompt_tokens + 3


def test_a_stream_is_lines_of_data_that_end_with_done(site):
    key = new_key(site.extensions["webchat"].database)
    response = Visitor.of(site).http.post(
        "/v1/chat/completions",
        json=question(OPEN, stream=True, stream_options={"include_usage": True}),
        headers={"Authorization": f"Bearer {key}"},
    )
    assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert response.headers["X-Accel-Buffering"] == "no"
    *events, end = [event for event in response.text.split("\n\n") if event and event != ": "]
    assert end == "data: [DONE]"
    assert all("usage" in json.loads(event.removeprefix("data: ")) for event in events)


@pytest.mark.parametrize("text", ["好😀", '"\\"', "\n\n", "\r", "\0", "\x85", "\u2028", "\ud83d", "data: [DONE]"])
def test_no_text_breaks_a_line(text):
    """Also for clients that take every line's end of Unicode for one."""
    events = iter([Delta(text), Finished("model", "stop", {"prompt_tokens": 1, "new_tokens": 1})])
    completion = Completion("model", events, cancel=lambda: None)
    _role, said, *_rest = _chunks(completion, {"id": "x"}, lambda: False, include_usage=False)
    line, end = said.decode().splitlines()
    assert end == ""
    assert json.loads(line.removeprefix("data: "))["choices"][0]["delta"] == {"content": text}


def test_what_was_read_before_is_counted_as_cached(program, bare):
    messages = [{"role": "system", "content": "一" * 50}, {"role": "user", "content": "二"}]
    wanted = {"model": bare, "messages": messages, "max_tokens": 1}
    program.chat.completions.create(**wanted)
    usage = program.chat.completions.create(**wanted).usage
    assert 150 < usage.prompt_tokens_details.cached_tokens < usage.prompt_tokens


def test_what_webchat_knows_is_answered_without_the_model(site, program, asked):
    before = _hits(site)
    answer = program.chat.completions.create(**question(FAQ, max_tokens=1))
    assert answer.choices[0].message.content == FAQ_ANSWER  # the shop's own words are not cut
    assert (answer.choices[0].finish_reason, answer.source) == ("stop", "faq")
    assert answer.usage.prompt_tokens > 0
    assert answer.usage.completion_tokens > 0
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    stream = list(program.chat.completions.create(**question(FAQ, stream=True)))
    assert text_of_stream(stream) == FAQ_ANSWER
    assert (stream[-1].choices[0].finish_reason, stream[-1].source) == ("stop", "faq")
    assert _hits(site) == before + 2
    assert program.chat.completions.create(**question("你是谁？")).source == "rule"
    assert asked == []


def _hits(site):
    with site.extensions["webchat"].database.read() as rows:
        return next(entry.hits for entry in faq.search(rows, "")[0] if entry.answer == FAQ_ANSWER)


def test_the_model_alone_is_not_told_what_webchat_knows(program, bare):
    answer = program.chat.completions.create(**question(FAQ, model=bare))
    assert answer.choices[0].message.content != FAQ_ANSWER
    assert answer.source == "model"


def test_nothing_that_is_said_is_stored(site, program, bare):
    def rows():
        with site.extensions["webchat"].database.read() as session:
            return [session.scalar(select(func.count()).select_from(table)) for table in (Conversation, Message)]

    before = rows()
    for text in (FAQ, OPEN):
        program.chat.completions.create(**question(text))
        program.chat.completions.create(**question(text, model=bare))
    assert rows() == before


# ---- what the model is shown ---------------------------------------------------------------------

HISTORY = [
    {"role": "developer", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "我叫"}, {"type": "text", "text": "小明"}]},
    {"role": "assistant", "content": "你好", "refusal": None, "tool_calls": [], "annotations": []},
    {"role": "user", "content": " 我叫什么名字来着\x07 "},
]


def test_the_model_alone_sees_the_messages_as_they_are(program, bare, asked):
    program.chat.completions.create(model=bare, messages=HISTORY)
    (request,) = asked
    assert [(message.role, message.text) for message in request.messages] == [
        ("system", "Be brief."),
        ("user", "我叫小明"),
        ("assistant", "你好"),
        ("user", " 我叫什么名字来着\x07 "),
    ]
    assert request.context_tokens is None
    sampling = request.sampling
    assert (sampling.temperature, sampling.top_p, sampling.top_k, sampling.repeat_penalty) == (1.0, 1.0, 0, 1.0)


def test_webchat_puts_its_persona_first_and_cleans_the_question(program, asked):
    program.chat.completions.create(model="webchat", messages=HISTORY)
    (request,) = asked
    system, *said = [(message.role, message.text) for message in request.messages]
    assert system[0] == "system"
    assert "小舟商店" in system[1]
    assert system[1].endswith("\n\nBe brief.")
    assert said == [("user", "我叫小明"), ("assistant", "你好"), ("user", "我叫什么名字来着")]
    assert request.context_tokens == 2048


def test_only_the_model_of_webchat_leaves_old_turns_out(program, bare):
    """The site's engine has room for 5,120 tokens, of which a conversation may take 2,048."""
    turn = [{"role": "user", "content": "三" * 200}, {"role": "assistant", "content": "四" * 200}]
    messages = [*turn * 2, {"role": "user", "content": OPEN}]
    kept = program.chat.completions.create(model="webchat", messages=messages).usage.prompt_tokens
    assert kept < 2048
    assert program.chat.completions.create(model=bare, messages=messages).usage.prompt_tokens > 2400


def test_every_request_takes_its_turn_by_itself(program, bare, asked):
    for model in ("webchat", bare, bare):
        program.chat.completions.create(**question(OPEN, model=model))
    assert len({request.owner for request in asked}) == 3
    assert all(request.owner for request in asked)


def test_what_is_asked_for_reaches_the_model(program, asked):
    more = {"top_k": 7, "min_p": 0.25, "repeat_penalty": 1.5}
    wish = question(OPEN, temperature=0.5, top_p=0.75, seed=-3, stop=["完", "end"], max_completion_tokens=9)
    program.chat.completions.create(**wish, extra_body=more)
    (request,) = asked
    sampling = request.sampling
    assert (sampling.temperature, sampling.top_p, sampling.seed) == (0.5, 0.75, -3)
    assert (sampling.top_k, sampling.min_p, sampling.repeat_penalty) == (7, 0.25, 1.5)
    assert (request.stop, request.max_new_tokens) == (("完", "end"), 9)


def test_what_is_not_asked_for_is_as_on_the_page(program, asked):
    program.chat.completions.create(**question(OPEN, temperature=0.2))
    (request,) = asked
    sampling = request.sampling
    assert (sampling.temperature, sampling.top_p, sampling.top_k, sampling.repeat_penalty) == (0.2, 0.8, 20, 1.1)


# ---- what comes back -----------------------------------------------------------------------------


def test_the_sites_limit_is_the_default_and_no_cap(program, bare):
    assert program.chat.completions.create(**question(OPEN)).usage.completion_tokens == 24
    # The model alone: random weights may come to stutter, and the site ends that.
    asked = question(OPEN, model=bare, max_tokens=60)
    assert program.chat.completions.create(**asked).usage.completion_tokens == 60


def test_a_seed_brings_the_same_answer_again(program, bare):
    def said(seed):
        wanted = question(OPEN, model=bare, temperature=1, seed=seed)
        return program.chat.completions.create(**wanted).choices[0].message.content

    said(1)  # reads the prompt
    answers = [said(seed) for seed in (1, 2, 3, 1, 2, 3)]
    assert answers[:3] == answers[3:]
    assert len(set(answers)) == 3


def test_without_a_seed_answers_differ(program, bare):
    wanted = question(OPEN, model=bare, temperature=1)
    assert len({program.chat.completions.create(**wanted).choices[0].message.content for _ in range(4)}) > 1


@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_ends_before_a_stop_string(program, bare, stream):
    wanted = question(OPEN, model=bare, temperature=0, max_tokens=60)
    program.chat.completions.create(**wanted)
    full = program.chat.completions.create(**wanted).choices[0].message.content
    middle = full[len(full) // 2 :][:2]
    expected = full[: full.index(middle)]
    for stop in (middle, ["never said", middle]):
        answer = program.chat.completions.create(**wanted, stop=stop, stream=stream)
        if stream:
            chunks = list(answer)
            assert (text_of_stream(chunks), chunks[-1].choices[0].finish_reason) == (expected, "stop")
        else:
            assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == (expected, "stop")


# ---- keys ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Bearer wc_wrong", "Basic d2M6d2M=", "Bearer \xff"])
@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/models"), ("POST", "/v1/chat/completions")])
def test_without_a_key_there_is_nothing(site, method, path, header):
    headers = {} if header is None else {"Authorization": header}
    response = site.test_client().open(path, method=method, headers=headers, json=question(FAQ))
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"
    error = response.json["error"]
    assert (error["type"], error["code"], error["param"]) == ("invalid_request_error", "invalid_api_key", None)


def test_a_revoked_key_is_refused_at_once(site):
    database = site.extensions["webchat"].database
    with program_of(site) as program:
        program.models.list()
        with database.read() as rows:
            name = api_keys.in_force(rows, program.api_key).name
        with database.write() as rows:
            api_keys.revoke(rows, name)
        assert refusal(program.models.list).status_code == 401
        assert refusal(program.chat.completions.create, **question(FAQ)).status_code == 401


def test_the_use_of_a_key_is_noted(site, program):
    database = site.extensions["webchat"].database
    noted = []
    for _ in range(2):
        program.models.list()
        with database.read() as rows:
            noted.append(api_keys.in_force(rows, program.api_key).last_used_at)
    assert noted[0]
    assert noted[0] == noted[1]


def test_a_key_with_a_limit_is_told_when_to_come_back(site):
    with program_of(site, per_minute=2) as limited, program_of(site) as unlimited:
        for _ in range(2):
            limited.chat.completions.create(**question(FAQ))
        error = refusal(limited.chat.completions.create, **question(FAQ))
        assert (error.status_code, error.code) == (429, "rate_limit_exceeded")
        assert 1 <= int(error.response.headers["Retry-After"]) <= 61
        limited.models.list()  # looking is free
        for _ in range(3):
            unlimited.chat.completions.create(**question(FAQ))


def test_no_other_sites_page_can_use_a_key(site):
    key = new_key(site.extensions["webchat"].database)
    headers = {"Authorization": f"Bearer {key}", "Origin": "https://shop.example"}  # allowed to call POST /chat
    response = Visitor.of(site).http.post("/v1/chat/completions", json=question(FAQ), headers=headers)
    assert "Access-Control-Allow-Origin" not in response.headers


# ---- what can go wrong ---------------------------------------------------------------------------


def test_a_model_that_does_not_exist_is_named(program, bare):
    error = refusal(program.chat.completions.create, **question(FAQ, model="gpt-x"))
    assert (error.status_code, error.code, error.param) == (404, "model_not_found", "model")
    assert "gpt-x" in error.message
    assert bare in error.message


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nowhere", 404), ("GET", "/chat/completions", 405), ("DELETE", "/models", 405)],
)
def test_wrong_addresses_are_told_in_openais_way(site, method, path, status):
    response = Visitor.of(site).http.request(method, f"/v1{path}")
    assert response.status_code == status
    assert set(response.json()["error"]) == {"message", "type", "param", "code"}
    assert re.search("[a-z]{4}", response.json()["error"]["message"])  # English, whatever the site speaks


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b'"hello"', 400),
        (b'{"model": "\xff"}', 400),
        (b"[" * 100_000, 400),
        (b'{"seed": ' + b"9" * 5000 + b"}", 400),
        (b" " * (LARGEST_BODY + 1), 413),
    ],
)
def test_what_cannot_be_read_is_refused(site, body, status):
    key = new_key(site.extensions["webchat"].database)
    headers = {"Authorization": f"Bearer {key}"}
    response = Visitor.of(site).http.post("/v1/chat/completions", content=body, headers=headers)
    assert response.status_code == status
    assert response.json()["error"]["type"] == "invalid_request_error"


def test_what_does_not_fit_the_context_is_refused(program, bare):
    """The site's engine has room for 5,120 tokens; every Chinese character is three of the tiny model's."""
    error = refusal(program.chat.completions.create, **question("五" * 3000, model=bare))
    assert (error.status_code, error.code, error.param) == (400, "context_length_exceeded", "messages")
    assert "an answer of 24 tokens do not fit the model's context of 5120 tokens together" in error.message


def test_the_whole_of_webchat_keeps_to_the_sites_context(program):
    error = refusal(program.chat.completions.create, **question(OPEN, max_tokens=2000))
    assert (error.status_code, error.code, error.param) == (400, "context_length_exceeded", "messages")
    assert "an answer of 2000 tokens do not fit the model's context of 2048 tokens together" in error.message


@pytest.mark.parametrize(("pipeline", "limit"), [(True, 2048), (False, 5120)])
@pytest.mark.parametrize("most", [1e9, 10**9, 8192])
def test_an_answer_that_alone_is_beyond_the_context_is_refused_by_its_length(program, bare, pipeline, limit, most):
    wanted = question(OPEN, model="webchat" if pipeline else bare, max_tokens=most)
    error = refusal(program.chat.completions.create, **wanted)
    assert (error.status_code, error.code, error.param) == (400, "invalid_value", "max_tokens")
    assert f"max_tokens is too large: {int(most)}. The messages and the answer share {limit} tokens." in error.message


@pytest.mark.parametrize(("text", "status"), [("", 400), (" \x07\n", 400), ("六" * 2001, 413)])
def test_the_whole_of_webchat_takes_questions_as_the_page_does(program, text, status):
    assert refusal(program.chat.completions.create, **question(text)).status_code == status


def test_without_a_model_what_webchat_knows_still_comes(new_app):
    app = new_app(model="/nowhere/model.gguf")
    with program_of(app) as program:
        assert program.chat.completions.create(**question("你是谁？")).source == "rule"
        for model in ("webchat", "model"):
            error = refusal(program.chat.completions.create, **question(OPEN, model=model))
            assert (error.status_code, error.type) == (503, "server_error")
            assert int(error.response.headers["Retry-After"]) > 0


def test_programs_that_fill_their_half_of_the_queue_leave_visitors_the_other(new_app, held):
    app = new_app(held.engine(max_running=1, max_waiting=4))
    wait_until_idle(app)
    held.hold()
    with program_of(app) as program:
        streams = [program.chat.completions.create(**question(OPEN, stream=True)) for _ in range(1 + 2)]
        for model in ("webchat", "tiny"):
            error = refusal(program.chat.completions.create, **question(OPEN, model=model))
            assert (error.status_code, error.code) == (429, "rate_limit_exceeded")
            assert int(error.response.headers["Retry-After"]) > 0
        visitors = [Visitor.of(app) for _ in range(2)]
        conversations = [visitor.ask(OPEN) for visitor in visitors]
        assert Visitor.of(app).send(OPEN).status_code == 503  # now it is full for everyone
        held.let_go()
        assert all(list(stream)[-1].choices[0].finish_reason == "length" for stream in streams)
        for visitor, conversation in zip(visitors, conversations, strict=True):
            let_finish(app, conversation)
            assert visitor.said(conversation)[1]["status"] == "done"
        assert program.chat.completions.create(**question(OPEN)).source == "model"


def test_visitors_may_take_the_places_that_programs_might_have_had(new_app, held):
    app = new_app(held.engine(max_running=1, max_waiting=4))
    wait_until_idle(app)
    held.hold()
    for _ in range(3):
        Visitor.of(app).ask(OPEN)
    with program_of(app) as program:
        wait_until(lambda: sum(_under_way(app)) == 3)
        assert refusal(program.chat.completions.create, **question(OPEN)).status_code == 429
        assert program.chat.completions.create(**question("你是谁？")).source == "rule"
    held.let_go()


def _under_way(app):
    stats = app.extensions["webchat"].engine.stats()
    return stats.running, stats.waiting


def test_an_engine_that_ends_is_an_error_in_the_middle_of_the_stream(new_app, held):
    app = new_app(held.engine(), max_new_tokens=4000, context_tokens=8192)
    engine = app.extensions["webchat"].engine
    with program_of(app) as program:
        stream = program.chat.completions.create(**question(OPEN, stream=True))
        next(stream)
        engine.close()
        with pytest.raises(openai.APIError, match="interrupted"):
            list(stream)


@pytest.mark.parametrize("chunks_read", [0, 3])
def test_a_stream_that_is_closed_frees_the_model(new_app, held, chunks_read):
    app = new_app(held.engine(), max_new_tokens=4000, context_tokens=8192)
    wait_until_idle(app)
    engine = app.extensions["webchat"].engine
    with program_of(app) as program:
        stream = program.chat.completions.create(**question(OPEN, stream=True))
        for _ in range(chunks_read):
            next(stream)
        stream.close()
        wait_until(lambda: not engine.stats().running + engine.stats().waiting)
    assert engine.stats().new_tokens < 4000
