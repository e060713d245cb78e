"""The one error table: what was raised → a status and a sentence, as page, fragment or JSON.

Programs get problem JSON, those of ``/v1`` OpenAI's error object. Never a traceback, never the text of an exception
that was not written for people.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import structlog
from flask import Response, g, jsonify, render_template, request
from flask_babel import gettext as _
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import (
    ClientDisconnected,
    HTTPException,
    MethodNotAllowed,
    RequestEntityTooLarge,
    RequestTimeout,
)

from webchat.answering.completions import ModelUnavailable, ShareTaken, TooLong
from webchat.answering.pipeline import Busy, NotTheLast, StillAnswering
from webchat.storage.database import Conflict, StorageUnavailable
from webchat.web.fragments import failure_sentence, notice
from webchat.web.limits import seconds_to_wait
from webchat.web.often_asked import often_asked
from webchat.web.problems import Problem
from webchat.web.services import services

if TYPE_CHECKING:
    from flask import Flask

log = structlog.get_logger(__name__)

# Paths where programs call: they get problem JSON (RFC 9457) whatever they say they accept.
_API_PREFIXES = ("/api/", "/chat", "/healthz", "/readyz", "/metrics")
_OPENAI_PREFIX = "/v1/"  # here they get what OpenAI's clients read, in English whatever they say they speak
_OPENAI_CODES: dict[int, str] = {
    HTTPStatus.UNAUTHORIZED: "invalid_api_key",
    HTTPStatus.TOO_MANY_REQUESTS: "rate_limit_exceeded",
    HTTPStatus.SERVICE_UNAVAILABLE: "service_unavailable",
}


def register_errors(app: Flask) -> None:
    """Route every exception through the table."""
    app.register_error_handler(Exception, respond)


def mark(response: Response, problem: Problem) -> Response:
    """Give a response the status and headers of a problem."""
    response.status_code = problem.status
    response.headers["Cache-Control"] = "no-store"
    if problem.retry_after is not None:
        response.headers["Retry-After"] = str(problem.retry_after)
    if problem.code:
        response.headers["Problem-Code"] = problem.code  # what the page's script goes by
    if problem.status == HTTPStatus.UNAUTHORIZED and _for_openai_clients():
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def problem_of(error: Exception) -> Problem:
    """What an exception means for the person whose request it ended."""
    match error:
        case Problem():
            problem = error
        case Busy() | StillAnswering() | NotTheLast() | ModelUnavailable() | ShareTaken() | TooLong():
            problem = _no_answer(error)
        case StorageUnavailable():
            sentence = _("We cannot save anything right now, so nothing was sent. Please try again later.")
            problem = Problem(503, sentence, retry_after=10)
        case Conflict():
            problem = Problem(409, _("Someone changed this at the same moment. Reload the page and try again."))
        case CSRFError():
            problem = Problem(400, _("This page is too old to send from. Reload it and send again."))
        case HTTPException(code=429):
            problem = Problem(429, _sentence(429), retry_after=seconds_to_wait())
        case HTTPException(code=int(code)):
            problem = Problem(code, _sentence(code))
        case _:
            problem = Problem(500, _("Something went wrong on our side. It has been written down; please try again."))
    return problem


def _no_answer(error: Busy | StillAnswering | NotTheLast | ModelUnavailable | ShareTaken | TooLong) -> Problem:
    match error:
        case Busy():
            sentence = _("Many people are asking right now. Please try again in a moment.")
            return Problem(
                503,
                sentence,
                retry_after=error.retry_after,
                code="busy",
                suggested=[each.question for each in error.near] or _often_asked(),
            )
        case StillAnswering():
            sentence = _("The last answer is still being written. Wait for it or stop it, then send again.")
            return Problem(409, sentence, code="still_answering")
        case NotTheLast():
            return Problem(409, _("Something was said after this, so it stays as it is. Ask below instead."))
        case ModelUnavailable():
            return Problem(503, failure_sentence("no_model"), retry_after=5)
        case ShareTaken():  # happens to programs only, in English
            sentence = "The part of the waiting queue that programs may fill is full. Please try again in a moment."
            return Problem(429, sentence, retry_after=error.retry_after)
        case TooLong():
            return too_long(error.max_new_tokens, error.limit)


def _often_asked() -> list[str]:
    try:
        with services().database.read() as rows:
            return often_asked(rows)
    except StorageUnavailable:
        return []  # an error is told with what there is


def too_long(max_tokens: int | None = None, limit: int | None = None) -> Problem:
    """A conversation and its answer beyond the context; happens to programs only, in English.

    Args:
        max_tokens: how long the answer may become; None for as long as was asked for.
        limit: what messages and answer share, in tokens; None where only the model's server knows it.
    """
    if max_tokens and limit and max_tokens >= limit:  # sending less would not help
        sentence = f"max_tokens is too large: {max_tokens}. The messages and the answer share {limit} tokens."
        return Problem(400, sentence, param="max_tokens", code="invalid_value")
    answer = f"an answer of {max_tokens} tokens" if max_tokens else "an answer of max_tokens"
    context = f"context of {limit} tokens" if limit else "context"
    sentence = f"The messages and {answer} do not fit the model's {context} together. Make either of them shorter."
    return Problem(400, sentence, param="messages", code="context_length_exceeded")


def respond(error: Exception) -> Response:
    """Answer a request that an exception has ended."""
    problem = problem_of(error)
    if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        unforeseen = problem.status == HTTPStatus.INTERNAL_SERVER_ERROR
        log.error("request failed", status=problem.status, problem=repr(error), exc_info=unforeseen)
    response = mark(_body(problem), problem)
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        response.allow.update(error.valid_methods)
    return response


def openai_error(problem: Problem) -> dict[str, Any]:
    """The error object that OpenAI's clients read, in a body or in the middle of a stream."""
    kind = "server_error" if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR else "invalid_request_error"
    code = problem.code or _OPENAI_CODES.get(problem.status)
    return {"error": {"message": problem.detail, "type": kind, "param": problem.param, "code": code}}


