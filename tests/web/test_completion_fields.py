"""Every field of a completion request is supported, passes because it asks for nothing, or is refused by its name."""

import json
import math
import re

import pytest

from webchat.config import CHECKOUT
from webchat.web import completion_fields as fields
from webchat.web.problems import Problem

ASKED = {"model": "webchat", "messages": [{"role": "user", "content": "你好"}]}
FUNCTION = {"type": "function", "function": {"name": "f"}}

PASSES = {
    "n": [1],
    "presence_penalty": [0, 0.0],
    "frequency_penalty": [0],
    "logit_bias": [{}],
    "logprobs": [False],
    "top_logprobs": [0],
    "tools": [[]],
    "functions": [[]],
    "tool_choice": ["none", "auto"],
    "function_call": ["none", "auto"],
    "parallel_tool_calls": [True, False],
    "response_format": [{"type": "text"}],
    "modalities": [["text"]],
    "reasoning_effort": ["none"],
    "verbosity": ["medium"],
    "store": [False],
    "user": ["till 3"],
    "safety_identifier": ["till 3"],
    "metadata": [{"a": "b"}],
    "service_tier": ["auto", "flex"],
    "prompt_cache_key": ["shop"],
    "prompt_cache_retention": ["24h"],
    "prompt_cache_options": [{"mode": "implicit"}],
    "seed": [0, -1, 2**63 - 1],
    "temperature": [0, 2, 0.5],
    "top_p": [0, 1],
    "top_k": [0, 40],
    "min_p": [0.05],
    "repeat_penalty": [1, 1.3],
    "max_tokens": [1, 10**18, 1e9],
    "max_completion_tokens": [5, 5.0],
    "stop": ["x", [], ["a", "b", "c", "d"], "好" * 100],
    "stream": [True, False],
}
REFUSED = {
    "n": [2, 0, True, "1"],
    "presence_penalty": [0.1, False],
    "frequency_penalty": [-2],
    "logit_bias": [{"50256": -100}],
    "logprobs": [True, 0],
    "top_logprobs": [5],
    "tools": [[FUNCTION], {}],
    "functions": [[{"name": "f"}]],
    "tool_choice": ["required", FUNCTION],
    "function_call": [{"name": "f"}],
    "response_format": [{"type": "json_object"}, {"type": "json_schema", "json_schema": {}}],
    "modalities": [["text", "audio"]],
    "audio": [{"voice": "alloy", "format": "wav"}],
    "prediction": [{"type": "content", "content": "x"}],
    "web_search_options": [{}],
    "moderation": [{"model": "m"}],
    "reasoning_effort": ["high"],
    "verbosity": ["low"],
    "store": [True],
    "best_of": [1],
    "temprature": [1],
    "temperature": [-0.1, 2.1, "1", True, math.nan, math.inf, 10**400],
    "top_p": [-1, 1.01, []],
    "top_k": [-1, 1.5, 2**40],
    "min_p": [1.1],
    "repeat_penalty": [0, 0.9, 3],
    "seed": [1.5, "1", True, 2**63, -(2**63) - 1],
    "max_tokens": [0, -1, 1.5, "10", False, 10**30, 1e30, math.nan, math.inf],
    "max_completion_tokens": [0],
    "stop": ["", [""], ["a"] * 5, 5, False, {}, [1], [None], "x" * 101, "\ud800", ["a", "\udfff"]],
    "stream": ["true", 1],
    "model": [5, [], {}],
    "messages": ["hello", [], {}, 0],
    "stream_options": [{"include_usage": True}, []],  # without a stream
}
PAIRS = [(name, value) for name, values in REFUSED.items() for value in values]


def refused(body):
    with pytest.raises(Problem) as problem:
        fields.read_request(body)
    assert problem.value.status == 400
    return problem.value


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in PASSES.items() for value in values])
def test_a_field_that_asks_for_nothing_special_passes(name, value):
    assert fields.read_request(ASKED | {name: value}).model == "webchat"


@pytest.mark.parametrize("name", sorted((set(PASSES) | set(REFUSED)) - {"model", "messages", "best_of", "temprature"}))
def test_null_asks_for_nothing(name):
    assert fields.read_request(ASKED | {name: None}) == fields.read_request(ASKED)


@pytest.mark.parametrize(("name", "value"), PAIRS, ids=[f"{name}-{number}" for number, (name, _) in enumerate(PAIRS)])
def test_a_field_that_cannot_be_had_is_refused_by_name(name, value):
    problem = refused(ASKED | {name: value})
    assert problem.param == name
    assert name in problem.detail


@pytest.mark.parametrize("name", ["model", "messages"])
def test_what_is_needed_is_asked_for(name):
    assert refused({key: value for key, value in ASKED.items() if key != name}).param == name


