"""gunicorn's thread worker with deadlines: a client that dawdles must not hold a thread from those who do not.

gunicorn reads and writes without any: a few hundred half-sent requests, or readers that stop reading, would
take every thread and keep it. Here a whole request has to arrive in time, and every write has to make progress.
Nor does it tell a body that broke off from a whole one: half a question would be answered as if it had been meant.
"""

from __future__ import annotations

import errno
import io
import socket
import struct
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn

from gunicorn.http.errors import NoMoreData
from gunicorn.workers.gthread import TConn, ThreadWorker

from webchat.config import LARGEST_BODY

if TYPE_CHECKING:
    from gunicorn.http.message import Request

_WHOLE_REQUEST = 15.0  # seconds from the first look at a connection to the last byte of its request's body
_STALLED = 15  # seconds a full send buffer may hold a thread: the client has stopped reading
_BREATH = 0.1  # seconds without new connections when the process is out of file descriptors


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn ships no types
    """The worker of every webchat process."""

    def init_process(self) -> None:
        """Set up and serve, as gunicorn does."""
        self._arriving: dict[TConn, float] = {}  # connections whose request is being read, and until when it may
        super().init_process()

    def notify(self) -> None:
        """Tell the first process that this one lives, and wait no more for requests that are late; once a second.

        Only reading ends here: the thread that reads wakes up and can still answer.
        """
        super().notify()
        now = time.monotonic()
        for conn in [conn for conn, until in self._arriving.copy().items() if until < now]:
            self._arriving.pop(conn, None)
            with suppress(OSError):
                socket.socket.shutdown(conn.sock, socket.SHUT_RD)  # TLS's own would end the encryption, and writing

    def accept(self, listener: socket.socket) -> None:
        """Take a connection; without a free file descriptor wait a little, where gunicorn would die."""
        try:
            super().accept(listener)
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE):
                raise
            time.sleep(_BREATH)  # nothing tells when a descriptor is free; without a pause this would spin

    def handle(self, conn: TConn) -> object:
        """Serve a connection's next request; False when there will be no more.

        The connection is closed here, on the thread that served it: closing waits up to two seconds for the client
        to hang up, and gunicorn's own does that on its one main thread.
        """
        _bound_writes(conn.sock)
        self._arriving[conn] = time.monotonic() + _WHOLE_REQUEST
        try:
            result = super().handle(conn)
        finally:
            self._arriving.pop(conn, None)
        if result is False:
            with suppress(OSError):  # a WebSocket has closed it already
                conn.close(graceful=True)
            conn.close = lambda graceful=False: None  # noqa: ARG005 - the main thread will call it so
        return result

    def handle_request(self, req: Request, conn: TConn) -> Any:
        """Read the body while the deadline runs, then let the application take its time."""
        if req._expected_100_continue:  # noqa: SLF001 - gunicorn would say so only after we have waited in vain
            req._expected_100_continue = False  # noqa: SLF001
            conn.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = _read_body(req)
        late = self._arriving.pop(conn, None) is None
        if late or body is None or len(body) > LARGEST_BODY:
            req.force_close()  # the rest stays unread, and must not be taken for the next request
        req.body = _CutOff(late=late) if late or body is None else io.BytesIO(body)
        return super().handle_request(req, conn)


class _CutOff(io.RawIOBase):
    """A body that did not come, or not to its end. What needs it ends with an error that the application can answer."""

    def __init__(self, *, late: bool) -> None:
        self._late = late

    def readable(self) -> bool:
        """It looks like any other until it is read."""
        return True

    def readinto(self, _buffer: object) -> NoReturn:
        """Refuse, whatever is read and however.

        Raises:
            RequestTimeout: the client had its time.
            ClientDisconnected: it has hung up.
        """
        # The first process serves nothing, and needs no web framework.
        from werkzeug.exceptions import ClientDisconnected, RequestTimeout  # noqa: PLC0415

        raise RequestTimeout if self._late else ClientDisconnected


def _read_body(req: Request) -> bytes | None:
    """The body, or more of it than is taken; None when it ends before its announced length."""
    try:
        body: bytes = req.body.read(LARGEST_BODY + 1)
    except NoMoreData:
        return None
    announced = next((int(value) for name, value in req.headers if name == "CONTENT-LENGTH"), 0)
    return body if len(body) >= min(announced, LARGEST_BODY + 1) else None


def _bound_writes(sock: socket.socket) -> None:
    """Let a write that makes no progress fail. The kernel counts: Python's own timeout would bind reads too."""
    for layout in ("ll", "qq"):  # 32-bit systems with 64-bit time take the longer one
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack(layout, _STALLED, 0))
            return
