"""`webchat` on the command line, as a process of its own."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from webchat.config import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_DEADLINE = 60.0


@contextmanager
def commands(environment: Mapping[str, str]) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Yields what starts a command: its arguments, and more variables by name. What still runs at the end is ended."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: object, **more: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "webchat.cli", *map(str, arguments)],
            cwd=CHECKOUT,
            env={**environment, **more},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.terminate()  # not kill: some have a server to end
        process.communicate(timeout=_DEADLINE)
