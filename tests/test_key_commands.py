"""``webchat key``: what is printed, what is refused, and what is written down."""

import os
import shutil

import pytest
from click.testing import CliRunner

from webchat.cli import main
from webchat.storage import api_keys, audit
from webchat.storage.database import Database


@pytest.fixture
def database(tmp_path, migrated_file):
    shutil.copy(migrated_file, tmp_path / "webchat.db")
    return Database(f"sqlite:///{tmp_path}/webchat.db")


@pytest.fixture
def key(database, tmp_path):
    """Runs a command of the group in this process."""

    def run(*arguments):
        environment = {"WEBCHAT_DATA_DIR": str(tmp_path), "WEBCHAT_DATABASE_URL": f"sqlite:///{tmp_path}/webchat.db"}
        return CliRunner().invoke(main, ["key", *arguments], env=environment)

    umask = os.umask(0o077)
    yield run
    os.umask(umask)


def test_a_new_key_is_alone_on_standard_output(key, database):
    added = key("add", "till")
    assert added.exit_code == 0
    made = added.stdout.removesuffix("\n")
    assert made not in added.stderr
    with database.read() as session:
        found = api_keys.in_force(session, made)
        (record,) = audit.recent(session, 9)
    assert (found.name, found.per_minute) == ("till", None)
    assert (record.operator_name, record.action, record.subject) == (audit.AT_THE_TERMINAL, "key.add", "till")
    assert made not in str(record.detail)


def test_keys_are_listed_with_their_limits_and_their_end(key):
    made = key("add", "till", "--per-minute", "30").stdout.strip()
    key("add", "shelf")
    key("revoke", "shelf")
    shelf, till = key("list").stdout.splitlines()
    assert till.startswith("till\t30 per minute\tmade 20")
    assert till.endswith("\tnever used\tin force")
    assert shelf.startswith("shelf\tno limit\t")
    assert "\trevoked 20" in shelf
    assert made not in till


def test_a_key_is_revoked_and_its_name_is_free_again(key, database):
    made = key("add", "till").stdout.strip()
    revoked = key("revoke", "till")
    assert (revoked.exit_code, revoked.stdout) == (0, "Revoked till.\n")
    with database.read() as session:
        assert api_keys.in_force(session, made) is None
        assert audit.recent(session, 1)[0].action == "key.revoke"
    assert key("add", "till").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["add", "till"], "There is a key till already; revoke it first."),
        (["add", ""], "A name must have 1 to 40 ordinary characters."),
        (["add", "a\nb"], "A name must have 1 to 40 ordinary characters."),
        (["add", "x" * 41], "A name must have 1 to 40 ordinary characters."),
        (["add", "shelf", "--per-minute", "0"], "0 is not in the range 1<=x<=1000000."),
        (["add", "shelf", "--per-minute", "often"], "'often' is not a valid integer range."),
        (["revoke", "nobody"], "There is no key nobody."),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(key, database, arguments, sentence):
    key("add", "till")
    refused = key(*arguments)
    assert refused.exit_code != 0
    assert refused.stdout == ""
    assert refused.stderr.rstrip().endswith(sentence)
    with database.read() as session:
        assert len(api_keys.everything(session)) == 1
