"""``WS /ws``: what happens in one conversation, as frames. Output only; questions go by POST.

The first frame is the thread as it stands, whatever the page showed before; then what follows. A socket
that is slow gets longer pieces of text, not a longer queue. Who may not watch is told so by an HTTP
status before the upgrade.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import structlog
from flask import Blueprint, current_app, g, request
from flask_babel import gettext as _
from flask_sock import Sock
from simple_websocket import ConnectionClosed
from wsproto.events import CloseConnection, TextMessage
from wsproto.utilities import LocalProtocolError

from webchat.answering import hands
from webchat.storage import feedback, messages
from webchat.storage.database import StorageUnavailable
from webchat.storage.tables import UNFINISHED
from webchat.web.fragments import (
    append_frame,
    gone_frames,
    message_frame,
    socket_frame,
    text_frame,
    thread_frame,
    typing_frame,
    views_of,
)
from webchat.web.problems import Problem
from webchat.web.security import same_or_allowed_origin
from webchat.web.services import services
from webchat.web.visitors import own_conversation

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from flask import Flask
    from simple_websocket import Server

    from webchat.answering.events import Queued
    from webchat.answering.feed import Feed, Run
    from webchat.storage.database import Session
    from webchat.storage.tables import Conversation, Feedback, Message
    from webchat.web.fragments import MessageView

log = structlog.get_logger(__name__)

_HEARTBEAT = 25.0  # seconds of silence; below the idle limit of common proxies
_LOOK_AROUND = 2.0  # seconds between looks for the words of an operator, who may be on another process
_UNHEARD = 60  # seconds without acknowledgement after which the kernel gives a connection up
_STALLED = 15  # seconds a full send buffer may block us: the client has stopped reading
_MOST_OF_ONE_VISITOR = 12  # open pages; one visitor must not take the places of all
_LARGEST_FRAME = 1  # byte; nothing is expected of clients, and 0 would mean no limit
_RESTED = 10.0  # seconds of quiet after which a socket may give way to another
# Close codes, RFC 6455 and IANA registry; the last one is ours, and known to chat.js.
_GOING_ON_ELSEWHERE, _NOTHING_EXPECTED, _OUR_FAULT, _GONE, _ASLEEP = 1012, 1008, 1011, 1000, 4000

bp = Blueprint("socket", __name__)


@dataclass(eq=False)
class Place:
    """A socket that is open, whose it is, and since when (monotonic seconds) it has had nothing to say."""

    ws: Server
    visitor_id: str | None
    quiet_since: float = field(default_factory=time.monotonic)
    answering: bool = False


class OpenSockets:
    """The sockets of this process: bounded, because each holds a thread, and closed together at the end."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._open: dict[Server, Place] = {}
        self._closed = False

    def __len__(self) -> int:
        """How many are open."""
        return len(self._open)

    def make_room(self, visitor_id: str | None) -> bool:
        """Whether one more fits, of this visitor and in all; a page that has been quiet for long gives way.

        Such a page opens its socket again as soon as somebody touches it, and is then sent the thread as it stands.
        """
        with self._lock:
            if self._closed:
                return False
            places = list(self._open.values())
            of_visitor = [place for place in places if place.visitor_id == visitor_id]
            if len(of_visitor) >= _MOST_OF_ONE_VISITOR:
                places = of_visitor
            elif len(places) < self._limit:
                return True
            now = time.monotonic()
            quiet = [place for place in places if not place.answering and now - place.quiet_since >= _RESTED]
            if not quiet:
                return False
            longest = min(quiet, key=lambda place: place.quiet_since)
            del self._open[longest.ws]  # its thread ends a moment later
        hang_up(longest.ws, _ASLEEP)
        return True

    @contextmanager
    def holding(self, ws: Server, visitor_id: str | None) -> Iterator[Place]:
        """Count a socket, and hang up when the block ends, however it ends."""
        place = Place(ws, visitor_id)
        with self._lock:
            self._open[ws] = place
            late = self._closed
        try:
            if late:
                hang_up(ws, _GOING_ON_ELSEWHERE)
            yield place
        finally:
            with self._lock:
                self._open.pop(ws, None)
            hang_up(ws, _GOING_ON_ELSEWHERE)

    def close_all(self) -> None:
        """Ask every page to reconnect; at shutdown, so that no socket holds the process."""
        with self._lock:
            self._closed = True
            sockets = list(self._open)
        for ws in sockets:
            hang_up(ws, _GOING_ON_ELSEWHERE)


