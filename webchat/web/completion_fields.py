"""The door for completion requests: what a program may ask for, and what it is told that it cannot have.

A field is supported, or it passes because at this value it changes nothing, or it is refused by name: a program
must never believe that it got what it asked for when it did not. ``docs/api-v1.md`` has the table.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from webchat.answering.completions import ChatMessage, Wish
from webchat.web.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from webchat.answering.completions import Role

_ROLES: dict[str, Role] = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
_TOOL_ROLES = ("tool", "function")

_LARGEST = 2**63 - 1

# What samplers take: smallest, largest, whole numbers only.
_SAMPLING = {
    "temperature": (0, 2, float),
    "top_p": (0, 1, float),
    "min_p": (0, 1, float),
    "repeat_penalty": (1, 2, float),
    "top_k": (0, 1_000_000, int),
    "seed": (-_LARGEST - 1, _LARGEST, int),
}
_SUPPORTED = {
    "model",
    "messages",
    "stream",
    "stream_options",
    "max_tokens",
    "max_completion_tokens",
    "stop",
    *_SAMPLING,
}
# Names and labels for whoever keeps the books: no value of theirs changes an answer.
_WITHOUT_EFFECT = {
    "metadata",
    "parallel_tool_calls",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "user",
}
# Standard fields, with the values at which they ask for nothing. So does null, for every field.
_PASSES_AT: dict[str, tuple[Any, ...]] = {
    "audio": (),
    "frequency_penalty": (0,),
    "function_call": ("none", "auto"),
    "functions": ([],),
    "logit_bias": ({},),
    "logprobs": (False,),
    "modalities": (["text"],),
    "moderation": (),
    "n": (1,),
    "prediction": (),
    "presence_penalty": (0,),
    "reasoning_effort": ("none",),
    "response_format": ({"type": "text"},),
    "store": (False,),
    "tool_choice": ("none", "auto"),
    "tools": ([],),
    "top_logprobs": (0,),
    "verbosity": ("medium",),
    "web_search_options": (),
}
# Parts of a message besides these two may only be empty, as they are when an answer of ours is sent back.
_OF_A_MESSAGE = {"role", "content"}
_MOST_STOPS = 4
_LONGEST_STOP = 100  # characters; the engine's thread looks for them behind every token


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """A request that can be served, if its model exists."""

    model: str
    wish: Wish
    stream: bool
    include_usage: bool


def read_request(body: Mapping[str, Any]) -> CompletionRequest:
    """Read the fields of a completion request.

    Raises:
        Problem: 400, naming the first field that is wrong or asks for what cannot be had.
    """
    given = {name: value for name, value in body.items() if value is not None}
    _refuse_what_we_lack(given)
    stream = _flag(given, "stream", "stream")
    wish = Wish(
        _messages(given.get("messages")),
        _most_tokens(given),
        _stops(given.get("stop")),
        {name: _number(given, name, *bounds) for name, bounds in _SAMPLING.items() if name in given},
    )
    return CompletionRequest(_model(given), wish, stream, _include_usage(given, stream=stream))


def _refuse_what_we_lack(given: Mapping[str, Any]) -> None:
    for name, value in given.items():
        if name in _SUPPORTED or name in _WITHOUT_EFFECT:
            continue
        if name not in _PASSES_AT:
            raise _refusal(name, f"Unrecognized request argument supplied: {name}", "unknown_parameter")
        if not _is_one_of(value, _PASSES_AT[name]):
            raise _refusal(name, f"{name} is not supported{_unless(_PASSES_AT[name])}.", "unsupported_parameter")


def _unless(values: Collection[Any]) -> str:
    return f" except as {' or '.join(json.dumps(value) for value in values)}" if values else ""


def _is_one_of(value: object, values: Collection[Any]) -> bool:
    """Whether a value is among those; true and 1 are the same to Python, and not to JSON."""
    return any(value == other and isinstance(value, bool) == isinstance(other, bool) for other in values)


def _model(given: Mapping[str, Any]) -> str:
    name = given.get("model")
    if not isinstance(name, str):
        raise _refusal("model", "model must name a model; GET /v1/models lists them.")
    return name


def _messages(value: object) -> tuple[ChatMessage, ...]:
    if not isinstance(value, list) or not value:
        raise _refusal("messages", "messages must be a list with at least one message.")
    messages = tuple(_message(message, f"messages[{number}]") for number, message in enumerate(value))
    if messages[-1].role != "user":
        raise _refusal("messages", "The last message must be the user's: there is nothing to answer otherwise.")
    return messages


def _message(value: object, where: str) -> ChatMessage:
    if not isinstance(value, dict):
        raise _refusal(where, f"{where} must be an object with role and content.")
    for name, part in value.items():
        if name not in _OF_A_MESSAGE and part not in (None, [], ""):
            raise _refusal(f"{where}.{name}", f"{where}.{name} is not supported.", "unsupported_parameter")
    role = value.get("role")
    if role in _TOOL_ROLES:
        raise _refusal(f"{where}.role", f"{where}: the role {role} is not supported.", "unsupported_value")
    if not isinstance(role, str) or role not in _ROLES:
        raise _refusal(f"{where}.role", f"{where}.role must be system, developer, user or assistant.")
    return ChatMessage(_ROLES[role], _text(value.get("content"), f"{where}.content"))


def _text(content: object, where: str) -> str:
    """The text of a message: a string, or a list of text parts."""
    if isinstance(content, list):
        content = "".join(_part(part, f"{where}[{number}]") for number, part in enumerate(content))
    if not isinstance(content, str):
        raise _refusal(where, f"{where} must be a string or a list of text parts.")
    _require_whole(content, where)
    return content


def _require_whole(text: str, where: str) -> None:
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise _refusal(where, f"{where} is not valid Unicode: it holds half a character.")


def _part(part: object, where: str) -> str:
    kind = part.get("type") if isinstance(part, dict) else None
    if not isinstance(part, dict) or not isinstance(kind, str):
        raise _refusal(where, f"{where} must be an object with a type.")
    if kind != "text":
        raise _refusal(f"{where}.type", f"{where}: parts of type {kind} are not supported.", "unsupported_value")
    if not isinstance(text := part.get("text"), str):
        raise _refusal(f"{where}.text", f"{where}.text must be a string.")
    return text


def _most_tokens(given: Mapping[str, Any]) -> int | None:
    """The length of the answer, which has two names."""
    named = [name for name in ("max_completion_tokens", "max_tokens") if name in given]
    lengths = {_number(given, name, 1, _LARGEST, int) for name in named}
    if len(lengths) > 1:
        raise _refusal("max_tokens", "max_tokens and max_completion_tokens are the same; send one of them.")
    return next(iter(lengths), None)


def _number(given: Mapping[str, Any], name: str, least: int, most: int, kind: type) -> Any:
    value = given[name]
    if kind is int and isinstance(value, float) and value.is_integer():
        value = int(value)  # JSON has one kind of number: 1e3 is as whole as 1000
    kinds = int if kind is int else int | float
    if not isinstance(value, kinds) or isinstance(value, bool) or not least <= value <= most:  # NaN is not, either
        what = "a whole number" if kind is int else "a number"
        raise _refusal(name, f"{name} must be {what} from {least} to {most}.")
    return value


def _stops(value: object) -> tuple[str, ...]:
    stops = [value] if isinstance(value, str) else [] if value is None else value
    if not isinstance(stops, list) or len(stops) > _MOST_STOPS:
        raise _refusal("stop", f"stop must be a string or a list of up to {_MOST_STOPS} strings.")
    if not all(isinstance(stop, str) and 0 < len(stop) <= _LONGEST_STOP for stop in stops):
        raise _refusal("stop", f"Each stop must be a string of 1 to {_LONGEST_STOP} characters.")
    _require_whole("".join(stops), "stop")
    return tuple(stops)


def _include_usage(given: Mapping[str, Any], *, stream: bool) -> bool:
    options = given.get("stream_options", {})
    if not isinstance(options, dict):
        raise _refusal("stream_options", "stream_options must be an object.")
    if "stream_options" in given and not stream:
        raise _refusal("stream_options", "stream_options is for requests with stream: true.")
    for name in options:
        if name not in ("include_usage", "include_obfuscation"):  # the second pads chunks against listeners
            raise _refusal(f"stream_options.{name}", f"stream_options.{name} is not supported.", "unknown_parameter")
    return _flag(options, "include_usage", "stream_options.include_usage")


def _flag(given: Mapping[str, Any], name: str, where: str) -> bool:
    value = given.get(name)
    if value is not None and not isinstance(value, bool):
        raise _refusal(where, f"{where} must be true or false.")
    return bool(value)


def _refusal(param: str, sentence: str, code: str = "invalid_value") -> Problem:
    return Problem(400, sentence, param=param, code=code)
