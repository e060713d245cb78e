"""What is asked of an OpenAI-compatible server, and what is read in its answers."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webchat.engine import completions
from webchat.engine.completions import Chunk, ErrorEvent, Model, Unreadable, Usage
from webchat.engine.generation import Sampling
from webchat.engine.interface import ChatMessage, ChatRequest

SAMPLING = Sampling(temperature=0.5, top_p=0.9, top_k=7, min_p=0.1, repeat_penalty=1.2, seed=3)
ASKED = ChatRequest((ChatMessage("user", "你好"),), 20, sampling=SAMPLING, stop=("a", "b", "c", "d", "e"))
STANDARD = {
    "model": "m",
    "messages": [{"role": "user", "content": "你好"}],
    "max_tokens": 20,
    "temperature": 0.5,
    "top_p": 0.9,
    "seed": 3,
    "stop": ["a", "b", "c", "d"],
    "stream": True,
    "stream_options": {"include_usage": True},
}


def event(**delta):
    return json.dumps({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})


def ending(reason):
    return json.dumps({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})


def test_a_server_nobody_knows_gets_the_standard_fields_alone():
    assert completions.body(ASKED, ASKED.messages, Model("m", "someone")) == STANDARD


@pytest.mark.parametrize(
    ("server", "penalty"),
    [("llamacpp", "repeat_penalty"), ("vllm", "repetition_penalty"), ("sglang", "repetition_penalty")],
)
def test_a_server_that_says_who_it_is_gets_all_of_the_sampling(server, penalty):
    body = completions.body(ASKED, ASKED.messages, Model("m", server))
    assert body == STANDARD | {"top_k": 7, "min_p": 0.1, penalty: 1.2}


def test_without_seed_and_stop_none_are_sent():
    body = completions.body(ChatRequest((), 1), (), Model("m", ""))
    assert not {"seed", "stop"} & body.keys()


@pytest.mark.parametrize(
    ("data", "chunk"),
    [
        (event(content="好"), Chunk("好", progress=True)),
        (event(role="assistant", content=None), Chunk()),
        (event(role="assistant", content=""), Chunk()),
        (event(reasoning_content="hm"), Chunk(progress=True)),
        (ending("stop"), Chunk(finish="stop")),
        (ending("length"), Chunk(finish="length")),
        (ending("content_filter"), Chunk(finish="stop")),
        (ending("tool_calls"), Chunk(finish="stop")),
        ("[DONE]", Chunk(finish="stop")),
        ('{"choices": []}', Chunk()),
        ('{"choices": null, "usage": null}', Chunk()),
        ('{"choices": [{"delta": null}]}', Chunk()),
        ('{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":4}}', Chunk(usage=Usage(9, 0, 4))),
        (
            '{"usage":{"prompt_tokens":9,"completion_tokens":4,"prompt_tokens_details":{"cached_tokens":8}}}',
            Chunk(usage=Usage(9, 8, 4)),
        ),
        ('{"choices":[],"usage":{"prompt_tokens":"many"}}', Chunk()),
        ('{"choices":[],"usage":[1]}', Chunk()),
        (f'{{"choices":[],"usage":{{"prompt_tokens":{10**30},"completion_tokens":4}}}}', Chunk()),
        ('{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":-1}}', Chunk()),
        ('{"choices":[{"delta":{"content":"\\ud83d"}}]}', Chunk("\ud83d", progress=True)),
    ],
)
def test_events_are_read(data, chunk):
    assert completions.chunk(data) == chunk


@pytest.mark.parametrize(
    "data",
    ["", "{", "null", "7", "[]", '"text"', '{"choices": 5}', '{"choices": ["a"]}', event(content=5), "[" * 100_000],
)
def test_what_is_no_event_is_unreadable(data):
    with pytest.raises(Unreadable):
        completions.chunk(data)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["choices", "delta", "content", "usage", "finish_reason", "error", "code", "message"]),
            inner,
        )
    ),
)


@given(JSON)
def test_whatever_comes_is_read_or_refused(value):
    try:
        chunk = completions.chunk(json.dumps(value))
    except (Unreadable, ErrorEvent):
        return
    assert isinstance(chunk.text, str)


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (
            {"code": 400, "message": "too\nlong", "type": "exceed_context_size_error"},
            400,
            "too long exceed_context_size_error",
        ),
        ({"code": "server_error", "message": "oh"}, 500, "oh server_error"),
        ("oh", 500, "oh"),
        ({"message": "x" * 999}, 500, "x" * 300),
    ],
)
def test_an_error_inside_the_stream_is_said(error, status, words):
    with pytest.raises(ErrorEvent) as raised:
        completions.chunk(json.dumps({"error": error}))
    assert (raised.value.status, str(raised.value)) == (status, words)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Qwen/Qwen2.5-7B-Instruct", "Qwen/Qwen2.5-7B-Instruct"),
        ("/home/someone/models/qwen.gguf", "qwen"),
        ("models/qwen.gguf", "qwen"),
        ("/models/Qwen2.5", "Qwen2.5"),
    ],
)
def test_pages_do_not_show_the_folders_of_a_server(name, shown):
    assert Model(name, "").shown == shown


def test_a_list_of_models_is_read():
    content = b'{"object": "list", "data": [{"id": "a", "owned_by": "vllm"}, {"id": "b"}]}'
    assert completions.models(content) == [Model("a", "vllm"), Model("b", "")]


NAMES = [r"bad\ud800name", r"a\nb", r"\u0000", "", "x" * 501]


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"<html>", b"[]", b'{"data": [{}]}', b'{"data": [1]}', b"\xff"),
        *(f'{{"data": [{{"id": "{name}"}}]}}'.encode() for name in NAMES),
    ],
)
def test_what_is_no_list_of_models_is_unreadable(content):
    with pytest.raises(Unreadable):
        completions.models(content)