def _sentence(status: int) -> str:
    sentences = {
        400: _("The request cannot be read."),
        401: _("Please sign in first."),
        403: _("This is not allowed from here."),
        404: _("There is nothing at this address."),
        405: _("This address does not take such a request."),
        408: _("The request did not arrive in time. Please send it again."),
        413: _("The message is too long."),
        415: _("Send JSON with the header Content-Type: application/json."),
        429: _("That was a lot of questions in a short time. Please wait a little."),
    }
    return sentences.get(status, HTTPStatus(status).phrase if status in list(HTTPStatus) else _("The request failed."))


def _for_openai_clients() -> bool:
    return request.path.startswith(_OPENAI_PREFIX)


def _body(problem: Problem) -> Response:
    if _for_openai_clients():
        return jsonify(openai_error(problem))
    if request.path.startswith(_API_PREFIXES):
        return _problem_json(problem)
    if request.headers.get("HX-Request"):
        public_id = (request.view_args or {}).get("public_id", "new")
        return Response(notice(problem.detail, problem.suggested, public_id), mimetype="text/html")
    if request.accept_mimetypes.best_match(["text/html", "application/json"]) == "application/json":
        return _problem_json(problem)
    return Response(
        render_template(
            "error.html",
            status=problem.status,
            title=_title(problem),
            detail=problem.detail,
            request_id=g.get("request_id"),
            in_admin=request.path.startswith("/admin/"),
            draft=None if problem.status == HTTPStatus.FORBIDDEN else _draft(),  # another site's words stay there
        ),
        mimetype="text/html",
    )


def _draft() -> dict[str, str] | None:
    """The question of a refused form: without JavaScript the page it was typed on is gone."""
    if request.endpoint != "chat.post_message":
        return None
    try:
        return {name: request.form.get(name, "") for name in ("text", "client_id")}
    except (RequestEntityTooLarge, RequestTimeout, ClientDisconnected):
        return None


def _title(problem: Problem) -> str:
    titles = {
        404: _("Not found"),
        403: _("Not allowed"),
        429: _("Too many requests"),
        413: _("Too long"),
        503: _("Try again later"),
    }
    return titles.get(problem.status, _("That did not work"))


def _problem_json(problem: Problem) -> Response:
    response = jsonify(
        type="about:blank",
        title=HTTPStatus(problem.status).phrase,
        status=problem.status,
        detail=problem.detail,
        request_id=g.get("request_id"),
    )
    response.mimetype = "application/problem+json"
    return response
