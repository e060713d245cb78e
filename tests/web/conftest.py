"""The cast: Alice and Bob visit the site; sites with settings of their own; and gunicorn itself."""

from __future__ import annotations

import shutil
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING

import pytest
from support.held_model import HeldModel
from support.live_page import LivePage
from support.server import SLOW, Server
from support.visitor import Visitor

import webchat.engine
from webchat import close_app, create_app
from webchat.config import load_settings
from webchat.storage import faq
from webchat.storage.database import Database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from flask import Flask

ENTRIES = {
    "怎么退货？": "七天内可以**退货**。",
    "How do I return something?": "Within seven days you may **return** it.",
    "说一万个字": "好😀" * 5000,
    "说一百万个字": "a " * 500_000,
}
NO_LIMITS = {"rate_visitor": "100000 per minute", "rate_address": "100000 per minute"}


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory, migrated_file: Path, endless_model: Path) -> Iterator[Flask]:
    """One application for all tests that change none of its settings; each brings visitors of its own."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copy(migrated_file, folder / "webchat.db")
    with _beside_others():
        app = create_app(
            load_settings(
                data_dir=folder,
                model=str(endless_model),
                threads=1,
                max_new_tokens=24,
                allowed_origins="https://shop.example",
                **NO_LIMITS,
            )
        )
    parts = app.extensions["webchat"]
    _add_entries(parts.database)
    parts.engine.wait_until_ready(60)
    yield app
    with _beside_others():
        webchat.engine._engine = parts.engine
        close_app(app)


@contextmanager
def _beside_others() -> Iterator[None]:
    """A process runs one model; here the shared site's lives on beside those of applications that come and go."""
    others, webchat.engine._engine = webchat.engine._engine, None
    yield
    webchat.engine._engine = others


@pytest.fixture
def alice(site: Flask) -> Visitor:
    return Visitor.of(site)


@pytest.fixture
def bob(site: Flask) -> Visitor:
    return Visitor.of(site)


@pytest.fixture
def data_dir(tmp_path: Path, migrated_file: Path) -> Path:
    """A data directory with a migrated database."""
    shutil.copy(migrated_file, tmp_path / "webchat.db")
    return tmp_path


@pytest.fixture
def new_app(data_dir: Path, endless_model: Path) -> Iterator[Callable[..., Flask]]:
    """Makes applications with settings, or an engine, of their own: one at a time, a second one ends the first."""
    made: list[Flask] = []

    def make(engine=None, **settings) -> Flask:
        while made:
            close_app(made.pop())
        usual = {"data_dir": data_dir, "model": str(endless_model), "threads": 1, "max_new_tokens": 24}
        app = create_app(load_settings(**usual | settings), engine)
        made.append(app)
        return app

    yield make
    while made:
        close_app(made.pop())


@pytest.fixture
def held(endless_model: Path, new_app: Callable[..., Flask]) -> Iterator[HeldModel]:
    """A model for ``new_app`` that a test can hold in the middle of an answer."""
    model = HeldModel(endless_model)
    yield model
    model.let_go()  # before the application is closed, which waits for its engine


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, migrated_file: Path, endless_model: Path) -> Iterator[Server]:
    """gunicorn with the site."""
    folder = _folder_with_entries(tmp_path_factory, migrated_file)
    with closing(Server(folder, endless_model, max_new_tokens=40, **NO_LIMITS)) as running:
        yield running.start().ready()


@pytest.fixture(scope="session")
def slow(tmp_path_factory: pytest.TempPathFactory, migrated_file: Path, endless_model: Path) -> Iterator[Server]:
    """gunicorn with a site whose model takes a minute for an answer: there is time to do something in its middle."""
    folder = _folder_with_entries(tmp_path_factory, migrated_file)
    with closing(Server(folder, endless_model, **SLOW, **NO_LIMITS)) as running:
        yield running.start().ready()


@pytest.fixture
def open_page() -> Iterator[Callable[..., LivePage]]:
    """Opens live pages, and leaves them after the test."""
    with ExitStack() as pages:
        yield lambda *where: pages.enter_context(closing(LivePage(*where)))


def _folder_with_entries(tmp_path_factory: pytest.TempPathFactory, migrated_file: Path) -> Path:
    folder = tmp_path_factory.mktemp("data")
    shutil.copy(migrated_file, folder / "webchat.db")
    with closing(Database(f"sqlite:///{folder}/webchat.db")) as database:
        _add_entries(database)
    return folder


def _add_entries(database: Database) -> None:
    with database.write() as rows:
        for question, answer in ENTRIES.items():
            faq.create(rows, phrasings=[question], answer=answer)


@pytest.fixture
def new_server(data_dir: Path, tiny_model: Path) -> Iterator[Callable[..., Server]]:
    """Makes servers with settings of their own, not started yet."""
    made: list[Server] = []

    def make(**options) -> Server:
        made.append(Server(**{"data_dir": data_dir, "model": tiny_model} | options))
        return made[-1]

    yield make
    for server in made:
        server.close()
