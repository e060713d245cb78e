"""One large file over HTTP: resumed where it stopped, checked by its sha256, written as a part until then."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx2

from webchat.engine.files import MAGIC, Unavailable, length, require_space, sha256_of
from webchat.engine.progress import Meter, megabytes, say
from webchat.engine.sources import site

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

_TIMEOUT = httpx2.Timeout(20, connect=5)
# Seconds to wait after each failure in a row; one more failure and the download is given up.
_PAUSES = (1, 2, 4)


@dataclass(frozen=True)
class RemoteFile:
    """A file on a server, with what its bytes must be."""

    url: str
    size: int
    sha256: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


def measure(url: str, headers: Mapping[str, str], timeout: float) -> int:
    """Ask for the file's first bytes, the way the download will: redirects included.

    Args:
        url: Where the file is.
        headers: Sent along; an ``Authorization`` stays with the first host.
        timeout: Seconds for each wait (connecting, each read).

    Returns:
        The size of the whole file in bytes.

    Raises:
        Unavailable: when what comes is not a GGUF file or does not tell its size.
        httpx2.HTTPError: when the server cannot be reached or refuses.
    """
    asked = {**headers, "Accept-Encoding": "identity", "Range": f"bytes=0-{len(MAGIC) - 1}"}
    with httpx2.stream("GET", url, headers=asked, timeout=timeout, follow_redirects=True) as response:
        response.raise_for_status()
        if next(response.iter_raw(len(MAGIC)), b"")[: len(MAGIC)] != MAGIC:
            raise Unavailable(f"What {site(url)} sends is not a GGUF file.")
        return _start_and_total(response)[1]


def download(remote: RemoteFile, part: Path) -> None:
    """Fill ``part`` up to the remote's size, going on where an earlier try stopped.

    Raises:
        Unavailable: when the connection fails several times without a byte gained.
        ModelError: when the disk has less room than the rest of the file needs.
        OSError: when the disk takes no more; what was written stays for the next try.
    """
    require_space(part.parent, remote.size - length(part))
    failures = 0
    while (have := length(part)) < remote.size:
        try:
            _receive(remote, part, have)
        except httpx2.HTTPError as error:
            failures = 1 if length(part) > have else failures + 1
            if failures > len(_PAUSES):
                raise Unavailable(f"The download from {site(remote.url)} keeps failing: {reason(error)}.") from error
            say(f"The download stopped at {megabytes(length(part))} ({reason(error)}); going on from there.")
            time.sleep(_PAUSES[failures - 1])  # backs off: a server that fails is not asked again at once


def fill_and_check(part: Path, sha256: str, fill: Callable[[Path], None]) -> None:
    """Fill a part and check it; wrong bytes are thrown away and fetched once more from the start.

    Raises:
        Unavailable: when the bytes are wrong the second time too.
    """
    for verdict in ("starting again from nothing", "giving up"):
        fill(part)
        found = sha256_of(part)
        if found == sha256:
            return
        part.unlink()
        say(f"Wrong bytes arrived (sha256 {found[:12]}…, expected {sha256[:12]}…); {verdict}.")
    raise Unavailable(f"The bytes that arrive do not have the sha256 {sha256}.")


def reason(error: Exception) -> str:
    """Say in a few words why a request failed."""
    response = getattr(error, "response", None)
    if isinstance(response, httpx2.Response):
        return f"it answers {response.status_code} {response.reason_phrase}".rstrip()
    if isinstance(error, httpx2.TimeoutException):
        return "it does not answer in time"
    return (str(error) or type(error).__name__).splitlines()[0].rstrip(".")


def _receive(remote: RemoteFile, part: Path, have: int) -> None:
    headers = {**remote.headers, "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    with (
        httpx2.stream("GET", remote.url, headers=headers, timeout=_TIMEOUT, follow_redirects=True) as response,
        Meter(part.name.partition(".gguf")[0], remote.size) as meter,
    ):
        response.raise_for_status()
        start, total = _start_and_total(response)
        if total != remote.size or start not in {0, have}:
            raise httpx2.RemoteProtocolError(f"it sends {total} bytes from {start}, not {remote.size} from {have}")
        _append(response, part, start, meter)
    if length(part) < remote.size:
        raise httpx2.RemoteProtocolError("it ended early")


def _append(response: httpx2.Response, part: Path, start: int, meter: Meter) -> None:
    """Write the body behind the first ``start`` bytes; a server without ranges starts again at 0."""
    with part.open("ab" if start else "wb") as file:
        for chunk in response.iter_raw():
            file.write(chunk)
            start += len(chunk)
            meter.update(start)


def _start_and_total(response: httpx2.Response) -> tuple[int, int]:
    """Where this body begins in the file, and how long the whole file is."""
    if response.status_code == httpx2.codes.PARTIAL_CONTENT:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
        if found:
            return int(found[1]), int(found[2])
    elif response.headers.get("Content-Length", "").isdigit():
        return 0, int(response.headers["Content-Length"])
    raise httpx2.RemoteProtocolError("it does not tell the size of the file")
