"""What every test may use: settings of its own, a tiny real model, the application, a visitor's browser."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.tiny_model import write_tiny_model

from webchat import close_app, create_app
from webchat.config import Settings, load_settings
from webchat.storage import schema
from webchat.storage.database import Database

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask import Flask
    from flask.testing import FlaskClient


# Fixtures that start the product as processes of its own: gunicorn, or the command line; and llama.cpp's server, which
# only `make test` installs. That takes seconds, so tests which use one are not in the fast lane.
PROCESSES = {"server", "slow", "new_server", "machine", "start", "start_python", "peer"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks every test that starts the product as ``process``."""
    for item in items:
        if isinstance(item, pytest.Function) and PROCESSES.intersection(item.fixturenames):
            item.add_marker(pytest.mark.process)


@pytest.fixture(autouse=True, scope="session")
def _own_environment() -> Iterator[None]:
    """No setting of the shell, and no ``.env`` of the checkout, reaches a test; and Ctrl-C reaches what tests start.

    A shell starts what runs in its background deaf to Ctrl-C, ``nohup`` to the end of its terminal, and so would be
    every process that is started from there.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    kept = {
        name: os.environ.pop(name)
        for name in list(os.environ)
        if name.startswith("WEBCHAT_") and not name.startswith("WEBCHAT_TEST_")
    }
    env_file, Settings.model_config["env_file"] = Settings.model_config["env_file"], None
    yield
    Settings.model_config["env_file"] = env_file
    os.environ.update(kept)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GGUF file that decodes in a fraction of a millisecond."""
    return write_tiny_model(tmp_path_factory.mktemp("weights") / "tiny.gguf")


@pytest.fixture(scope="session")
def endless_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model whose answers end at their limit only: none is empty by chance, and any is as long as it must be."""
    return write_tiny_model(tmp_path_factory.mktemp("weights") / "endless.gguf", endless=True)


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty SQLite database with all tables, to be copied: migrating anew for each test costs more than the test."""
    path = tmp_path_factory.mktemp("database") / "webchat.db"
    database = Database(f"sqlite:///{path}")
    schema.upgrade(database, path.parent)
    database.close()
    return path


@pytest.fixture
def settings(tmp_path: Path, tiny_model: Path, migrated_file: Path) -> Settings:
    """Settings with a data directory and a migrated database of their own."""
    shutil.copy(migrated_file, tmp_path / "webchat.db")
    return load_settings(data_dir=tmp_path, model=str(tiny_model), threads=1)


@pytest.fixture
def app(settings: Settings) -> Iterator[Flask]:
    """The application with the tiny model, loaded."""
    application = create_app(settings)
    application.extensions["webchat"].engine.wait_until_ready(30)
    yield application
    close_app(application)


@pytest.fixture
def database(app: Flask) -> Database:
    """The application's database."""
    found: Database = app.extensions["webchat"].database
    return found


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A visitor's browser without JavaScript."""
    return app.test_client()


@pytest.fixture(scope="session")
def real_model() -> Path:
    """The weights that are served; ``make test`` fetches them and says where they are."""
    path = os.environ.get("WEBCHAT_TEST_MODEL")
    if not path:
        pytest.fail("WEBCHAT_TEST_MODEL names no weights: run `make test`, or deselect with -m 'not model'")
    return Path(path)


@pytest.fixture(scope="session")
def real_encoders() -> Settings:
    """Settings of the data folder that holds our two encoders; ``make test`` fetches them and says where they are."""
    first, *_ = os.environ.get("WEBCHAT_TEST_ENCODERS", "").splitlines() or [""]
    if not first:
        pytest.skip("WEBCHAT_TEST_ENCODERS names no encoders: `webchat model path --encoders` says where they are")
    return load_settings(data_dir=Path(first).parents[2])