def test_the_kinds_of_refusal_have_names():
    assert refused(ASKED | {"best_of": 1}).code == "unknown_parameter"
    assert refused(ASKED | {"n": 2}).code == "unsupported_parameter"
    assert refused(ASKED | {"temperature": 9}).code == "invalid_value"


def test_a_refusal_tells_what_would_pass():
    assert refused(ASKED | {"response_format": {"type": "json_object"}}).detail.endswith('except as {"type": "text"}.')


def test_the_length_has_two_names_that_must_agree():
    assert fields.read_request(ASKED | {"max_tokens": 7, "max_completion_tokens": 7}).wish.max_new_tokens == 7
    assert refused(ASKED | {"max_tokens": 7, "max_completion_tokens": 8}).param == "max_tokens"


@pytest.mark.parametrize("name", ["max_tokens", "seed", "top_k"])
def test_a_whole_number_is_one_however_it_is_written(name):
    written, whole = (fields.read_request(ASKED | json.loads(f'{{"{name}": {value}}}')) for value in ("1e3", "1000"))
    assert written == whole
    value = written.wish.max_new_tokens if name == "max_tokens" else written.wish.sampling[name]
    assert isinstance(value, int)


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"continuous_usage_stats": True}, "stream_options.continuous_usage_stats"),
        ({"include_usage": "yes"}, "stream_options.include_usage"),
        ("usage", "stream_options"),
    ],
)
def test_options_of_a_stream_are_looked_at_too(options, param):
    assert refused(ASKED | {"stream": True, "stream_options": options}).param == param


def test_options_of_a_stream_are_taken():
    options = {"include_usage": True, "include_obfuscation": False}
    assert fields.read_request(ASKED | {"stream": True, "stream_options": options}).include_usage
    assert not fields.read_request(ASKED | {"stream": True, "stream_options": {}}).include_usage


@pytest.mark.parametrize(
    ("message", "where"),
    [
        ("hello", ""),
        (None, ""),
        ({}, ".role"),
        ({"role": "robot", "content": "x"}, ".role"),
        ({"role": ["user"], "content": "x"}, ".role"),
        ({"role": "tool", "content": "x", "tool_call_id": "1"}, ".tool_call_id"),
        ({"role": "tool", "content": "x"}, ".role"),
        ({"role": "function", "content": "x"}, ".role"),
        ({"role": "user", "content": "x", "name": "alice"}, ".name"),
        ({"role": "assistant", "content": None, "tool_calls": [FUNCTION]}, ".tool_calls"),
        ({"role": "user"}, ".content"),
        ({"role": "user", "content": None}, ".content"),
        ({"role": "user", "content": 5}, ".content"),
        ({"role": "user", "content": {"type": "text", "text": "x"}}, ".content"),
        ({"role": "user", "content": "half \ud83d"}, ".content"),
        ({"role": "user", "content": ["x"]}, ".content[0]"),
        ({"role": "user", "content": [{"text": "x"}]}, ".content[0]"),
        ({"role": "user", "content": [{"type": "text"}]}, ".content[0].text"),
        ({"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "image_url"}]}, ".content[1].type"),
        ({"role": "user", "content": [{"type": "input_audio"}]}, ".content[0].type"),
    ],
)
def test_a_message_that_cannot_be_shown_to_the_model_is_named(message, where):
    messages = [ASKED["messages"][0], message, ASKED["messages"][0]]
    assert refused(ASKED | {"messages": messages}).param == f"messages[1]{where}"


@pytest.mark.parametrize("role", ["assistant", "system", "developer"])
def test_the_last_message_must_be_a_question(role):
    assert refused(ASKED | {"messages": [*ASKED["messages"], {"role": role, "content": "x"}]}).param == "messages"


def test_an_answer_of_ours_can_be_sent_back():
    answer = {
        "role": "assistant",
        "content": "x",
        "refusal": None,
        "annotations": [],
        "audio": None,
        "tool_calls": None,
    }
    wish = fields.read_request(ASKED | {"messages": [ASKED["messages"][0], answer, ASKED["messages"][0]]}).wish
    assert [message.role for message in wish.messages] == ["user", "assistant", "user"]


def test_the_page_for_integrators_lists_every_field():
    text = (CHECKOUT / "docs" / "api-v1.md").read_text()
    named = set(re.findall(r"`([a-z_]+)`", text))
    known = fields._SUPPORTED | fields._WITHOUT_EFFECT | set(fields._PASSES_AT)
    assert known <= named, known - named
    for name, values in fields._PASSES_AT.items():
        row = next(line for line in text.splitlines() if line.startswith(f"| `{name}` |"))
        assert all(f"`{json.dumps(value)}`" in row for value in values), row
