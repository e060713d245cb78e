"""The command line: what it says, where it says it, and what it refuses before anything is announced."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tomllib
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from click import Group
from click.testing import CliRunner
from support.commands import commands

from webchat.cli import main
from webchat.config import CHECKOUT, ONE_WORKER
from webchat.storage import operators
from webchat.storage import settings as kept
from webchat.storage.database import Database

DEADLINE = 60.0  # seconds; reached only when something is broken


@pytest.fixture
def environment(tmp_path, migrated_file):
    """An installation that is ready to serve, except that it has no model."""
    shutil.copy(migrated_file, tmp_path / "webchat.db")
    return {
        "WEBCHAT_DATA_DIR": str(tmp_path),
        "WEBCHAT_ENCODER": "none",
        # Also in front of what a developer's own .env says.
        "WEBCHAT_DATABASE_URL": f"sqlite:///{tmp_path}/webchat.db",
        "WEBCHAT_MODEL": str(tmp_path / "missing.gguf"),
        "HOST": "127.0.0.1",
    }


@pytest.fixture
def webchat(environment):
    """Runs a command in this process."""

    def run(*arguments, typed="", **more):
        return CliRunner().invoke(main, arguments, input=typed, env=environment | more)

    umask = os.umask(0o077)  # as the commands set it; that of the tests comes back
    yield run
    os.umask(umask)


@pytest.fixture
def start(environment):
    """Starts a command in a process of its own; at the end gunicorn, which it may have become, is stopped."""
    with commands({"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1"} | environment) as run:
        yield run


def free_port(host="127.0.0.1", family=socket.AF_INET):
    with socket.create_server((host, 0), family=family) as found:
        return found.getsockname()[1]


@contextmanager
def taken_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def setup_token(environment):
    database = Database(environment["WEBCHAT_DATABASE_URL"])
    with database.read() as rows:
        return kept.get(rows, "admin_setup")


def refusal(result):
    """The sentence of a command that failed; it said nothing else."""
    assert result.exit_code == 1, result.output
    assert result.stdout == ""
    *_, last = result.stderr.split("Error: ")
    assert result.stderr.startswith(("Error: ", "Warning: "))
    assert "Traceback" not in result.stderr
    return last.strip()


# ---- serve: the port and the host ----------------------------------------------------------------


def test_serving_twice_the_second_says_that_the_port_is_taken_and_the_first_keeps_its_link(start, environment):
    port = str(free_port())
    first = start("serve", PORT=port)
    assert first.stdout.readline() == f"Chat:   http://127.0.0.1:{port}/\n"
    link = first.stdout.readline()
    assert link.startswith(f"Set up: http://127.0.0.1:{port}/admin/setup?token=")
    token = setup_token(environment)

    second = start("serve", PORT=port)
    output, errors = second.communicate(timeout=DEADLINE)
    assert (second.returncode, output) == (1, "")
    assert f"Error: Port {port} is taken: stop the other program or set PORT to another one.\n" in errors
    assert setup_token(environment) == token
    assert httpx2.get(link.split()[-1], timeout=DEADLINE).status_code == 200
    assert "gunicorn" in Path(f"/proc/{first.pid}/cmdline").read_text()

    first.terminate()
    _, errors = first.communicate(timeout=DEADLINE)
    assert errors.startswith("Warning: AI answers are off; FAQ answers work. WEBCHAT_MODEL names ")


def test_a_port_that_is_taken_costs_no_set_up_link(webchat, environment):
    with taken_port() as port:
        assert refusal(webchat("serve", PORT=str(port))).startswith(f"Port {port} is taken")
    assert setup_token(environment) is None


def test_an_ipv6_host_is_served(start):
    try:
        port = free_port("::1", socket.AF_INET6)
    except OSError:
        # Containers often have none, and there is no other way to get an address of that kind.
        pytest.skip("this machine has no IPv6")
    server = start("serve", HOST="::1", PORT=str(port))
    assert server.stdout.readline() == f"Chat:   http://[::1]:{port}/\n"
    assert httpx2.get(f"http://[::1]:{port}/healthz", timeout=DEADLINE).status_code == 200


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host", "a..b", "2001:db8::1", "x" * 300])
def test_a_host_that_is_not_of_this_machine_is_refused(webchat, environment, host):
    assert refusal(webchat("serve", HOST=host)).startswith("HOST: ")
    assert setup_token(environment) is None


# ---- serve: the start ----------------------------------------------------------------------------

LARGE = {"flask", "httpx2", "huggingface_hub", "limits", "llama_cpp", "numpy", "rich", "structlog"}


@pytest.mark.process
def test_serving_waits_for_no_library_that_only_others_need():
    """The settings and the command's own module, in a process where nothing else was imported before."""
    script = (
        "import sys, webchat.cli, webchat.commands.serve as s; s.load_settings(_env_file=None); print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=True,
    )
    imported = set(done.stdout.split())
    assert "webchat.commands.serve" in imported
    assert imported & (LARGE | {"webchat.bench", "webchat.app", "webchat.engine.fetching"}) == set()


