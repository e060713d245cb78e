"""``POST /chat``: ask with JSON, read the answer as server-sent events.

The contract is a published tutorial's loop: it splits the bytes on blank lines, cuts ``data:`` off and
parses JSON, chunk by chunk. So every event is one line, small enough to arrive whole, and nothing
else is ever written: no comments, no ids, no event names.
"""

from __future__ import annotations

import json
import time
import uuid
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, stream_with_context
from flask_limiter.util import get_remote_address

from webchat.answering.events import Delta, Failed, Finished, Queued, Suggested
from webchat.answering.normalise import has_han
from webchat.answering.pipeline import Asker, Opening
from webchat.web.fragments import failure_sentence
from webchat.web.limits import question_limits
from webchat.web.questions import clean_question, json_body, session_id
from webchat.web.security import csrf
from webchat.web.services import services
from webchat.web.visitors import open_to_holder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from webchat.answering.events import Event
    from webchat.answering.pipeline import Turn

bp = Blueprint("sse", __name__)

_EVENT_BYTES = 1000
# JSON writes a character in at most 6 bytes (an escaped control character); the frame around the text takes 40.
_PIECE = (_EVENT_BYTES - 40) // 6
# Seconds between the pieces of a long text. Written at once they would pile up on the way, be cut anew where packets
# or buffers end, and the tutorial's loop would stumble over half an event.
_PACE = 0.01


@bp.post("/chat")
@csrf.exempt
@question_limits
def chat() -> Response:
    """Answer ``{"message": …, "session_id": …}`` as a stream of events."""
    body = json_body()
    text = clean_question(body.get("message"))
    continued = session_id(body)
    where = open_to_holder(continued) if continued else Opening(None, "api", "zh" if has_han(text) else "en")
    turn = services().answerer.answer(where, text, uuid.uuid4().hex, Asker(None, get_remote_address()))
    events = services().answerer.follow(turn.conversation, turn.answer.id) if turn.answer else _left_to_person()
    response = Response(stream_with_context(_lines(turn, events)), mimetype="text/event-stream")
    response.headers["X-Accel-Buffering"] = "no"  # proxies would collect the words
    return response


def _left_to_person() -> Iterator[Event]:
    """An operator has taken the conversation: their words come when they do, among its messages."""
    yield Finished("human", "stop")


def _lines(turn: Turn, events: Iterator[Event]) -> Iterator[str]:
    suggestions: list[str] = []
    for event in events:
        if isinstance(event, Delta):
            for piece in _pieces(event.text):
                yield _line({"token": piece, "done": False})
        elif isinstance(event, Queued):  # the tutorial has no word for it, but sees that we are there
            yield _line({"token": "", "done": False})
        elif isinstance(event, Suggested):
            suggestions = [entry.question for entry in event.entries]
        elif isinstance(event, Finished | Failed):
            yield _last(
                {"token": "", "done": True, "session_id": turn.conversation.public_id, **_end(turn, event)}, suggestions
            )


def _end(turn: Turn, event: Finished | Failed) -> dict[str, Any]:
    if isinstance(event, Finished):
        return {"source": event.source, "finish_reason": event.finish_reason}
    error = failure_sentence(event.failure)
    return {"source": turn.answer.source if turn.answer else "human", "finish_reason": "error", "error": error}


def _pieces(text: str) -> Iterator[str]:
    """Cut a text so that each event stays small, and give the cuts time to arrive; an empty text is a heartbeat."""
    yield text[:_PIECE]
    for start in range(_PIECE, len(text), _PIECE):
        time.sleep(_PACE)  # or the cuts would be joined again on their way
        yield text[start : start + _PIECE]


def _last(event: dict[str, Any], suggestions: list[str]) -> str:
    """The last event, with as many suggestions as an event has room for."""
    line = _line(event | {"suggestions": suggestions})
    return line if len(line.encode()) <= _EVENT_BYTES else _last(event, suggestions[:-1])


def _line(event: dict[str, Any]) -> str:
    return f"data: {json.dumps(event, ensure_ascii=False)}\n\n"
