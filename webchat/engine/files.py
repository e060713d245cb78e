"""A file of weights on this disk: its length, its hash, room for it, and why it cannot be had."""

from __future__ import annotations

import hashlib
import shutil
from typing import TYPE_CHECKING

from webchat.config import Refusal
from webchat.engine.progress import Meter, megabytes

if TYPE_CHECKING:
    from pathlib import Path

MAGIC = b"GGUF"
_CHUNK = 1 << 20


class ModelError(Refusal):
    """The weights cannot be had; the message is a sentence for the person at the terminal."""


class Unavailable(ModelError):  # noqa: N818 - reads as what happened
    """The other side cannot give the file: out of reach, breaking off, or sending other bytes."""


class ModelMissing(ModelError):  # noqa: N818 - reads as what happened
    """The file to load is not there; the message says what to type."""


def sha256_of(path: Path) -> str:
    """Hash a file, in lower-case hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file, Meter("checking sha256", length(path)) as meter:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            meter.update(file.tell())
    return digest.hexdigest()


def require_space(folder: Path, needed: int, what: str = "The download") -> None:
    """Refuse to begin what the disk cannot hold.

    Raises:
        ModelError: naming both sizes, when fewer than ``needed`` bytes are free.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise ModelError(
            f"{what} needs {megabytes(needed)} in {folder}, and {megabytes(free)} are free: "
            "make room or point WEBCHAT_DATA_DIR to a larger disk."
        )


def length(path: Path) -> int:
    """Bytes a file has so far; 0 when it does not exist."""
    return path.stat().st_size if path.exists() else 0
