"""How much memory a server on this machine holds, read from ``/proc`` as `top` does."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

_PROC = Path("/proc")
_LISTENING = "0A"
_LOCAL = {"localhost", "127.0.0.1", "::1"}


def resident_bytes(url: str) -> int | None:
    """Bytes resident in the processes that serve an address, their children included.

    Pages that several of them share count for each, as they do in `top`.

    Returns:
        None where that cannot be seen: another machine, another account's process, a system without ``/proc``.
    """
    parts = urlsplit(url)
    port = parts.port or {"https": 443}.get(parts.scheme, 80)
    pids = _with_children(_listeners(port)) if parts.hostname in _LOCAL else set()
    return sum(map(_resident, pids)) or None


def _listeners(port: int) -> set[int]:
    """The processes that hold a socket which listens on the port."""
    wanted = {
        f"socket:[{inode}]" for name in ("tcp", "tcp6") for inode in _listening_inodes(_PROC / "net" / name, port)
    }
    return {pid for pid in _pids() if wanted & _descriptors(pid)} if wanted else set()


def _listening_inodes(table: Path, port: int) -> set[str]:
    """Columns as in proc(5): the local address is the second, the state the fourth, the inode the tenth."""
    try:
        rows = [line.split() for line in table.read_text().splitlines()[1:]]
    except OSError:
        return set()
    return {row[9] for row in rows if row[3] == _LISTENING and row[1].endswith(f":{port:04X}")}


def _pids() -> list[int]:
    return [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit()] if _PROC.is_dir() else []


def _descriptors(pid: int) -> set[str]:
    found = set()
    with suppress(OSError):  # it ended, or belongs to somebody else
        for descriptor in (_PROC / str(pid) / "fd").iterdir():
            with suppress(OSError):
                found.add(str(descriptor.readlink()))
    return found


def _with_children(pids: set[int]) -> set[int]:
    parents = {pid: _parent(pid) for pid in _pids()} if pids else {}
    known = set(pids)
    while new := {pid for pid, parent in parents.items() if parent in known} - known:
        known |= new
    return known


def _parent(pid: int) -> int:
    with suppress(OSError):
        if found := re.search(r"^PPid:\s+(\d+)", (_PROC / str(pid) / "status").read_text(), re.MULTILINE):
            return int(found[1])
    return 0


def _resident(pid: int) -> int:
    with suppress(OSError):
        return int((_PROC / str(pid) / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0
