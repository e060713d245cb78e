"""Feeds: how those who watch a conversation learn that it has changed.

A feed carries no history and no copies: it says *which* messages changed, and holds the runs whose text
is still growing. A watcher that is slow, late or new reads the rows and the runs as they stand, so
there is nothing to overflow and nothing to replay.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from webchat.answering.events import Failed, Finished, Queued
    from webchat.engine.generation import Generation

Writer = Literal["visitor", "operator"]

_TYPING = 6.0  # seconds for which somebody who has touched a key counts as typing; pages say so twice as often

# Changes remembered for watchers that are behind; one that missed more reads the whole thread again.
_REMEMBERED = 64


@dataclass(eq=False)
class Run:
    """An answer being made: its text so far, its place in the queue, its outcome. Written under its feed's lock."""

    conversation: str  # its public id
    message_id: int
    text: str = ""
    queued: Queued | None = None
    outcome: Finished | Failed | None = None
    generation: Generation | None = None  # once the engine has taken it
    stop_wanted: bool = False

    def snapshot(self) -> Run:
        """This run as it stands, which no longer grows: what is shown of it can be counted."""
        return dataclasses.replace(self)


@dataclass(frozen=True, slots=True)
class Changes:
    """What a watcher has missed.

    Attributes:
        cursor: what to ask from next time.
        messages: ids of messages that were added or changed, oldest change first, each once.
        everything: more was missed than is remembered; read the whole thread.
    """

    cursor: int
    messages: tuple[int, ...]
    everything: bool


@dataclass(frozen=True, slots=True)
class Presence:
    """What is known of a visitor beyond their words: whether their page is open, and whether they are typing."""

    there: bool = False
    typing: bool = False


class Feed:
    """The changes of one conversation. Watchers are woken through an event each and then look for themselves."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cursor = 0
        self._recent: list[tuple[int, int]] = []
        self._runs: dict[int, Run] = {}
        self._watchers: list[threading.Event] = []
        self._typing: dict[Writer, float] = {}  # until when they count as typing, on the monotonic clock
        self.closed = False  # the conversation was deleted: there is nothing to watch any more

    def cursor(self) -> int:
        """Where the feed stands now; take it before reading rows, so that no change falls between."""
        with self._lock:
            return self._cursor

    def changes(self, cursor: int) -> Changes:
        """What has changed since ``cursor``."""
        with self._lock:
            missed = [message for at, message in self._recent if at > cursor]
            everything = self._cursor - cursor > len(missed)
            return Changes(self._cursor, tuple(dict.fromkeys(missed)), everything)

    def runs(self) -> dict[int, Run]:
        """The runs whose answers are still growing, by message id."""
        with self._lock:
            return dict(self._runs)

    def start(self, run: Run, question_id: int) -> None:
        """Add a run, and announce its question and its message, in this order."""
        with self._lock:
            self._runs[run.message_id] = run
            self._announce(question_id)
            self._announce(run.message_id)

    def grow(self, run: Run, text: str = "", queued: Queued | None = None) -> None:
        """Append text to a run, or move it in the queue."""
        with self._lock:
            run.text += text
            run.queued = queued
            self._wake()

    def end(self, run: Run, outcome: Finished | Failed) -> None:
        """Close a run whose row is stored, and announce its message."""
        with self._lock:
            run.outcome = outcome
            if self._runs.get(run.message_id) is run:  # else a retry, quicker than we are, has taken its place
                del self._runs[run.message_id]
            self._announce(run.message_id)

    def announce(self, *message_ids: int) -> None:
        """Say that these messages were added or changed."""
        with self._lock:
            for message_id in message_ids:
                self._announce(message_id)

    def note_typing(self, who: Writer, *, typing: bool) -> None:
        """Say that somebody has just touched a key, or has sent what they typed."""
        with self._lock:
            self._typing[who] = time.monotonic() + _TYPING if typing else 0.0
            self._wake()

    def typing(self, who: Writer) -> float:
        """For how many seconds more somebody counts as typing; 0 when they do not."""
        with self._lock:
            return max(0.0, self._typing.get(who, 0.0) - time.monotonic())

    def close(self) -> None:
        """Tell the watchers that the conversation is gone."""
        with self._lock:
            self.closed = True
            self._wake()

    def join(self, watcher: threading.Event) -> None:
        """Wake ``watcher`` at every change from now on."""
        with self._lock:
            self._watchers.append(watcher)

    def leave(self, watcher: threading.Event) -> None:
        """Stop waking ``watcher``."""
        with self._lock:
            self._watchers.remove(watcher)

    @property
    def watched(self) -> bool:
        """Whether anybody is to be woken."""
        with self._lock:
            return bool(self._watchers)

    def _announce(self, message_id: int) -> None:
        self._cursor += 1
        self._recent.append((self._cursor, message_id))
        del self._recent[:-_REMEMBERED]
        self._wake()

    def _wake(self) -> None:
        for watcher in self._watchers:
            watcher.set()


class Feeds:
    """The feeds of this process by public conversation id; one exists while somebody watches it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._feeds: dict[str, Feed] = {}

    @contextmanager
    def watch(self, conversation: str, watcher: threading.Event) -> Iterator[Feed]:
        """Hold a conversation's feed and be woken by it for as long as the block lasts."""
        with self._lock:
            feed = self._feeds.setdefault(conversation, Feed())
            feed.join(watcher)
        try:
            yield feed
        finally:
            with self._lock:
                feed.leave(watcher)
                if not feed.watched:
                    self._feeds.pop(conversation, None)

    def announce(self, conversation: str, *message_ids: int) -> None:
        """Tell the watchers of a conversation, if there are any."""
        with self._lock:
            feed = self._feeds.get(conversation)
        if feed:
            feed.announce(*message_ids)

    def note_typing(self, conversation: str, who: Writer, *, typing: bool = True) -> None:
        """Tell the watchers of a conversation, if there are any, that somebody is typing, or has sent it."""
        with self._lock:
            feed = self._feeds.get(conversation)
        if feed:
            feed.note_typing(who, typing=typing)

    def presence(self, conversation: str) -> Presence:
        """What this process knows of the visitor of a conversation."""
        with self._lock:
            feed = self._feeds.get(conversation)
        return Presence(there=True, typing=feed.typing("visitor") > 0) if feed else Presence()

    def close(self, conversation: str) -> None:
        """Tell the watchers of a conversation that it is gone, if there are any."""
        with self._lock:
            feed = self._feeds.get(conversation)
        if feed:
            feed.close()

    def runs(self, conversation: str) -> dict[int, Run]:
        """The runs of a conversation in this process, by message id."""
        with self._lock:
            feed = self._feeds.get(conversation)
        return feed.runs() if feed else {}
