"""Leases: a run belongs to a process, and a process that dies lets go of its runs by falling silent.

One thread renews the leases of this process's runs and marks as interrupted what others have let
expire. At start it first waits out the leases it finds, so that by the time the site says it is
ready, nothing that died with the last process still looks alive.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from webchat.answering.pipeline import LEASE
from webchat.storage import messages
from webchat.storage.database import StorageUnavailable

if TYPE_CHECKING:
    from webchat.answering.pipeline import Answerer
    from webchat.storage.database import Database

log = structlog.get_logger(__name__)

_EVERY = LEASE.total_seconds() / 3


class LeaseKeeper:
    """Renews, expires, and knows whether the leftovers of dead processes have been settled."""

    def __init__(self, database: Database, answerer: Answerer) -> None:
        self._database = database
        self._answerer = answerer
        self._stop = threading.Event()
        self._settled = threading.Event()
        self.problem: str | None = None  # why the leases could not be kept the last time
        self._thread = threading.Thread(target=self._run, name="leases", daemon=True)

    @property
    def settled(self) -> bool:
        """Whether every run that was left over at start has been dealt with."""
        return self._settled.is_set()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        settled_at: datetime | None = None
        while not self._stop.is_set():
            wait = _EVERY
            try:
                settled_at = settled_at or self._last_lease_of_the_dead()
                now = datetime.now(UTC)
                self._renew_and_expire(now)
                self._answerer.store_late()
                self.problem = None
                if not self.settled:
                    wait = min(wait, self._settle(settled_at, now))
            except StorageUnavailable as error:
                self.problem = str(error)
                log.warning("leases not kept", problem=self.problem)
            except Exception:  # without this thread every answer being written would be given up
                self.problem = "The leases of running answers cannot be kept; the log says why."
                log.exception("leases not kept")
            self._stop.wait(wait)

    def _last_lease_of_the_dead(self) -> datetime:
        """When the last lease that other processes hold now has expired, unless its process lives and renews it."""
        now = datetime.now(UTC)
        with self._database.read() as session:
            held = messages.held_by_others(session, self._answerer.owner)
        return min(max(held, default=now), now + LEASE)

    def _renew_and_expire(self, now: datetime) -> None:
        with self._database.write() as session:
            self._answerer.renew(session)
            interrupted = messages.interrupt_expired(session, now)
        for conversation, message_id in interrupted:
            log.warning("answer interrupted", conversation=conversation, message_id=message_id)
            self._answerer.feeds.announce(conversation, message_id)

    def _settle(self, settled_at: datetime, now: datetime) -> float:
        """Seconds to wait for the leases found at start; once they are in the past, everything is settled."""
        left = (settled_at - now).total_seconds()
        if left >= 0:
            return left + 0.01
        self._settled.set()
        return _EVERY
