"""Queries about vectors: what encoders made of the FAQ's texts, found again by the text's digest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, select

from webchat.storage.tables import FaqVector

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from sqlalchemy.orm import Session

_AT_ONCE = 500  # digests of one query: databases bound a statement's parameters


def known(session: Session, encoder: str, digests: Collection[bytes]) -> dict[bytes, bytes]:
    """Find the vectors of these texts, by digest."""
    wanted = list(digests)
    found: dict[bytes, bytes] = {}
    for at in range(0, len(wanted), _AT_ONCE):
        query = select(FaqVector.digest, FaqVector.vector)
        query = query.where(FaqVector.encoder == encoder, FaqVector.digest.in_(wanted[at : at + _AT_ONCE]))
        found.update((digest, vector) for digest, vector in session.execute(query))
    return found


def store(session: Session, encoder: str, vectors: Mapping[bytes, bytes]) -> None:
    """Keep vectors by digest; those that another process has stored meanwhile stay as they are."""
    there = known(session, encoder, vectors)
    session.add_all(
        FaqVector(encoder=encoder, digest=digest, vector=vector)
        for digest, vector in vectors.items()
        if digest not in there
    )


def forget(session: Session, encoder: str, digests: Collection[bytes]) -> None:
    """Remove vectors of texts that are no longer asked, and all of other encoders."""
    session.execute(delete(FaqVector).where(FaqVector.encoder != encoder))
    unused = list(digests)
    for at in range(0, len(unused), _AT_ONCE):
        query = delete(FaqVector).where(FaqVector.digest.in_(unused[at : at + _AT_ONCE]))
        session.execute(query)


def digests(session: Session, encoder: str) -> set[bytes]:
    """List the texts that have a vector."""
    return set(session.scalars(select(FaqVector.digest).where(FaqVector.encoder == encoder)))
