"""The server's life: how it starts, refuses to, stops, dies in the middle of an answer, and what is left of it then."""

import os
import re
import resource
import signal
import socket
import subprocess
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest
import websocket
from support.commands import commands
from support.server import DEADLINE, SLOW
from support.visitor import Visitor, text_of

from webchat.storage import conversations, messages
from webchat.storage.database import Database

pytestmark = pytest.mark.process  # each starts gunicorn, or a command that becomes it

GRACE = 10.0  # seconds gunicorn gives its worker to end


@pytest.fixture
def mortal(new_server, endless_model):
    """A server of the test's own. Its answers take a minute, so that there is time to end it in their middle."""
    return new_server(model=endless_model, **SLOW).start().ready()


def wait_for_stored_text(server, visitor, conversation):
    """Wait until a part of the answer is in the database; the part."""

    def stored():
        answer = visitor.said(conversation)[1]
        return answer["status"] == "streaming" and answer["text"]

    server.wait_until(stored, "a part of the answer is stored")
    return visitor.said(conversation)[1]["text"]


def reconnect(page):
    """What a page does whose socket has closed."""
    while True:
        with suppress(OSError, websocket.WebSocketException):
            page.connect()
            return


# ---- dying ---------------------------------------------------------------------------------------


def test_a_worker_killed_in_the_middle_of_an_answer(mortal, new_server, open_page, endless_model):
    """And another server on the same database, whose answer goes on."""
    other = new_server(model=endless_model, **SLOW).start().ready()
    bob = other.visitor()
    elsewhere = bob.ask("请写一篇很长的文章")
    their_page = open_page(other, bob, elsewhere)
    alice = mortal.visitor()
    conversation = alice.ask("请写一篇很长的文章")
    page = open_page(mortal, alice, conversation)
    part = wait_for_stored_text(mortal, alice, conversation)

    dead = mortal.kill_worker()
    assert page.wait_for_close() == 1006
    seen = page.messages[1].text
    reconnect(page)  # while the new worker still waits for what the dead one held
    mortal.ready()
    assert mortal.worker() != dead

    question, answer = alice.said(conversation)
    assert question["text"] == "请写一篇很长的文章"
    assert answer["status"] == "interrupted"
    assert answer["text"].startswith(part)
    assert seen.startswith(answer["text"].replace("\r", "\n"))
    shown = page.wait_for_status("interrupted")
    assert shown.can_retry
    assert "打断" in shown.element.text
    assert page.thread() == alice.page(conversation).thread()

    assert bob.said(elsewhere)[1]["status"] == "streaming"
    length = len(their_page.wait_for_text())
    their_page.wait(lambda page: len(page.messages[1].text) > length)

    # A page may come to either server; one that is not the answer's own looks at it from time to time.
    here = open_page(mortal, mortal.visitor(Cookie=bob.cookie), elsewhere)
    length = len(here.wait_for_text())
    here.wait(lambda page: len(page.messages[1].text) > length)
    bob.post(f"/c/{elsewhere}/stop")
    for theirs in (here, their_page):
        theirs.wait_for_status("stopped")

    assert alice.post(f"/c/{conversation}/messages/{answer['id']}/retry").status_code == 303
    page.wait_for_status("queued", "streaming")
    page.wait_for_text()
    alice.post(f"/c/{conversation}/stop")
    assert page.wait_for_status("stopped").id == answer["id"]
    assert len(alice.said(conversation)) == 2


# ---- stopping ------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_at_once_and_asks_pages_to_reconnect(mortal, data_dir, open_page, way):
    alice, bob = mortal.visitor(), mortal.visitor()
    conversation, idle = alice.ask("请写一篇很长的文章"), bob.ask("你是谁？")
    pages = [
        open_page(mortal, alice, conversation),
        open_page(mortal, alice, conversation),
        open_page(mortal, bob, idle),
    ]
    part = pages[0].wait_for_text()

    began = time.monotonic()
    mortal.process.send_signal(way)
    assert [page.wait_for_close() for page in pages] == [1012] * 3
    for visitor in (alice, bob):
        visitor.http.close()  # gunicorn gives kept-alive connections two more seconds
    assert mortal.wait_for_end() == 0
    assert time.monotonic() - began < GRACE  # else it was not asked but killed
    assert "SIGKILL" not in mortal.log()
    assert "Traceback" not in mortal.log()

    with closing(Database(f"sqlite:///{data_dir}/webchat.db")) as database, database.read() as rows:
        answer = messages.everything(rows, conversations.by_public_id(rows, conversation).id)[1]
    assert answer.status == "interrupted"
    assert answer.text.replace("\r", "\n").startswith(part)


