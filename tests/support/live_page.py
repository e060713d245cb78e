"""A page with its socket open: what arrives is applied as htmx would, and remembered."""

from __future__ import annotations

import json
import struct
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import websocket

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.page import Message, Page
    from support.server import Server
    from support.visitor import Visitor

_DEADLINE = 60.0


class LivePage:
    """A visitor's page of a conversation: loaded, then connected, as a browser does."""

    def __init__(self, server: Server, visitor: Visitor, conversation: str) -> None:
        self._server, self._visitor, self._conversation = server, visitor, conversation
        self._changed = threading.Condition()
        self._page = visitor.page(conversation)
        self.frames: list[str] = []
        self.growing: dict[int, list[str]] = {}  # what each unfinished answer was seen to say, by message
        self.close_code: int | None = None
        self._socket = websocket.WebSocket()
        self.connect()

    def connect(self) -> None:
        """Open the socket; may be repeated when it has closed."""
        self._socket.shutdown()
        self.close_code = None
        self._socket = self._server.open_socket(self._visitor, self._conversation)
        self._thread = threading.Thread(target=self._listen, args=(self._socket,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Leave the page."""
        with suppress(OSError, websocket.WebSocketException):
            self._socket.send_close()
        self._thread.join(_DEADLINE)
        self._socket.shutdown()

    def wait(self, condition: Callable[[Page], object]) -> None:
        """Wait until something holds of the page."""
        with self._changed:
            assert self._changed.wait_for(lambda: condition(self._page), _DEADLINE), self.frames[-3:]

    def wait_for_status(self, *statuses: str) -> Message:
        """Wait until the last message has one of these, and give it back."""
        self.wait(lambda page: page.messages and page.messages[-1].status in statuses)
        return self.messages[-1]

    def wait_for_text(self) -> str:
        """Wait until the last message says something, and give it back."""
        self.wait(lambda page: page.messages and page.messages[-1].role == "assistant" and page.messages[-1].text)
        return self.messages[-1].text

    def wait_for_close(self) -> int:
        """Wait until the server has closed the socket; with which code, 1006 for none."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.close_code is not None, _DEADLINE)
            assert self.close_code is not None
            return self.close_code

    def apply(self, content: str) -> None:
        """Apply what a form got back."""
        with self._changed:
            self._page.apply(content)
            self._changed.notify_all()

    @property
    def messages(self) -> list[Message]:
        """The bubbles on the page now."""
        with self._changed:
            return self._page.messages

    def thread(self) -> object:
        """Everything the visitor sees of the conversation now, comparable."""
        with self._changed:
            return self._page.thread()

    def _listen(self, connection: websocket.WebSocket) -> None:
        code = 1006
        with suppress(OSError, websocket.WebSocketException):
            while True:
                opcode, data = connection.recv_data(control_frame=True)
                if opcode == websocket.ABNF.OPCODE_CLOSE:
                    code = struct.unpack("!H", data[:2])[0] if len(data) >= 2 else 1005
                    break
                if opcode == websocket.ABNF.OPCODE_TEXT:
                    self._receive(data.decode())
        with self._changed:
            self.close_code = code
            self._changed.notify_all()

    def _receive(self, frame: str) -> None:
        with self._changed:
            self.frames.append(frame)
            self._page.receive(frame)
            for message in self._page.messages:
                if message.element.attributes.get("aria-busy"):
                    self.growing.setdefault(message.id, []).append(message.text)
            self._changed.notify_all()


def content_of(frame: str) -> str:
    """The partials of a frame."""
    content: str = json.loads(frame).get("content", "")
    return content
