"""The folder of a small site: tables without a history, and the two or three entries that a test asks for."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from webchat.storage import faq
from webchat.storage.database import Database

if TYPE_CHECKING:
    from pathlib import Path

RETURNS = ("怎么退货？", "七天内可以**退货**。")
PAYING = ("怎么付款？", "微信、支付宝都可以。")


def small_site(folder: Path, migrated_file: Path, *entries: tuple[str, str]) -> Path:
    """Put a database with these entries, each a question and its answer, into a folder; the folder."""
    shutil.copy(migrated_file, folder / "webchat.db")
    database = Database(f"sqlite:///{folder / 'webchat.db'}")
    with database.write() as session:
        for question, answer in entries:
            faq.create(session, phrasings=[question], answer=answer)
    database.close()
    return folder
