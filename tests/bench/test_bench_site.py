"""A site of the bench's own: it is there while it is measured, and never after."""

import json
import os
import re
import signal
import socket
from pathlib import Path

import pytest
from support.commands import commands

from webchat.bench.client import BenchError
from webchat.bench.site import _environment, own_site, served_weights
from webchat.config import load_settings

DEADLINE = 120.0
QUICK = ("--scenario", "warm", "--levels", "1,2", "--questions", "1")


@pytest.fixture
def start(tmp_path, endless_model):
    """Starts the command, for an installation with a tiny model, as a process of its own."""
    (tmp_path / "tmp").mkdir()
    with commands(os.environ | {"WEBCHAT_MODEL": str(endless_model), "TMPDIR": str(tmp_path / "tmp")}) as run:
        yield lambda *arguments: run("bench", *arguments)


def nothing_is_left(output, folder):
    port = int(re.search(r"^site: http://127\.0\.0\.1:(\d+), model endless$", output, re.MULTILINE)[1])
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) != 0 and list((folder / "tmp").iterdir()) == []


def test_the_installations_model_is_served_measured_and_ended(start, tmp_path):
    process = start(*QUICK, "--rounds", 1, "--json", tmp_path / "r.json")
    output, errors = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0, errors
    assert nothing_is_left(output, tmp_path)
    runs = json.loads((tmp_path / "r.json").read_text())["runs"]
    assert [run["figures"]["answers"] for run in runs] == [1, 2]
    assert all(run["figures"]["early"] == 0 for run in runs)
    assert all(run["figures"]["memory"] > 50_000_000 for run in runs)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_cut_short_it_takes_its_site_along(start, tmp_path, number):
    process = start(*QUICK, "--rounds", 100)
    assert process.stderr.readline().startswith("warm, 1 streams, round 1 of 100")
    process.send_signal(number)
    output, _ = process.communicate(timeout=DEADLINE)
    assert process.returncode == 130
    assert nothing_is_left(output, tmp_path)


@pytest.mark.process  # the commands that set a site up
def test_what_is_no_model_is_refused_at_once(tmp_path):
    file = tmp_path / "m.gguf"
    file.write_bytes(b"hello")
    with (
        pytest.raises(BenchError, match=r"`webchat model path --served` failed: .* is not a GGUF file"),
        own_site(file),
    ):
        pass


@pytest.mark.process
def test_an_installation_without_a_model_is_told_so(monkeypatch):
    monkeypatch.setenv("WEBCHAT_MODEL", "/nowhere/m.gguf")
    with pytest.raises(BenchError, match=r"/nowhere/m\.gguf"):
        served_weights()


@pytest.mark.process
def test_the_site_serves_the_installations_weights(monkeypatch, endless_model):
    monkeypatch.setenv("WEBCHAT_MODEL", str(endless_model))
    assert served_weights() == Path(endless_model)


def test_an_installation_whose_model_runs_elsewhere_is_told_what_to_type(monkeypatch, endless_model):
    """Else the speed of another server would be shown as that of this machine."""
    monkeypatch.setenv("WEBCHAT_ENGINE_URL", "http://127.0.0.1:1/v1")
    with pytest.raises(BenchError, match=r"WEBCHAT_ENGINE_URL.*`--url`"):
        served_weights()
    with pytest.raises(BenchError, match=r"WEBCHAT_ENGINE_URL.*`--url`"), own_site(endless_model):
        pass


def test_settings_that_cannot_be_read_are_said(monkeypatch):
    monkeypatch.setenv("WEBCHAT_THREADS", "many")
    with pytest.raises(BenchError, match="WEBCHAT_THREADS"):
        served_weights()


@pytest.fixture
def inherited(monkeypatch, tmp_path, endless_model):
    """What the site's own settings become of some of the installation's, those of `.env` among them."""

    def settings(**variables):
        (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in variables.items()))
        for name, value in _environment(tmp_path, endless_model).items():
            monkeypatch.setenv(name, value)
        return load_settings(_env_file=tmp_path / ".env")

    return settings


def test_the_shops_redis_data_and_address_are_not_the_sites(inherited, tmp_path):
    found = inherited(
        WEBCHAT_REDIS_URL="redis://127.0.0.1:1/0",
        WEBCHAT_DATA_DIR="/srv/shop",
        WEBCHAT_DATABASE_URL="postgresql+psycopg://shop",
        WEBCHAT_TRUSTED_PROXIES="2",
        HOST="0.0.0.0",
    )
    assert (found.redis_url, found.data_dir, found.trusted_proxies, found.host) == ("", tmp_path, 0, "127.0.0.1")
    assert found.resolved_database_url == f"sqlite:///{tmp_path / 'webchat.db'}"


def test_a_shop_of_long_answers_can_be_measured_and_its_speed_is_its_own(inherited):
    found = inherited(WEBCHAT_MAX_NEW_TOKENS="4000", WEBCHAT_CONTEXT_TOKENS="8192", WEBCHAT_THREADS="3")
    assert (found.context_tokens, found.threads) == (4096, 3)


def test_what_gunicorn_is_told_elsewhere_is_not_told_the_site(monkeypatch, tmp_path):
    monkeypatch.setenv("GUNICORN_CMD_ARGS", "--certfile shop.pem --pid /run/shop.pid")
    assert "GUNICORN_CMD_ARGS" not in _environment(tmp_path, tmp_path)
