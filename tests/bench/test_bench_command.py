"""The command: what it prints and writes, also when it is cut short."""

import json
import os
import signal
import threading

import pytest
from click.testing import CliRunner
from support.commands import commands
from support.openai_server import DEADLINE, OpenAIServer, four_pieces

from webchat.cli import main
from webchat.commands.bench import shown_command

QUICK = ("--scenario", "warm", "--levels", "1,2", "--rounds", "2", "--questions", "1")


@pytest.fixture
def bench():
    umask = os.umask(0o077)  # the command sets its own; that of the tests comes back
    yield lambda *arguments: CliRunner().invoke(main, ["bench", *map(str, arguments)])
    os.umask(umask)


@pytest.fixture
def start():
    """Starts the command as a process of its own."""
    with commands(os.environ) as run:
        yield lambda *arguments: run("bench", *arguments)


def refusal(result, status=1):
    assert result.exit_code == status, result.output
    assert "Traceback" not in result.stderr
    return result.stderr.splitlines()[-1]


def test_one_server(bench, peer, tmp_path):
    files = [tmp_path / name for name in ("r.json", "r.svg", "r.md")]
    done = bench("--url", peer.url, *QUICK, "--json", files[0], "--plot", files[1], "--markdown", files[2])
    assert done.exit_code == 0, done.output
    assert "Warm: one shared system prompt" in done.stdout
    assert "÷" not in done.stdout
    assert done.stderr.splitlines()[-1].startswith("warm, 2 streams, round 2 of 2, site: ")
    assert len(json.loads(files[0].read_text())["runs"]) == 4
    assert files[1].read_text().startswith("<svg ")
    assert files[2].read_text().startswith("# Benchmarks")


def test_two_servers_side_by_side(bench, peer):
    with OpenAIServer().serving() as other:
        done = bench(
            *("--url", peer.url, "--key", "sk-1", "--against", other.url, "--against-key", "sk-2"),
            *("--against-model", "big", *QUICK),
        )
    assert done.exit_code == 0, done.output
    assert "Warm: site ÷ peer" in done.stdout
    assert {(asked.key, asked.body["model"]) for asked in peer.asked} == {("Bearer sk-1", "tiny")}
    assert {(asked.key, asked.body["model"]) for asked in other.asked} == {("Bearer sk-2", "big")}
    assert "sk-" not in done.output


def test_everything_is_measured_unless_less_is_asked_for(bench, peer):
    done = bench("--url", peer.url, "--levels", "1", "--rounds", 1, "--others", 2)
    assert [title in done.stdout for title in ("Cold:", "Warm:", "Next turn")] == [True] * 3


def test_the_machines_limit_is_told_where_the_weights_are_known(bench, peer, tiny_model):
    assert "GB/s from memory" in bench("--url", peer.url, *QUICK, "--weights", tiny_model).stdout


def test_a_server_that_fails_in_the_middle_leaves_what_was_measured(bench, peer, tmp_path):
    calls = iter(range(100))

    def fails_later(asked):
        if next(calls) < 4:
            yield from four_pieces(asked)

    peer.answer = fails_later
    file = tmp_path / "r.json"
    done = bench("--url", peer.url, *QUICK, "--json", file)
    assert refusal(done) == f"Error: The site at {peer.url} closed the connection before an answer was complete."
    assert "Warm: one shared system prompt" in done.stdout
    found = json.loads(file.read_text())
    assert len(found["runs"]) == 2
    assert found["error"] == f"The site at {peer.url} closed the connection before an answer was complete."


def test_a_server_that_refuses_is_told_and_written(bench, peer, tmp_path):
    peer.refusal = 401, b'{"error": {"message": "Invalid API key"}}'
    file, page = tmp_path / "r.json", tmp_path / "r.md"
    page.write_text("of an earlier run")
    done = bench("--url", peer.url, *QUICK, "--json", file, "--markdown", page)
    assert page.read_text() == "of an earlier run"
    assert refusal(done).endswith("does not accept the API key (status 401): Invalid API key")
    assert done.stdout == ""
    assert json.loads(file.read_text())["runs"] == []


@pytest.mark.parametrize("levels", ["", "0", "1,x", "-1", "257", "1,,2"])
def test_levels_that_cannot_be(bench, levels):
    assert "write numbers from 1 to 256, as in 1,4,16" in refusal(bench("--levels", levels), status=2)


def test_a_file_that_cannot_be_written_is_told_before_anything_is_measured(bench, peer, tmp_path):
    done = bench("--url", peer.url, *QUICK, "--json", tmp_path / "nowhere" / "r.json")
    assert refusal(done).endswith("r.json cannot be written: choose a folder that exists and is yours.")
    assert peer.asked == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_cut_short_it_shows_and_writes_what_was_measured(start, peer, tmp_path, number):
    holding, over = threading.Event(), threading.Event()
    calls = iter(range(100))

    def stops_later(asked):
        if next(calls) >= 2:
            holding.set()
            over.wait(DEADLINE)
        yield from four_pieces(asked)

    peer.answer = stops_later
    file = tmp_path / "r.json"
    process = start("--url", peer.url, *QUICK, "--json", file)
    try:
        assert holding.wait(DEADLINE)
        process.send_signal(number)
        output, errors = process.communicate(timeout=DEADLINE)
    finally:
        over.set()
    assert process.returncode == 130
    assert "Warm: one shared system prompt" in output
    assert errors.splitlines()[-1] == "Stopped."
    found = json.loads(file.read_text())
    assert (len(found["runs"]), found["error"]) == (1, "It was stopped.")


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("bench --key sk-1 --rounds 2", "webchat bench --key KEY --rounds 2"),
        ("bench --against-key=sk-1", "webchat bench --against-key=KEY"),
        ("bench --plot a.svg", "webchat bench --plot a.svg"),
    ],
)
def test_a_shown_command_holds_no_key(typed, shown):
    assert shown_command(typed.split()) == shown
