"""A program that talks to ``/v1``: OpenAI's own client with a key, at a server or at an application in this process."""

from __future__ import annotations

import secrets
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import httpx2
from openai import OpenAI

from webchat.storage import api_keys
from webchat.storage.database import Database

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask import Flask
    from support.server import Server

DEADLINE = 60.0


def new_key(database: Database, **limits: int) -> str:
    """A key of its own."""
    with database.write() as rows:
        return api_keys.add(rows, secrets.token_hex(8), **limits)


@contextmanager
def program_of(app: Flask, **limits: int) -> Iterator[OpenAI]:
    """A program in front of an application in this process."""
    http = httpx2.Client(transport=httpx2.WSGITransport(app, raise_app_exceptions=False))
    key = new_key(app.extensions["webchat"].database, **limits)
    with OpenAI(api_key=key, base_url="http://localhost/v1", http_client=http, max_retries=0) as client:
        yield client


@contextmanager
def program_at(server: Server) -> Iterator[OpenAI]:
    """A program in front of a server, which learns of its key while it runs."""
    with closing(Database(f"sqlite:///{server.data_dir}/webchat.db")) as database:
        key = new_key(database)
    with OpenAI(api_key=key, base_url=f"{server.url}/v1", timeout=DEADLINE, max_retries=0) as client:
        yield client


def question(text: str, **options: Any) -> dict[str, Any]:
    """What ``chat.completions.create`` takes for a question to the whole of webchat.

    Greedy, unless told otherwise: among all tokens, the endless model's end has a small chance too.
    """
    return {"model": "webchat", "messages": [{"role": "user", "content": text}], "temperature": 0} | options


def text_of_stream(stream: Any) -> str:
    """What a stream of chunks says."""
    return "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
