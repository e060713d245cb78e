"""The machine a model runs on: what its speed depends on besides its file."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

_VECTORS = re.compile(r"\b(?:avx2|avx512\w*|avx_vnni|amx\w*|asimddp|i8mm|sve2?)\b")


def cores() -> int:
    """Cores this process may use; fewer than the machine has inside a container or under taskset."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux only
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def processor() -> str:
    """The processor's name, the cores this process may use, and its vector instructions."""
    known = Path("/proc/cpuinfo")  # Linux only
    words = known.read_text("utf-8", "replace") if known.exists() else ""
    found = re.search(r"^model name\s*:\s*(.+)$", words, re.MULTILINE)
    name = found[1] if found else platform.processor() or platform.machine()
    return ", ".join([name, f"{cores()} cores", *sorted(set(_VECTORS.findall(words)))])
