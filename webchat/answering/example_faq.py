"""The example FAQ of an invented shop: with it the first visitor of a new installation finds answers."""

from __future__ import annotations

import tomllib
from contextlib import suppress
from typing import TYPE_CHECKING

from webchat.config import CHECKOUT
from webchat.storage import faq
from webchat.storage.database import Conflict

if TYPE_CHECKING:
    from webchat.storage.database import Database, Session

BATCH = "example"
_FILE = CHECKOUT / "webchat" / "examples" / "shop.toml"


def read_example() -> list[faq.NewEntry]:
    """The entries of the example, as its file holds them."""
    entries = tomllib.loads(_FILE.read_text(encoding="utf-8"))["entries"]
    return [
        faq.NewEntry(phrasings=entry["phrasings"], answer=entry["answer"].strip(), group_name=entry["group"])
        for entry in entries
    ]


def add_example(session: Session) -> int:
    """Add the example in the caller's transaction; how many entries, 0 when some of it is there already.

    Raises:
        Conflict: another process has added it at the same moment.
    """
    if faq.batch_size(session, BATCH):
        return 0
    added = faq.add_batch(session, read_example(), BATCH)
    if faq.batch_size(session, BATCH) != added:  # adding waits for the other one's commit, so now we see it
        raise Conflict("The example FAQ was added twice at the same moment.")
    return added


def load_example_faq(database: Database) -> int:
    """Add the example; how many entries, 0 when some of it is there already."""
    with suppress(Conflict), database.write() as session:
        return add_example(session)
    return 0


def load_into_new_database(database: Database) -> int:
    """Add the example where no entry has ever been; how many entries."""
    with suppress(Conflict), database.write() as session:
        return 0 if faq.ever_used(session) else add_example(session)
    return 0
