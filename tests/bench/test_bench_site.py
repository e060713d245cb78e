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
from webchat.bench.site import own_site, served_weights

pytestmark = pytest.mark.process  # each starts a server, or the commands that set one up

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


def test_what_is_no_model_is_refused_at_once(tmp_path):
    file = tmp_path / "m.gguf"
    file.write_bytes(b"hello")
    with (
        pytest.raises(BenchError, match=r"`webchat model path --served` failed: .* is not a GGUF file"),
        own_site(file),
    ):
        pass


def test_an_installation_without_a_model_is_told_so(monkeypatch):
    monkeypatch.setenv("WEBCHAT_MODEL", "/nowhere/m.gguf")
    with pytest.raises(BenchError, match=r"/nowhere/m\.gguf"):
        served_weights()


def test_the_site_serves_the_installations_weights(monkeypatch, endless_model):
    monkeypatch.setenv("WEBCHAT_MODEL", str(endless_model))
    assert served_weights() == Path(endless_model)