def hang_up(ws: Server, code: int) -> None:
    """Close a socket and end its threads, also when the client neither reads nor answers the close."""
    with suppress(ConnectionClosed, LocalProtocolError, OSError):
        if ws.connected:
            # One whose buffer is full must not keep the others waiting for their farewell. Its reader must go on
            # blocking, though: on a socket without a timeout it would take "nothing yet" for the end.
            ws.sock.send(ws.ws.send(CloseConnection(code)), socket.MSG_DONTWAIT)
            ws.connected = False
    with suppress(OSError):
        ws.sock.shutdown(socket.SHUT_RDWR)  # its reader wakes, and wakes the handler


def register_socket(app: Flask, limit: int) -> None:
    """Add the route, and take permessage-deflate from the handshakes: it would cost 300 KB a socket."""
    app.extensions["sockets"] = OpenSockets(limit)
    app.config["SOCK_SERVER_OPTIONS"] = {"max_message_size": _LARGEST_FRAME}
    app.register_blueprint(bp)
    app.wsgi_app = _without_compression(app.wsgi_app)  # type: ignore[method-assign,assignment]  # the documented way


def open_sockets() -> OpenSockets:
    """The sockets of the current application."""
    return cast("OpenSockets", current_app.extensions["sockets"])


@bp.before_request
def _admit() -> None:
    """Refuse while HTTP can still say why."""
    if not same_or_allowed_origin(request.headers.get("Origin")):
        raise Problem(403, _("This is not allowed from here."))
    if request.headers.get("Sec-WebSocket-Version") != "13" or "Sec-WebSocket-Key" not in request.headers:
        raise Problem(400, _("The request cannot be read."))
    g.conversation = own_conversation(request.args.get("conversation", ""))
    if not open_sockets().make_room(g.conversation.visitor_id):
        raise Problem(503, _("Too many pages are open right now."), retry_after=5)


@Sock(bp).route("/ws")
def _watch(ws: Server) -> None:
    with open_sockets().holding(ws, g.conversation.visitor_id) as place:
        try:
            _set_patience(ws.sock)
            _send_changes(place, g.conversation)
        except (ConnectionClosed, LocalProtocolError, OSError):
            pass  # the page is gone; its conversation goes on
        except StorageUnavailable as error:
            log.warning("socket ended", problem=str(error))
        except Exception:
            log.exception("socket ended")
            hang_up(ws, _OUR_FAULT)


def _send_changes(place: Place, conversation: Conversation) -> None:
    ws = place.ws
    with services().answerer.feeds.watch(conversation.public_id, ws.event) as feed:
        watcher = _Watcher(conversation, feed)
        _send(ws, socket_frame(watcher.whole_thread()))
        place.answering = watcher.is_awaited
        sent = time.monotonic()
        while ws.connected:
            heartbeat = sent + _HEARTBEAT - time.monotonic()
            quiet = not ws.event.wait(max(0.0, min(heartbeat, watcher.patience)))
            ws.event.clear()
            if ws.incoming_message_len or ws.input_buffer:
                hang_up(ws, _NOTHING_EXPECTED)
                return
            if feed.closed:
                _send(ws, socket_frame(gone_frames()))
                hang_up(ws, _GONE)
                return
            partials = watcher.catch_up()
            if quiet:
                partials += watcher.look_elsewhere()
            place.answering = watcher.is_awaited
            if partials:
                place.quiet_since = time.monotonic()
            if partials or time.monotonic() - sent >= _HEARTBEAT:
                _send(ws, socket_frame(partials) if partials else "{}")
                sent = time.monotonic()


def _send(ws: Server, frame: str) -> None:
    """Send a frame whole or raise; the library's own ``send`` leaves away what a slow client's buffer cannot take."""
    if not ws.connected:
        raise ConnectionClosed
    ws.sock.sendall(ws.ws.send(TextMessage(data=frame)))


