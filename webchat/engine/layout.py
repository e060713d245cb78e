"""Which arrangement of the same weights this processor computes fastest with: as downloaded, or unpacked.

Both answer the same to the last bit (see ``unpacking``). The unpacked one is larger: where memory is slow it loses, so
both are timed, once for a file and a processor, and the result is kept beside the copy.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from statistics import geometric_mean
from typing import TYPE_CHECKING

import structlog

from webchat.config import CHECKOUT
from webchat.engine.processor import memory, processor
from webchat.engine.unpacking import packed, unpack, unpacked_size

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
log = structlog.get_logger(__name__)

UNPACKED = "unpacked"  # the folder beside the models
_WORTH_IT = 1.03  # times as fast, all in all
_NO_LOSS = 0.95  # times as fast at the least, in every kind of work


def fastest(
    weights: Path, folder: Path, threads: int, prepare: Callable[[Path, Path, int], None] | None = None
) -> Path:
    """The file to load: ``weights``, or its unpacked copy, which is made when it may be faster.

    Args:
        weights: a GGUF file.
        folder: where the copy and the result go.
        threads: processor threads, 0 for every core.
        prepare: calls ``arrange``; by default in a process of its own, because it loads two models.

    Raises:
        EngineUnavailable: ``weights`` is no GGUF file.
    """
    if served := known(weights, folder):
        return served
    if not packed(weights):
        return weights
    try:
        _require_room(folder, unpacked_size(weights))
        log.info("finding the fastest arrangement of the weights; once, some seconds")
        (prepare or _elsewhere)(weights, folder, threads)
    except OSError as error:
        log.info("weights used as downloaded, without a faster copy", because=str(error))
    return known(weights, folder) or weights


def arrange(weights: Path, folder: Path, compare: Callable[[Path, Path], Mapping[str, float]]) -> None:
    """Make the unpacked copy, compare both, and keep the copy if it is faster, and the result.

    Args:
        weights: a GGUF file with packed matrices.
        folder: where the copy and the result go.
        compare: says how many times as fast a second file is as a first, in some kinds of steps.

    Raises:
        OSError: the disk is full or refuses.
    """
    folder.mkdir(parents=True, exist_ok=True)
    copy = _copy(weights, folder)
    fresh = copy.with_suffix(f".{os.getpid()}.new")
    try:
        unpack(weights, fresh)
        size, gains = fresh.stat().st_size, compare(weights, fresh)
        faster = geometric_mean(gains.values()) >= _WORTH_IT and min(gains.values()) >= _NO_LOSS
        if faster:
            fresh.replace(copy)
        else:
            copy.unlink(missing_ok=True)
        found = {"of": _identity(weights), "faster": faster, "size": size, "gains": dict(gains)}
        fresh.write_text(json.dumps(found) + "\n", "utf-8")
        fresh.replace(copy.with_suffix(".json"))
    finally:
        fresh.unlink(missing_ok=True)


def _elsewhere(weights: Path, folder: Path, threads: int) -> None:
    command = [sys.executable, "-m", "webchat.engine.layout", str(weights), str(folder), str(threads)]
    done = subprocess.run(command, cwd=CHECKOUT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)  # noqa: S603 - ourselves
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"its process ended with {done.returncode}"]
        raise OSError(lines[-1])


def _copy(weights: Path, folder: Path) -> Path:
    return folder / f"{weights.stem}.gguf"


def known(weights: Path, folder: Path) -> Path | None:
    """The faster file as found before; None when that is not known, or the copy is not there as whole as it was."""
    copy = _copy(weights, folder)
    note = _read(copy.with_suffix(".json"))
    if not note or note["of"] != _identity(weights):
        return None
    if not note["faster"]:
        return weights
    return copy if copy.exists() and copy.stat().st_size == note["size"] else None


def _read(note: Path) -> dict[str, object] | None:
    with suppress(OSError, ValueError):
        found = json.loads(note.read_bytes())
        if isinstance(found, dict) and {"of", "faster", "size"} <= set(found):
            return found
    return None


def _require_room(folder: Path, size: int) -> None:
    """A full disk, and memory that cannot hold what every token takes, do more harm than a copy does good.

    Raises:
        OSError: there is less than twice the copy's size of either.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for what, there in (("disk", shutil.disk_usage(folder).free), ("memory", memory())):
        if there < 2 * size:
            raise OSError(f"{there / 1e6:.0f} MB of {what} for the {2 * size / 1e6:.0f} MB it wants")


def _identity(weights: Path) -> list[object]:
    at = weights.stat()
    return [weights.name, at.st_size, at.st_mtime_ns, processor()]


def _main() -> None:
    from webchat.engine.measure import gains  # noqa: PLC0415 - loads llama.cpp, which the module's users may not need

    weights, folder, threads = sys.argv[1:]
    arrange(Path(weights), Path(folder), lambda before, after: gains(before, after, int(threads)))


if __name__ == "__main__":
    _main()
