"""The cast: Lin and Wei are operators, each with a browser of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from admin_cast import PASSWORD, Browser
from jinja2 import FileSystemBytecodeCache
from pwdlib.hashers.argon2 import Argon2Hasher

from webchat import accounts
from webchat.storage import faq, operators

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask import Flask

    from webchat.storage.database import Database
    from webchat.storage.tables import Entry


@pytest.fixture(scope="session")
def compiled_templates(tmp_path_factory: pytest.TempPathFactory) -> FileSystemBytecodeCache:
    return FileSystemBytecodeCache(str(tmp_path_factory.mktemp("templates")))


@pytest.fixture
def app(app: Flask, compiled_templates: FileSystemBytecodeCache) -> Flask:
    """The application; compiling its templates anew for each test would take longer than the test."""
    app.jinja_env.bytecode_cache = compiled_templates
    return app


@pytest.fixture
def stranger(app: Flask) -> Browser:
    """A browser that nobody has used yet."""
    return _browser(app)


@pytest.fixture(scope="session", autouse=True)
def quick_passwords() -> Iterator[None]:
    """Argon2 in a tenth of a millisecond: what it costs is nobody's concern here, and every test signs in."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(accounts, "_hasher", Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1))
        yield


@pytest.fixture(scope="session")
def password_hash(quick_passwords: None) -> str:
    return accounts.hash_password(PASSWORD)


@pytest.fixture
def lin(app: Flask, database: Database, password_hash: str) -> Browser:
    return _signed_in(app, database, "lin", password_hash)


@pytest.fixture
def wei(app: Flask, database: Database, password_hash: str) -> Browser:
    return _signed_in(app, database, "wei", password_hash)


@pytest.fixture
def entry(database: Database) -> Entry:
    """A published entry."""
    phrasings = ["怎么退货？", "退货流程"]
    with database.write() as session:
        return faq.create(session, phrasings=phrasings, answer="七天内可以**退货**。", group_name="退换货")


def _browser(app: Flask) -> Browser:
    client = app.test_client()
    client.environ_base["HTTP_ACCEPT_LANGUAGE"] = "en"
    return Browser(client)


def _signed_in(app: Flask, database: Database, name: str, password_hash: str) -> Browser:
    with database.write() as session:
        operators.add(session, name, password_hash)
    browser = _browser(app)
    assert browser.sign_in(name).status_code == 303
    return browser
