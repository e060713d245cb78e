"""What ``WEBCHAT_MODEL`` and ``WEBCHAT_ENCODER`` may name, and the record kept beside each fetched file."""

from __future__ import annotations

import ipaddress
import json
import re
import urllib.parse
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from webchat.config import ConfigurationError

_HUB_FILE = re.compile(r"([\w-][\w.-]*/[\w-][\w.-]*)/((?:[\w-][\w.-]*/)*[\w-][\w.-]*\.gguf)")
_SHA256 = re.compile(r"[0-9a-f]{64}")
TUNED = "webchat model tune"  # how the source of a file begins that was made here


@dataclass(frozen=True)
class Record:
    """What was fetched; kept as ``<file>.json`` beside the file, to check it without a network."""

    source: str
    size: int
    sha256: str
    fetched_at: str

    @classmethod
    def beside(cls, file: Path) -> Record | None:
        """Read the record of ``file``; None when it has none that can be read."""
        try:
            return cls(**json.loads(record_path(file).read_bytes()))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, file: Path) -> None:
        """Put this record beside ``file``, whole or not at all."""
        target = record_path(file)
        unfinished = target.with_suffix(".json.new")
        unfinished.write_text(json.dumps(asdict(self), indent=2) + "\n", "utf-8")
        unfinished.replace(target)


def record_path(file: Path) -> Path:
    """Where the record of ``file`` is."""
    return file.with_name(f"{file.name}.json")


class Giver(Protocol):
    """Something that files came from."""

    def gave(self, record: Record) -> bool:
        """Whether a recorded file came from here (or is the same byte by byte)."""


class Origin(Giver, Protocol):
    """Something weights can be fetched from."""

    @property
    def filename(self) -> str:
        """The name of its file in the models folder."""

    @property
    def label(self) -> str:
        """How records and messages name it; holds no secret."""


@dataclass(frozen=True)
class HubFile:
    """A file in a repository of the hub."""

    repository: str
    path: str

    @property
    def filename(self) -> str:
        """The name of its file in the models folder."""
        return self.path.rpartition("/")[2]

    @property
    def label(self) -> str:
        """The setting that names it."""
        return f"{self.repository}/{self.path}"

    def gave(self, record: Record) -> bool:
        """The hub's file may change, so its name decides, not its bytes."""
        return record.source == self.label


@dataclass(frozen=True)
class WebFile:
    """A file at any address, pinned by its hash."""

    url: str
    sha256: str

    @property
    def filename(self) -> str:
        """The name of its file in the models folder."""
        return _basename(self.url)

    @property
    def label(self) -> str:
        """The server and the file's name, without a query that may hold a token."""
        return f"{site(self.url)}/…/{self.filename}"

    def gave(self, record: Record) -> bool:
        """The hash decides, wherever the bytes came from."""
        return record.sha256 == self.sha256


@dataclass(frozen=True)
class LocalFile:
    """A file that somebody else put on this machine."""

    path: Path


Source = HubFile | WebFile | LocalFile


def is_sha256(digest: str) -> bool:
    """Whether this is a sha256 in lower-case hexadecimal."""
    return _SHA256.fullmatch(digest) is not None


def site(url: str) -> str:
    """The scheme, host and port of an address, without whatever secrets the rest may carry."""
    import httpx2  # noqa: PLC0415 - only who names an address waits for it

    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL:
        return "an address that cannot be read"
    return f"{parsed.scheme}://{parsed.host}" + (f":{parsed.port}" if parsed.port else "")


def parse_source(setting: str, variable: str = "WEBCHAT_MODEL") -> Source:
    """Read a setting that names weights, as ``variable``.

    What holds ``://`` is an address. Else an existing file wins; then ``owner/repo/file.gguf`` is the hub's;
    and what begins with ``/``, ``./``, ``../`` or ``~`` or ends in ``.gguf`` is a path.

    Raises:
        ConfigurationError: when it is none of these, or an address without its hash.
    """
    if "://" in setting:
        return _web_file(setting, variable)
    path = _path(setting, variable)
    if setting.startswith(("/", "./", "../", "~")) or _exists(path):
        return LocalFile(path)
    if hub := _HUB_FILE.fullmatch(setting):
        return HubFile(hub[1], hub[2])
    if setting.endswith(".gguf"):
        return LocalFile(path)
    raise ConfigurationError(
        f"{variable}: {setting!r} is neither a hub file (owner/repo/file.gguf), nor a path of this "
        "machine, nor an address (https://…/file.gguf#sha256=…)."
    )


def _path(setting: str, variable: str) -> Path:
    try:
        return Path(setting).expanduser().absolute()
    except RuntimeError as error:  # ~somebody who has no account here
        raise ConfigurationError(f"{variable}: {setting!r} is not a path of this machine: {error}") from None


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # longer than any name may be
        return False


def _web_file(setting: str, variable: str) -> WebFile:
    import httpx2  # noqa: PLC0415 - as in ``site``

    address, _, fragment = setting.partition("#")
    digest = fragment.removeprefix("sha256=").lower()
    try:
        url, port = httpx2.URL(address), urllib.parse.urlsplit(address).port
    except (httpx2.InvalidURL, ValueError):
        url, port = httpx2.URL(""), None
    if not url.host or port == 0:
        raise ConfigurationError(f"{variable}: the address cannot be read; write https://host/path/file.gguf#sha256=….")
    if url.scheme != "https" and not (url.scheme == "http" and _is_loopback(url.host)):
        raise ConfigurationError(f"{variable}: an address begins with https:// (http:// only for this machine).")
    if not _basename(address).endswith(".gguf"):
        raise ConfigurationError(f"{variable}: the path of an address ends in the file's name, as in …/file.gguf.")
    if not fragment.startswith("sha256=") or not is_sha256(digest):
        raise ConfigurationError(
            f"{variable}: an address needs the file's hash behind it: #sha256= and 64 hexadecimal digits."
        )
    return WebFile(address, digest)


def _basename(url: str) -> str:
    """The last part of an address's path; a slash or NUL hidden by %-escapes does not survive into it."""
    name = urllib.parse.unquote(urllib.parse.urlsplit(url).path.rpartition("/")[2])
    return re.sub(r"[/\\\x00-\x1f]", "_", name)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
