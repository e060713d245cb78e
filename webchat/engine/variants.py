"""Which file of the configured model is in use: the download, or the one that ``webchat model tune`` made of it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import structlog

from webchat.engine.files import length, sha256_of
from webchat.engine.processor import processor
from webchat.engine.recipes import AS_IS, RECIPES, Measured
from webchat.engine.sources import TUNED, Record, record_path
from webchat.engine.weights import served_path

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from webchat.config import Settings

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Result:
    """What one ``webchat model tune`` found; kept as JSON in the data directory.

    Attributes:
        download: the file it began with, by name,
        size: its bytes,
        sha256: and its hash.
        processor: where the speeds were measured.
        source: the file that the candidates were made from.
        bound: how much perplexity might rise.
        chosen: the name of the fastest within the bound.
        file: the chosen file's name in the models folder; empty for the download itself.
        measured: every file that was tried.
        measured_at: UTC, ISO 8601.
    """

    download: str
    size: int
    sha256: str
    processor: str
    source: str
    bound: float
    chosen: str
    file: str
    measured: tuple[Measured, ...]
    measured_at: str

    @classmethod
    def read(cls, path: Path) -> Result | None:
        """Read a result; None when there is none that can be read."""
        try:
            fields = json.loads(path.read_bytes())
            measured = tuple(Measured(**each) for each in fields.pop("measured"))
            return cls(**fields, measured=measured)
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None

    def tuned_file(self, settings: Settings) -> Path | None:
        """The chosen file; None when it is the download, or is not there as whole as it was made."""
        path = settings.models_dir.absolute() / self.file
        record = Record.beside(path)
        return path if self.file and record and length(path) == record.size else None

    def write(self, path: Path) -> None:
        """Keep the result, whole or not at all."""
        unfinished = path.with_suffix(".json.new")
        unfinished.write_text(json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n", "utf-8")
        unfinished.replace(path)


def tuning_dir(settings: Settings) -> Path:
    """Where results, plots and unfinished candidates are."""
    return settings.data_dir.absolute() / "tuning"


def result_path(settings: Settings, download: Path) -> Path:
    """Where the result of these recipes for this download, on this processor and with these kernels, is kept."""
    from webchat.engine.llama import libraries  # noqa: PLC0415 - loads them: who serves the download as it is need not

    measured = f"{processor()} {libraries()} {identity(download)} {RECIPES}"
    here = hashlib.sha256(measured.encode()).hexdigest()[:12]
    return tuning_dir(settings) / f"{download.stem}.{here}.json"


def file_in_use(settings: Settings, warn: Callable[[str], None] | None = None) -> Path:
    """The file the server loads: the download or, with ``WEBCHAT_MODEL_VARIANT=auto``, the tuned file.

    A tuned file that is not there, was made of another download or measured with other kernels, is passed over with a
    warning.

    Args:
        settings: name the model and the variant.
        warn: told in a sentence when the download is used although a tuned file is wanted; by default the log is.

    Raises:
        ModelMissing: when there is no download.
        ConfigurationError: when ``WEBCHAT_MODEL`` cannot be read.
    """
    download = served_path(settings)
    if settings.model_variant == AS_IS:
        return download
    result = Result.read(result_path(settings, download))
    if result and not result.file:
        return download  # nothing faster was as good
    if result and (tuned := result.tuned_file(settings)):
        return tuned
    problem = (
        f"{result.file} is missing or cut short"
        if result
        else f"{download.name} was not tuned on this machine, or not with these kernels"
    )
    (warn or log.warning)(
        f"WEBCHAT_MODEL_VARIANT=auto, but {problem}: using it as downloaded. Type `webchat model tune`."
    )
    return download


def keep(settings: Settings, download: Path, result: Result, candidate: Path | None) -> None:
    """Put the chosen file among the weights, then the result that names it; forget what they replace.

    A crash between any two steps leaves the download in use, and nothing half that looks whole.

    Args:
        settings: name the folders.
        download: what the candidates are measured against.
        result: what was found.
        candidate: the chosen file, on the same disk; None when that is the download.
    """
    if candidate:
        final = settings.models_dir.absolute() / result.file
        made = Record(f"{TUNED}, from {download.name}", length(candidate), sha256_of(candidate), result.measured_at)
        final.unlink(missing_ok=True)
        made.write(final)
        candidate.replace(final)
    path = result_path(settings, download)
    result.write(path)
    _forget_others(settings, path, result)


def _forget_others(settings: Settings, path: Path, result: Result) -> None:
    """Remove results of this download before it changed, and tuned files that no result names."""
    named = {result.file}
    for other in set(tuning_dir(settings).glob("*.json")) - {path}:
        found = Result.read(other)
        if found and (found.download, found.processor) != (result.download, result.processor):
            named.add(found.file)
        else:
            other.unlink()
            other.with_suffix(".svg").unlink(missing_ok=True)
    for file in settings.models_dir.glob("*.gguf"):
        record = Record.beside(file)
        if record and record.source.startswith(TUNED) and file.name not in named:
            file.unlink()
            record_path(file).unlink()


def identity(download: Path) -> str:
    """What changes when the download's bytes do: its hash when it was fetched; size and time of a local file.

    Hashing half a gigabyte at every start would take longer than loading it.
    """
    if (record := Record.beside(download)) and record.size == length(download):
        return record.sha256
    status = download.stat()
    return f"{status.st_size} {status.st_mtime_ns}"


def sha256(download: Path) -> str:
    """The download's hash: from its record, else by reading it whole."""
    record = Record.beside(download)
    return record.sha256 if record and record.size == length(download) else sha256_of(download)