# ---- starting ------------------------------------------------------------------------------------


def refusal(server, *arguments):
    """What a server that will not start says."""
    server.start(*arguments)
    assert server.wait_for_end() != 0
    assert "Traceback" not in server.log()
    return server.log()


@pytest.mark.parametrize(("settings", "arguments"), [({"WEB_CONCURRENCY": 2}, []), ({}, ["--workers", "2"])])
def test_it_refuses_several_workers_and_says_why(new_server, settings, arguments):
    said = refusal(new_server(**settings), *arguments)
    assert "runs exactly one worker" in said
    assert "WEB_CONCURRENCY" in said


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"max_queue": "none", "timezone": "Mars/Olympus"}, r"WEBCHAT_MAX_QUEUE: .*"),
        ({"database_url": "mysql://localhost/shop"}, "WEBCHAT_DATABASE_URL names 'mysql', which is not supported"),
        ({"data_dir": "/proc/nowhere"}, "secret key cannot be kept in /proc/nowhere/secret_key"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_it_refuses_settings_that_cannot_be_used_and_says_which(new_server, settings, sentence):
    server = new_server(**{name: value for name, value in settings.items() if name != "data_dir"})
    if folder := settings.get("data_dir"):
        server.set(WEBCHAT_DATA_DIR=folder)
    said = refusal(server)
    assert re.search(sentence, said), said
    assert said.count("Booting worker") <= 1  # not again and again


# The hard limit is the account's: a test cannot raise it, and below it gunicorn would refuse for another reason.
@pytest.mark.skipif(resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 16384, reason="too few file descriptors")
def test_connections_are_turned_away_by_us_and_not_by_gunicorn(new_server):
    """With the most sockets that can be set, gunicorn must still take the connection that is told to come back."""
    server = new_server(max_sockets=4096).start("--print-config")
    server.wait_for_end()
    shown = dict(re.findall(r"^(\w+)\s+= (.*)$", server.log(), re.MULTILINE))
    assert int(shown["worker_connections"]) > int(shown["threads"]) > 4096


# ---- webchat serve -------------------------------------------------------------------------------


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@pytest.fixture
def serve(tmp_path, tiny_model):
    """Types ``webchat serve`` and reads what it prints."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "HOST": "127.0.0.1", "WEBCHAT_THREADS": "1"}
    with commands(environment | {"WEBCHAT_MODEL": str(tiny_model)}) as run:
        yield lambda data_dir, port: run("serve", PORT=str(port), WEBCHAT_DATA_DIR=str(data_dir))


def test_serve_says_where_the_site_is_and_becomes_gunicorn(serve, data_dir):
    port = free_port()
    process = serve(data_dir, port)
    lines = [process.stdout.readline() for _ in range(2)]
    assert lines[0].split() == ["Chat:", f"http://127.0.0.1:{port}/"]
    assert re.fullmatch(rf"Set up: http://127\.0\.0\.1:{port}/admin/setup\?token=\S+\n", lines[1])
    alice = Visitor.at(f"http://127.0.0.1:{port}")
    with closing(alice.http):
        wait_for_answer(alice, process)
        assert "小舟商店" in text_of(alice.get("/"))
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    for pid in (process.pid, *children):  # by which it is found among a machine's processes
        assert b"gunicorn" in Path(f"/proc/{pid}/cmdline").read_bytes()


def wait_for_answer(visitor, process):
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        with suppress(OSError, Exception):
            if visitor.get("/readyz").status_code == 200:
                return
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.05)
            break
    raise AssertionError("nobody answers")


def test_serve_refuses_a_database_without_tables(serve, tmp_path):
    (tmp_path / "empty").mkdir()
    process = serve(tmp_path / "empty", free_port())
    printed, said = process.communicate(timeout=DEADLINE)
    assert (process.returncode, printed) == (1, "")
    assert "webchat db upgrade" in said
    assert "Traceback" not in said
