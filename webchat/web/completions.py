"""``/v1``: what OpenAI's clients speak. Model ``webchat`` answers as the page does; the other is the model alone."""

from __future__ import annotations

import dataclasses
import json
import secrets
import socket
import time
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, jsonify, request

from webchat.answering.completions import ChatMessage
from webchat.answering.events import Delta, Failed
from webchat.web.api_keys import require_key
from webchat.web.completion_fields import read_request
from webchat.web.errors import openai_error, too_long
from webchat.web.fragments import failure_sentence
from webchat.web.limits import key_limit
from webchat.web.problems import Problem
from webchat.web.questions import clean_question, json_body
from webchat.web.security import csrf
from webchat.web.services import services

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from webchat.answering.completions import Completion, Wish
    from webchat.answering.events import Finished
    from webchat.web.completion_fields import CompletionRequest

bp = Blueprint("completions", __name__, url_prefix="/v1")
bp.before_request(require_key)
csrf.exempt(bp)  # no browser adds a key by itself, so nobody's browser can be made to send one

_WEBCHAT = "webchat"  # the whole pipeline, under the name of a model
_HEARTBEAT = b": \n\n"  # a comment, which clients skip
_DONE = b"data: [DONE]\n\n"


@bp.get("/models")
def list_models() -> Response:
    """The two models."""
    names = (_WEBCHAT, services().completions.model)
    now = int(time.time())
    return jsonify(
        object="list",
        data=[{"id": name, "object": "model", "created": now, "owned_by": "webchat"} for name in names],
    )


@bp.post("/chat/completions")
@key_limit
def complete() -> Response:
    """Go on with a conversation, as one answer or as a stream of chunks."""
    wanted = read_request(json_body())
    completion = _begin(wanted)
    head = {"id": f"chatcmpl-{secrets.token_hex(12)}", "created": int(time.time()), "model": wanted.model}
    if not wanted.stream:
        return jsonify(_whole(completion, head, _client_left()))
    chunks = _chunks(completion, head, _client_left(), include_usage=wanted.include_usage)
    response = Response(chunks, mimetype="text/event-stream")
    response.call_on_close(completion.cancel)  # also when not one chunk could be sent
    response.headers["X-Accel-Buffering"] = "no"  # proxies would collect the words
    return response


def _begin(wanted: CompletionRequest) -> Completion:
    completions = services().completions
    if wanted.model == _WEBCHAT:
        return completions.answer(_with_clean_question(wanted.wish))
    if wanted.model == completions.model:
        return completions.complete(wanted.wish)
    sentence = f"The model {wanted.model} does not exist; here are {_WEBCHAT} and {completions.model}."
    raise Problem(404, sentence, param="model", code="model_not_found")


def _with_clean_question(wish: Wish) -> Wish:
    """The question as the page would take it, within the page's limit."""
    *before, question = wish.messages
    cleaned = ChatMessage("user", clean_question(question.text))
    return dataclasses.replace(wish, messages=(*before, cleaned))


def _whole(completion: Completion, head: dict[str, Any], client_left: Callable[[], bool]) -> dict[str, Any]:
    text = []
    for event in completion.events:
        if client_left():
            completion.cancel()
        if isinstance(event, Delta):
            text.append(event.text)
        elif isinstance(event, Failed):
            raise _broken(event)
        else:
            end = event
    message = {"role": "assistant", "content": "".join(text), "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish_reason(end)}
    extra = {"usage": _usage(end), "source": completion.source}
    return head | {"object": "chat.completion", "choices": [choice]} | extra


def _chunks(
    completion: Completion, head: dict[str, Any], client_left: Callable[[], bool], *, include_usage: bool
) -> Iterator[bytes]:
    """The answer as server-sent events. Runs when the request's context is gone, which leaves its sentences English."""
    head = head | {"object": "chat.completion.chunk"} | ({"usage": None} if include_usage else {})
    yield _chunk(head, {"role": "assistant", "content": ""})
    # Around the text every chunk is the same; it is made once, not for each.
    before, after = _chunk(head, {"content": "\0"}).split(b'"\\u0000"')
    for event in completion.events:
        if client_left():
            completion.cancel()
        if isinstance(event, Delta):
            yield b"%b%b%b" % (before, _quoted(event.text), after) if event.text else _HEARTBEAT
        elif isinstance(event, Failed):
            yield _data(openai_error(_broken(event)))
            return
        else:
            yield _chunk(head | {"source": completion.source}, {}, _finish_reason(event))
            if include_usage:
                yield _data(head | {"choices": [], "usage": _usage(event)})
    yield _DONE


def _chunk(head: dict[str, Any], delta: dict[str, str], finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    return _data(head | {"choices": [choice]})


def _data(event: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(event)}\n\n".encode()


def _quoted(text: str) -> bytes:
    """A JSON string: legible where that is safe; escaped where it holds what some clients take for a line's end."""
    return json.dumps(text, ensure_ascii=not text.isprintable()).encode()


def _finish_reason(end: Finished) -> str:
    return "length" if end.finish_reason == "length" else "stop"


def _usage(end: Finished) -> dict[str, Any]:
    prompt, new = int(end.stats["prompt_tokens"]), int(end.stats["new_tokens"])
    return {
        "prompt_tokens": prompt,
        "completion_tokens": new,
        "total_tokens": prompt + new,
        "prompt_tokens_details": {"cached_tokens": int(end.stats.get("reused_tokens", 0))},
    }


def _broken(event: Failed) -> Problem:
    if event.failure == "too_long":  # as the model's server has found
        return too_long()
    return Problem(503, failure_sentence(event.failure), retry_after=1)


def _client_left() -> Callable[[], bool]:
    """A look at this request's connection: whether the client has hung up, for which nothing is read from it."""
    connection: socket.socket | None = request.environ.get("gunicorn.socket")

    def left() -> bool:
        try:
            return connection is not None and not connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except (BlockingIOError, ValueError):  # it is quiet, as it should be; or it is TLS, where nobody can peek
            return False
        except OSError:
            return True

    return left