# ---- serve: settings -----------------------------------------------------------------------------


@pytest.mark.parametrize("workers", ["2", "0", "many"])
def test_several_workers_are_refused(webchat, workers):
    assert refusal(webchat("serve", WEB_CONCURRENCY=workers)) == ONE_WORKER


def test_a_setting_that_cannot_be_used_is_refused_before_anything_is_announced(webchat, environment):
    sentence = refusal(webchat("serve", WEBCHAT_RATE_VISITOR="often", WEBCHAT_REDIS_URL="redis"))
    assert "WEBCHAT_RATE_VISITOR: 'often' is not a rate" in sentence
    assert "WEBCHAT_REDIS_URL: this is not the address of a Redis" in sentence
    assert setup_token(environment) is None


@pytest.mark.parametrize("command", ["model path", "db upgrade", "faq example", "operator list"])
def test_every_command_refuses_the_same_settings(webchat, command):
    assert "PORT: 'abc' is not a whole number from 1 to 65535" in refusal(webchat(*command.split(), PORT="abc"))


def test_a_misspelt_setting_is_pointed_out_and_does_not_stop_the_site(webchat):
    with taken_port() as port:  # so that the command ends
        errors = webchat(
            "serve", PORT=str(port), WEBCHAT_MAX_QUEU="9", WEBCHAT_XYZZY_PLUGH="1", WEBCHAT_TEST_MODEL="x"
        ).stderr
    assert errors.count("WEBCHAT_MAX_QUEU ") == 1
    assert "Warning: WEBCHAT_MAX_QUEU is not a setting; did you mean WEBCHAT_MAX_QUEUE?\n" in errors
    assert "Warning: WEBCHAT_XYZZY_PLUGH is not a setting; README.md lists them all.\n" in errors
    assert "WEBCHAT_TEST_MODEL" not in errors


def test_a_model_setting_that_cannot_be_read_is_refused(webchat, environment):
    assert "WEBCHAT_MODEL" in refusal(webchat("serve", WEBCHAT_MODEL="https://models.example/m.gguf"))
    assert setup_token(environment) is None


def test_a_database_without_tables_is_not_served(webchat, tmp_path):
    url = f"sqlite:///{tmp_path}/new.db"
    assert refusal(webchat("serve", WEBCHAT_DATABASE_URL=url)).endswith("type `webchat db upgrade`.")


# ---- what is missing on this machine -------------------------------------------------------------


@pytest.fixture
def not_installed(monkeypatch, tmp_path):
    """Makes a package one that cannot be imported."""

    def hide(package):
        folder = tmp_path / "hidden"
        folder.mkdir()
        (folder / f"{package}.py").write_text("raise ImportError")
        monkeypatch.syspath_prepend(folder)
        monkeypatch.delitem(sys.modules, package, raising=False)

    return hide


def test_a_redis_without_its_client_tells_how_to_get_it(webchat, not_installed):
    not_installed("redis")
    sentence = refusal(webchat("serve", WEBCHAT_REDIS_URL="redis://:hunter2@127.0.0.1:1"))
    assert "`.venv/bin/pip install -c constraints.txt -e '.[redis]'`" in sentence
    assert "hunter2" not in sentence


def test_a_postgresql_without_its_driver_tells_how_to_get_it(webchat, not_installed):
    not_installed("psycopg")
    sentence = refusal(webchat("db", "upgrade", WEBCHAT_DATABASE_URL="postgresql://shop:hunter2@db/webchat"))
    assert "`.venv/bin/pip install -c constraints.txt -e '.[postgres]'`" in sentence
    assert "hunter2" not in sentence


