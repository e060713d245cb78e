"""Sockets of clients that misbehave: the others go on, and nothing is left behind."""

import socket
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress

import pytest
import websocket
from support.page import Page
from support.server import DEADLINE

HUGE = "说一百万个字"


def frame(opcode, data=b"", *, final=True, masked=True, length=None):
    """The bytes of a frame, right or wrong."""
    length = len(data) if length is None else length
    size = (
        bytes([length])
        if length < 126
        else b"\x7e" + struct.pack("!H", length)
        if length < 65536
        else b"\x7f" + struct.pack("!Q", length)
    )
    head = bytes([(0x80 if final else 0) | opcode, size[0] | (0x80 if masked else 0)]) + size[1:]
    return head + (b"\0\0\0\0" if masked else b"") + data


def send_all(connection, *parts):
    """Send until the server hangs up or there is no more."""
    with suppress(OSError):
        for part in parts:
            connection.sock.sendall(part)


def endless(connection):
    send_all(connection, frame(1, b"x" * 500, final=False))
    send_all(connection, *(frame(0, b"x" * 500, final=False) for _ in range(2000)))


def vanish(connection):
    """Reset the connection, as a machine does that was switched off and on."""
    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.sock.close()


MISBEHAVIOUR = {
    "a text": lambda connection: connection.send("hello"),
    "an empty text": lambda connection: connection.send(""),
    "bytes": lambda connection: connection.send_binary(b"\0\1\2"),
    "a frame of 1 MB": lambda connection: send_all(connection, frame(2, b"x" * 1_000_000)),
    "a frame that claims 2**62 bytes": lambda connection: send_all(connection, frame(2, b"x" * 5000, length=2**62)),
    "a message without an end": endless,
    "a fragment of nothing": lambda connection: send_all(connection, *(frame(1, b"", final=False) for _ in range(9))),
    "a flood of tiny frames": lambda connection: send_all(connection, frame(1, b"x") * 100_000),
    "a flood of pings": lambda connection: send_all(connection, frame(9, b"x" * 100) * 10_000),
    "text that is no UTF-8": lambda connection: send_all(connection, frame(1, b"\xff\xfe")),
    "a frame without a mask": lambda connection: send_all(connection, frame(1, b"x", masked=False)),
    "an unknown opcode": lambda connection: send_all(connection, frame(3, b"x")),
    "a continuation of nothing": lambda connection: send_all(connection, frame(0, b"x")),
    "another protocol": lambda connection: send_all(connection, b"GET / HTTP/1.1\r\n\r\n" * 100),
    "half a frame": lambda connection: send_all(connection, b"\x81"),
    "a close": lambda connection: send_all(connection, frame(8, struct.pack("!H", 1000))),
    "a close with a wrong code": lambda connection: send_all(connection, frame(8, struct.pack("!H", 5))),
    "a close and more": lambda connection: send_all(connection, frame(8) + frame(1, b"x") * 100),
    "an end of sending": lambda connection: connection.sock.shutdown(socket.SHUT_WR),
    "a reset": vanish,
}


# From the others the server learns nothing, and waits for them to go.
HUNG_UP_ON = MISBEHAVIOUR.keys() - {"a fragment of nothing", "a flood of pings", "half a frame"}


@pytest.fixture(scope="module")
def misused(slow):
    """The slow server, which has been through all this once and has the threads it needs for it."""
    alice = slow.visitor()
    conversation = alice.ask("怎么退货？")

    def someone_misbehaves(act):
        visitor = slow.visitor()
        with slow.opened_socket(visitor, visitor.ask("怎么退货？")) as connection:
            act(connection)

    with ThreadPoolExecutor(len(MISBEHAVIOUR)) as clients:
        list(clients.map(someone_misbehaves, MISBEHAVIOUR.values()))
    sockets_are_gone(slow)
    return alice, conversation, settled_threads(slow)


def sockets_are_gone(server):
    server.wait_until(lambda: server.metric("webchat_sockets_open") == 0, "all sockets are closed")


