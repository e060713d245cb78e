"""What ``webchat model tune`` makes its files from: the less it was rounded already, the better they become."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from webchat.engine.files import Unavailable, length
from webchat.engine.progress import say
from webchat.engine.recipes import BOUND_FROM_DOWNLOAD, BOUND_FROM_ORIGINAL
from webchat.engine.sources import HubFile, Record, parse_source, record_path
from webchat.engine.weights import fetch

if TYPE_CHECKING:
    from webchat.config import Settings

_FINER = ("q8_0", "fp16", "f16", "bf16")  # the first is half as large as the others and as good


@dataclass(frozen=True)
class Source:
    """A file to make others from.

    Attributes:
        path: where it is.
        bound: how much their perplexity may rise over the download's; 0.05 is 5 %.
        fetched: whether it came for this alone and can go afterwards.
    """

    path: Path
    bound: float
    fetched: bool = False


def best_source(settings: Settings, download: Path) -> Source:
    """The model's file with the least rounding: beside the download, from the hub, or the download itself.

    Raises:
        ModelError: when the hub has one and the disk cannot take it.
    """
    for path in _finer_names(download):
        if length(path):
            return Source(path, BOUND_FROM_ORIGINAL)
    configured = parse_source(settings.model)
    record = Record.beside(download)
    if isinstance(configured, HubFile) and record and configured.gave(record):
        for path in _finer_names(Path(configured.path)):
            try:
                finer = settings.model_copy(update={"model": f"{configured.repository}/{path}"})
                return Source(fetch(finer), BOUND_FROM_ORIGINAL, fetched=True)
            except Unavailable as problem:
                say(str(problem))
    say(f"No file with less rounding is at hand: making candidates from {download.name} itself.")
    return Source(download, BOUND_FROM_DOWNLOAD)


def _finer_names(path: Path) -> list[Path]:
    """How the same model's finer files are called: ``…-q8_0.gguf`` and the like, beside ``…-q4_k_m.gguf``."""
    rounded = re.search(r"(?i)(?<![a-z0-9])i?q[2-6]_[a-z0-9_]+$", path.stem)
    if rounded is None:
        return []
    stem, upper = path.stem[: rounded.start()], rounded[0].isupper()
    return [path.with_name(f"{stem}{name.upper() if upper else name}.gguf") for name in _FINER]


def discard(path: Path) -> None:
    """Remove a file and its record."""
    path.unlink(missing_ok=True)
    record_path(path).unlink(missing_ok=True)