@pytest.mark.parametrize("command", ["db upgrade", "serve", "faq example"])
def test_a_data_directory_that_cannot_be_used_is_named(webchat, tmp_path, command):
    file = tmp_path / "file"
    file.touch()
    for folder, reason in ((file, "it is a file"), (file / "x", "Not a directory"), ("/proc/x", "No such file")):
        sentence = refusal(webchat(*command.split(), WEBCHAT_DATA_DIR=str(folder)))
        assert sentence.startswith(f"WEBCHAT_DATA_DIR: {folder} cannot be used as the data directory: {reason}")


def test_a_data_directory_is_not_needed_where_everything_has_another_place(webchat):
    sentence = refusal(
        webchat(
            "db",
            "upgrade",
            WEBCHAT_DATA_DIR="/proc/x",
            WEBCHAT_SECRET_KEY="k" * 40,
            WEBCHAT_DATABASE_URL="postgresql://shop@127.0.0.1:1/webchat",
        )
    )
    assert sentence == "The database server cannot be reached."


# ---- the other commands --------------------------------------------------------------------------


def test_a_new_installation_gets_its_tables_and_the_example(webchat, tmp_path):
    place = {"WEBCHAT_DATA_DIR": str(tmp_path / "new" / "data"), "WEBCHAT_DATABASE_URL": f"sqlite:///{tmp_path}/new.db"}
    assert webchat("db", "upgrade", **place).stdout == "The database was upgraded.\n"
    assert webchat("db", "upgrade", **place).stdout == "The database is up to date.\n"
    assert webchat("faq", "example", **place).stdout.startswith("Loaded ")
    assert "nothing was loaded" in webchat("faq", "example", **place).stdout


def test_an_operator_is_added_listed_and_gets_another_password(webchat, environment):
    added = webchat("operator", "add", "Alice", typed="correct horse\n")
    assert (added.exit_code, added.stdout) == (0, "Added Alice.\n")
    assert (
        refusal(webchat("operator", "add", "Alice", typed="correct horse\n")) == "There is an operator Alice already."
    )
    assert "Alice\tnever signed in\n" in webchat("operator", "list").stdout
    with Database(environment["WEBCHAT_DATABASE_URL"]).read() as rows:
        before = operators.by_name(rows, "Alice").password_hash
    changed = webchat("operator", "password", "Alice", typed="another horse\n")
    assert (changed.exit_code, changed.stdout) == (0, "Changed the password of Alice.\n")
    with Database(environment["WEBCHAT_DATABASE_URL"]).read() as rows:
        assert operators.by_name(rows, "Alice").password_hash != before
    assert "10 to 200 characters" in refusal(webchat("operator", "password", "Alice", typed="short\n"))


def test_that_there_is_no_such_operator_is_said_before_the_password_is_looked_at(webchat):
    assert refusal(webchat("operator", "password", "nobody", typed="short\n")) == "There is no operator nobody."


def test_the_version_is_that_of_the_project(webchat):
    version = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["version"]
    assert webchat("--version").stdout == f"webchat, version {version}\n"


@pytest.mark.parametrize(
    "group", [[], *([name] for name, command in main.commands.items() if isinstance(command, Group))]
)
def test_no_help_is_cut_short(webchat, group):
    shown = webchat(*group, "--help").stdout
    assert "Commands:\n" in shown
    assert "..." not in shown.partition("Commands:")[2]


# ---- a model elsewhere ---------------------------------------------------------------------------

ELSEWHERE = {"WEBCHAT_ENGINE_URL": "http://127.0.0.1:9/secret-path/v1", "WEBCHAT_ENGINE_KEY": "s3cret"}


def test_with_a_model_elsewhere_no_weights_are_fetched(webchat):
    result = webchat("model", "fetch", **ELSEWHERE)
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "The model runs at http://127.0.0.1:9 (WEBCHAT_ENGINE_URL): no weights needed.\n"


def test_with_a_model_elsewhere_that_is_down_the_site_is_served_and_misses_no_weights(start):
    port = free_port()
    server = start("serve", PORT=str(port), **ELSEWHERE)
    assert server.stdout.readline() == f"Chat:   http://127.0.0.1:{port}/\n"
    assert httpx2.get(f"http://127.0.0.1:{port}/healthz", timeout=DEADLINE).status_code == 200
    server.terminate()
    _, errors = server.communicate(timeout=DEADLINE)
    assert "Warning" not in errors
    assert "s3cret" not in errors
