"""``/api/v1``: conversations for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import Blueprint, jsonify

from webchat.answering.choosing import offered
from webchat.storage import messages
from webchat.web.services import services
from webchat.web.visitors import open_to_holder

if TYPE_CHECKING:
    from flask import Response

    from webchat.storage.tables import Message

bp = Blueprint("api", __name__, url_prefix="/api/v1")


@bp.get("/conversations/<public_id>/messages")
def list_messages(public_id: str) -> Response:
    """What was said in a conversation, oldest first."""
    conversation = open_to_holder(public_id)
    with services().database.read() as rows:
        said = messages.everything(rows, conversation.id)
    return jsonify(messages=[_message(message) for message in said])


def _message(message: Message) -> dict[str, Any]:
    said: dict[str, Any] = {
        "id": message.id,
        "role": message.role,
        "text": message.text,
        "source": message.source,
        "status": message.status,
        "created_at": message.created_at.isoformat(timespec="milliseconds"),
    }
    if message.source != "faq" and (suggestions := offered(message)):
        said["suggestions"] = [suggestion.question for suggestion in suggestions]
    return said
