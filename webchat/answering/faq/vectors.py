"""The vectors of a FAQ's texts: from the database where they are known, else from the encoder."""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING

import numpy as np

from webchat.answering.normalise import nfkc
from webchat.storage import inbox
from webchat.storage import vectors as stored

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from webchat.engine.encoders import Encoder
    from webchat.storage.database import Database

_TOGETHER = 64  # texts encoded between two commits: a process that dies in between loses a second's work
_TOGETHER_IN_TIME = 4  # texts encoded before the clock is looked at
_SPARE = 2000  # vectors that nothing needs at the moment: less than 4 MB
_TYPE = np.dtype("<f2")


class OutOfTime(Exception):  # noqa: N818 - a state, named as callers say it
    """Not all could be encoded in time; what was is stored, so another try comes further."""


def vectors_of(
    texts: Sequence[str],
    encoder: Encoder,
    database: Database,
    show: Callable[[int, int], None] = lambda *_: None,
    *,
    together: int = _TOGETHER,
) -> np.ndarray:
    """The texts' vectors; what had to be encoded is stored.

    Args:
        texts: as they were written.
        encoder: makes those that are not known.
        database: where they are kept.
        show: told how many of how many have been encoded.
        together: how many are encoded between two calls of ``show``.

    Returns:
        float32, a row for each text.

    Raises:
        EngineUnavailable: the encoder has been closed.
        StorageUnavailable: the database cannot be used now.
    """
    asked = [nfkc(text) for text in texts]
    digests = [_digest(text) for text in asked]
    with database.read() as session:
        known = stored.known(session, encoder.name, set(digests))
    missing = {digest: text for digest, text in zip(digests, asked, strict=True) if digest not in known}
    for at in range(0, len(missing), together):
        batch = dict(list(missing.items())[at : at + together])
        made = encoder.encode(list(batch.values()), urgent=False).astype(_TYPE)
        fresh = {digest: row.tobytes() for digest, row in zip(batch, made, strict=True)}
        with database.write() as session:
            stored.store(session, encoder.name, fresh)
        known |= fresh
        show(at + len(batch), len(missing))
    rows = np.frombuffer(b"".join(known[digest] for digest in digests), _TYPE)
    return rows.reshape(len(texts), sum(encoder.parts)).astype(np.float32)


class Remembering:
    """An encoder that looks among the stored vectors first, and stores what it makes: for questions asked again."""

    def __init__(self, encoder: Encoder, database: Database) -> None:
        self._encoder, self._database = encoder, database
        self.name, self.parts = encoder.name, encoder.parts

    def encode(self, texts: Sequence[str], *, urgent: bool = True) -> np.ndarray:  # noqa: ARG002 - never urgent
        """The texts' vectors; raises as ``vectors_of`` does."""
        return vectors_of(texts, self._encoder, self._database)

    def encode_until(self, end: float, texts: Sequence[str]) -> np.ndarray:
        """The texts' vectors, made before the monotonic clock shows ``end``.

        Raises:
            OutOfTime: there were too many.
            EngineUnavailable, StorageUnavailable: as ``vectors_of`` does.
        """

        def look(done: int, total: int) -> None:
            if done < total and time.monotonic() > end:
                raise OutOfTime

        return vectors_of(texts, self._encoder, self._database, look, together=_TOGETHER_IN_TIME)

    def close(self) -> None:
        """Leave the encoder open for the others."""


def forget_unused(texts: Sequence[str], encoder: Encoder, database: Database) -> None:
    """Remove vectors of other encoders, and most of those that none of the texts, and no group of the inbox, needs.

    Some are left for an undo, and for questions that rehearsals ask again: they go when there are more of them than
    texts, and than fit into a few megabytes.
    """
    with database.read() as session:
        there = stored.digests(session, encoder.name)
        asked = [wording.text for wording in inbox.wordings(session)]
    unused = there - {_digest(nfkc(text)) for text in (*texts, *asked)}
    with database.write() as session:
        stored.forget(session, encoder.name, unused if len(unused) > max(len(texts), _SPARE) else ())


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()
