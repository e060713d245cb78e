"""Which arrangement of the same weights this processor computes fastest with: as downloaded, or unpacked.

Both answer the same to the last bit (see ``unpacking``). The unpacked one is larger: where memory is slow it loses, so
both are timed, once for a file and a processor, and the result is kept beside the copy.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from contextlib import suppress
from statistics import geometric_mean
from typing import TYPE_CHECKING

import structlog

from webchat.engine.processor import processor
from webchat.engine.unpacking import packed, unpack, unpacked_size

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

log = structlog.get_logger(__name__)

_WORTH_IT = 1.03  # times as fast, all in all
_NO_LOSS = 0.98  # times as fast at the least, in every kind of work


def fastest(weights: Path, folder: Path, time_steps: Callable[[Path], Mapping[str, float]]) -> Path:
    """The file to load: ``weights``, or its unpacked copy, which is made when it may be faster.

    Args:
        weights: a GGUF file.
        folder: where the copy and the result go.
        time_steps: loads a file and gives the seconds of some kinds of steps, by name.

    Raises:
        EngineUnavailable: ``weights`` is no GGUF file, or the copy cannot be loaded.
    """
    copy = folder / f"{weights.stem}.gguf"
    note = copy.with_suffix(".json")
    known = _read(note)
    if known and known.get("of") == _identity(weights):
        if not known["faster"]:
            return weights
        if copy.exists() and copy.stat().st_size == known["size"]:
            return copy
    if not packed(weights):
        return weights
    try:
        return _compare(weights, copy, note, time_steps)
    except OSError as error:
        log.warning("weights used as downloaded: no unpacked copy could be made", problem=str(error))
        return weights


def _compare(weights: Path, copy: Path, note: Path, time_steps: Callable[[Path], Mapping[str, float]]) -> Path:
    copy.parent.mkdir(parents=True, exist_ok=True)
    _require_room(copy.parent, unpacked_size(weights))
    log.info("finding the fastest arrangement of the weights; once, some seconds")
    began = time.monotonic()
    fresh = copy.with_suffix(f".{os.getpid()}.new")
    try:
        unpack(weights, fresh)
        before, after = time_steps(weights), time_steps(fresh)
        gains = [before[kind] / after[kind] for kind in before]
        faster = geometric_mean(gains) >= _WORTH_IT and min(gains) >= _NO_LOSS
        found = {"of": _identity(weights), "faster": faster, "size": fresh.stat().st_size}
        found |= {"gains": {kind: round(gain, 3) for kind, gain in zip(before, gains, strict=True)}}
        if faster:
            fresh.replace(copy)
        else:
            copy.unlink(missing_ok=True)
        fresh.write_text(json.dumps(found) + "\n", "utf-8")
        fresh.replace(note)
    finally:
        fresh.unlink(missing_ok=True)
    log.info("arranged", unpacked=faster, gains=found["gains"], seconds=round(time.monotonic() - began, 1))
    return copy if faster else weights


def _read(note: Path) -> dict[str, object] | None:
    with suppress(OSError, ValueError):
        found = json.loads(note.read_bytes())
        if isinstance(found, dict) and {"of", "faster", "size"} <= set(found):
            return found
    return None


def _require_room(folder: Path, size: int) -> None:
    """Leave as much free as the copy takes: a disk that is full does more harm than a copy does good.

    Raises:
        OSError: there is less.
    """
    free = shutil.disk_usage(folder).free
    if free < 2 * size:
        raise OSError(f"{free / 1e6:.0f} MB free of the {2 * size / 1e6:.0f} MB it wants")


def _identity(weights: Path) -> list[object]:
    at = weights.stat()
    return [weights.name, at.st_size, at.st_mtime_ns, processor()]