def settled_threads(server):
    """How many threads there are once those that only finish something have gone."""
    counts = [0]

    def settled():
        counts.append(server.threads())
        return len(counts) > 20 and len(set(counts[-20:])) == 1

    server.wait_until(settled, "its threads have settled")
    return counts[-1]


@pytest.mark.parametrize("name", MISBEHAVIOUR)
def test_a_client_that_misbehaves_leaves_nothing_behind(slow, misused, name):
    alice, conversation, threads = misused
    worker = slow.worker()
    with ExitStack() as sockets:
        for _ in range(3):
            MISBEHAVIOUR[name](sockets.enter_context(slow.opened_socket(alice, conversation)))
        if name not in HUNG_UP_ON:
            sockets.close()
        sockets_are_gone(slow)
        slow.wait_until(lambda: slow.threads() <= threads, f"it has {threads} threads again")
    assert slow.worker() == worker
    with slow.opened_socket(alice, conversation) as connection:
        assert "thread" in connection.recv()


@pytest.mark.parametrize(
    "name", ["a text", "bytes", "a frame of 1 MB", "a message without an end", "a flood of tiny frames"]
)
def test_who_sends_something_is_hung_up_on_while_the_others_go_on(slow, open_page, name):
    alice = slow.visitor()
    conversation = alice.ask("请写一篇很长的文章")
    page = open_page(slow, alice, conversation)
    seen = page.wait_for_text()
    with slow.opened_socket(alice, conversation) as connection:
        MISBEHAVIOUR[name](connection)
        with suppress(OSError, websocket.WebSocketException):
            while connection.connected and connection.recv():
                pass
        assert not connection.connected
    page.wait(lambda page: len(page.messages[1].text) > len(seen))
    alice.post(f"/c/{conversation}/stop")
    page.wait_for_status("stopped")


def test_a_client_that_never_reads_is_given_up(slow, misused):
    alice, _, _ = misused
    conversation = alice.ask(HUGE)
    for _ in range(7):
        alice.ask(HUGE, conversation)
    threads = settled_threads(slow)
    small = [(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)]
    with ExitStack() as connections:
        for _ in range(2):
            connections.enter_context(slow.opened_socket(alice, conversation, sockopt=small))
        sockets_are_gone(slow)
    slow.wait_until(lambda: slow.threads() <= threads + 2, "its threads are gone, or idle")


def test_a_client_that_reads_slowly_misses_nothing(slow):
    alice = slow.visitor()
    conversation = alice.ask(HUGE)
    for _ in range(5):
        alice.ask(HUGE, conversation)
    small = [(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)]
    with slow.opened_socket(alice, conversation, sockopt=small) as connection:
        first = read_slowly(connection.sock, seconds=1.5)  # longer than one write may be held up there
    page = Page('<main><ol id="thread"></ol></main>')
    page.receive(first.decode())
    assert [len(message.text.strip()) for message in page.messages] == [len(HUGE), 999_999] * 6


def read_slowly(connection, seconds):
    """A long text frame, in small pieces at first."""
    kind, size, length = struct.unpack("!BBQ", connection.recv(10, socket.MSG_WAITALL))
    assert (kind, size) == (0x81, 127)
    data, begun, never = bytearray(), time.monotonic(), threading.Event()
    while len(data) < length:
        piece = connection.recv(min(16384, length - len(data)))
        assert piece, "the connection ended within a frame"
        assert time.monotonic() - begun < DEADLINE
        data += piece
        if time.monotonic() - begun < seconds:
            never.wait(0.01)
    return bytes(data)


def test_who_does_not_hang_up_keeps_nobody_waiting(slow):
    """Clients that ask for a close and stay: gunicorn's own worker would wait two seconds for each, and all with it."""
    with ExitStack() as connections:

        def ask_for_a_close():
            connection = connections.enter_context(closing(slow.connect()))
            connection.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
            return connection

        lingering = [ask_for_a_close() for _ in range(15)]
        hasty = ask_for_a_close()
        hasty.settimeout(15)  # half of what they would take together
        for connection in (hasty, *lingering):
            assert b" 200 " in connection.recv(100)


def test_the_worker_lived_through_all_this(slow, misused):
    assert slow.log().count("Booting worker") == 1
    assert "Traceback" not in slow.log()
