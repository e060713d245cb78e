"""Conversations as files that people keep: JSON for programs, Markdown for reading. Every answer keeps its label."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

from flask_babel import gettext as _

from webchat.web.fragments import source_label
from webchat.web.i18n import local_time
from webchat.web.services import services

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from webchat.storage.tables import Conversation, Message

Format = Literal["json", "md"]
Said = tuple["Conversation", "Sequence[Message]"]
MIME_TYPES: dict[Format, str] = {"json": "application/json", "md": "text/markdown; charset=utf-8"}


def as_json(conversations: Iterable[Said]) -> str:
    """Conversations as an object with a list of them, times in UTC."""
    return json.dumps({"conversations": [_object(*said) for said in conversations]}, ensure_ascii=False, indent=2)


def as_markdown(conversations: Iterable[Said]) -> str:
    """Conversations one below the other, times in the shop's zone."""
    return "\n\n".join(_text(*said) for said in conversations) + "\n"


def signed(message: Message) -> str:
    """Where an answer comes from, as a copy of it says: its label and the shop."""
    label = source_label(message.source)
    shop = services().settings.shop_name
    return f"{label} · {shop}" if label else shop


def _object(conversation: Conversation, messages: Sequence[Message]) -> dict[str, Any]:
    return {
        "id": conversation.public_id,
        "title": conversation.title,
        "created_at": conversation.created_at.isoformat(timespec="seconds"),
        "messages": [
            {
                "role": message.role,
                "text": message.text,
                "source": message.source,
                "label": source_label(message.source),
                "model": message.model if message.source == "model" else None,
                "status": message.status,
                "created_at": message.created_at.isoformat(timespec="seconds"),
            }
            for message in messages
        ],
    }


def _text(conversation: Conversation, messages: Sequence[Message]) -> str:
    blocks = [f"# {_plain(conversation.title)}", local_time(conversation.created_at).strftime("%Y-%m-%d %H:%M")]
    for message in messages:
        who = _("You") if message.role == "visitor" else signed(message)
        blocks.append(f"**{who}** · {local_time(message.created_at).strftime('%H:%M')}")
        blocks.append(_quoted(message.text) if message.role == "visitor" else message.text)
    return "\n\n".join(blocks)


def _plain(title: str) -> str:
    return " ".join(title.split()) or _("Conversation")


def _quoted(text: str) -> str:
    """What a visitor typed, as a quotation: none of its signs becomes a heading of the file."""
    return "\n".join(f"> {line}" for line in text.splitlines())