class _Watcher:
    """What one page has been sent of a conversation, and what it still lacks."""

    def __init__(self, conversation: Conversation, feed: Feed) -> None:
        self._conversation = conversation
        self._feed = feed
        self._cursor = 0
        self._last_id = 0
        self._last_day: date | None = None  # of the last message
        self._shown: set[int] = set()
        self._sent: dict[int, int] = {}  # characters of growing text, by message
        self._queued: dict[int, Queued | None] = {}
        self._elsewhere: set[int] = set()  # unfinished answers that are not written by this process
        self._taken: int | None = None  # the message that says so, while an operator has the conversation
        self._types = False  # whether the page shows that they are typing

    @property
    def is_awaited(self) -> bool:
        """Whether an answer is on its way, or an operator is there to write one."""
        return bool(self._elsewhere or self._taken or self._feed.runs())

    @property
    def patience(self) -> float:
        """Seconds after which to look for changes of which nobody tells."""
        if self._types:
            return self._feed.typing("operator")
        return _LOOK_AROUND if self._taken else _HEARTBEAT

    def whole_thread(self) -> list[str]:
        """The thread as it stands, as partials."""
        self._cursor = self._feed.cursor()
        with services().database.read() as rows:
            thread = messages.thread(rows, self._conversation.id)
            votes = self._votes(rows, thread)
        runs = self._feed.runs()
        self._shown = {message.id for message in thread}
        self._last_id = max(self._shown, default=0)
        self._sent.clear()
        self._elsewhere.clear()
        self._taken = None
        noted = {message.id: self._note(message, runs) for message in thread}
        views = views_of(thread, noted, votes)
        self._last_day = views[-1].day if views else None
        self._types = self._feed.typing("operator") > 0
        return [thread_frame(self._conversation, views), typing_frame(typing=self._types)]

    def catch_up(self) -> list[str]:
        """What has changed since last time, as partials."""
        changes = self._feed.changes(self._cursor)
        if changes.everything:
            return self.whole_thread()
        self._cursor = changes.cursor
        partials = self._changed_messages(changes.messages) if changes.messages else []
        for run in self._feed.runs().values():
            partials += self._growth(run)
        return partials + self._typing()

    def look_elsewhere(self) -> list[str]:
        """What other processes have said or are writing: here nobody says so when it changes."""
        with services().database.read() as rows:
            newest = messages.newest_id(rows, self._conversation.id)
        if not self._elsewhere and (newest is None or newest <= self._last_id):
            return []
        return self._changed_messages((*self._elsewhere, *((self._taken,) if self._taken else ())))

    def _typing(self) -> list[str]:
        types = self._feed.typing("operator") > 0
        if types == self._types:
            return []
        self._types = types
        return [typing_frame(typing=types)]

    def _changed_messages(self, ids: tuple[int, ...]) -> list[str]:
        """These messages, and whatever is new: of two questions at once the later may be announced first."""
        with services().database.read() as rows:
            changed = messages.some(rows, self._conversation.id, ids)
            new = [message for message in messages.thread(rows, self._conversation.id) if message.id > self._last_id]
            votes = self._votes(rows, changed)
        if any(message.id < self._last_id and message.id not in self._shown for message in changed):
            return self.whole_thread()
        runs = self._feed.runs()
        noted = {message.id: self._note(message, runs) for message in (*changed, *new)}
        views = {view.id: view for view in views_of((*changed, *new), noted, votes)}
        partials = [message_frame(self._conversation, views[m.id]) for m in changed if m.id in self._shown]
        return partials + self._append([views[message.id] for message in new])

    def _votes(self, rows: Session, thread: list[Message]) -> dict[int, Feedback]:
        return feedback.of_messages(rows, self._conversation.visitor_id, [message.id for message in thread])

    def _append(self, views: list[MessageView]) -> list[str]:
        if not views:
            return []
        after, self._last_id = self._last_id, views[-1].id
        self._shown.update(view.id for view in views)
        # The answer to its POST may have put the turn on the page already, as it was before all this.
        again = [message_frame(self._conversation, view) for view in views if view.source == "model"]
        day, self._last_day = self._last_day, views[-1].day
        return [append_frame(self._conversation, after, views, day), *again]

    def _growth(self, run: Run) -> list[str]:
        text, sent = run.text, self._sent.get(run.message_id)
        if sent is None:
            return []  # its message has not been announced to us yet
        self._sent[run.message_id] = len(text)
        if len(text) > sent:
            return [text_frame(run.message_id, text[sent:])]
        if text or run.queued == self._queued.get(run.message_id):
            return []
        return self._changed_messages((run.message_id,))

    def _note(self, message: Message, runs: dict[int, Run]) -> Run | None:
        """Remember what a page will have been sent of a message once it shows this row."""
        run = runs.get(message.id)
        self._elsewhere.discard(message.id)
        if hands.change_of(message) == "hands: taken":
            self._taken = message.id
        elif message.id == self._taken:
            self._taken = None
        if run is None:
            self._sent.pop(message.id, None)
            if message.status in UNFINISHED:
                self._elsewhere.add(message.id)
            return None
        shown = run.snapshot()
        self._sent[message.id], self._queued[message.id] = len(shown.text), shown.queued
        return shown


def _set_patience(sock: socket.socket) -> None:
    """Bound how long a client that is gone, or does not read, can hold a thread."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", _STALLED, 0))
    if hasattr(socket, "TCP_USER_TIMEOUT") and sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNHEARD * 1000)


def _without_compression(application: WSGIApplication) -> WSGIApplication:
    def wrapped(environ: WSGIEnvironment, start_response: StartResponse) -> object:
        environ.pop("HTTP_SEC_WEBSOCKET_EXTENSIONS", None)
        return application(environ, start_response)

    return cast("WSGIApplication", wrapped)
