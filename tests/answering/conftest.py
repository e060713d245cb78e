"""A database of its own for each test, and a model whose answers are scripted and can be held."""

from __future__ import annotations

import shutil
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from support.backends import DEADLINE, ByteBackend

from webchat.answering.faq.index import FaqIndex
from webchat.answering.pipeline import Answerer
from webchat.answering.run import ModelSettings
from webchat.engine.worker import LocalEngine
from webchat.storage import conversations
from webchat.storage.database import Database

if TYPE_CHECKING:
    from collections.abc import Iterator

    from webchat.storage.tables import Conversation

# How long an example takes depends on what else the machine does.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")

ANSWER = "您好，这是模型的回答。"
SETTINGS = ModelSettings("测试商店", max_new_tokens=200, context_tokens=2000)


@pytest.fixture
def database(migrated_file, tmp_path) -> Iterator[Database]:
    """An SQLite database without rows."""
    shutil.copy(migrated_file, tmp_path / "webchat.db")
    with closing(Database(f"sqlite:///{tmp_path / 'webchat.db'}", patience=5)) as database:
        yield database


@pytest.fixture
def backend() -> ByteBackend:
    """A model that always says the same."""
    return ByteBackend(lambda _prompt: ANSWER.encode(), cells=8192)


@pytest.fixture
def engine(backend) -> Iterator[LocalEngine]:
    """An engine for one answer at a time and one in the queue."""
    engine = LocalEngine("byte-model", lambda: backend, max_running=1, max_waiting=1)
    engine.start()
    engine.wait_until_ready(DEADLINE)
    yield engine
    backend.gate.open()
    engine.close()


@pytest.fixture
def answerer(database, engine, backend) -> Iterator[Answerer]:
    """An answerer; all of its runs have ended when the test has."""
    answerer = Answerer(database, engine, SETTINGS, FaqIndex(database))
    yield answerer
    backend.gate.open()
    engine.close()
    answerer.close(DEADLINE)
    assert not answerer._threads


@pytest.fixture
def conversation(database) -> Conversation:
    """A conversation that the visitor Alice has opened on the page."""
    with database.write() as session:
        return conversations.open_conversation(
            session, visitor_id="alice", channel="page", language="zh", title="你好", client_id="c0"
        )
