"""What set-up says: sentences, one live line of progress per step, and a log with everything else."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

ROOT = Path(__file__).resolve().parent.parent
LOG = ROOT / "setup.log"

Describe = Callable[[str], str]
"""Turns a line of a command's output into a short progress text; an empty one changes nothing."""


class SetupError(Exception):
    """Set-up cannot go on; the message tells the person at the terminal what to do."""


def say(text: str) -> None:
    """Write one line for the person at the terminal (stdout is left to the commands' results)."""
    print(text, file=sys.stderr, flush=True)


def how_to_install(problem: str, *, debian: str, fedora: str, macos: str) -> SetupError:
    """An error that says what to type on each kind of machine."""
    return SetupError(
        f"{problem} Install it and run the same command again.\n"
        f"  Debian, Ubuntu:  {debian}\n  Fedora:          {fedora}\n  macOS:           {macos}"
    )


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


class Step:
    """A step under way: rewrites one line on a terminal, adds a line every ten seconds elsewhere."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._detail = ""
        self._terminal = sys.stderr.isatty()
        self._over = threading.Event()
        self._ticker = threading.Thread(target=self._tick, daemon=True)

    def __enter__(self) -> Self:
        say(self._label)
        self._started = time.monotonic()
        self._ticker.start()
        return self

    def show(self, detail: str) -> None:
        """Set what the next line of progress says; an empty text changes nothing."""
        self._detail = detail or self._detail

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._over.set()
        self._ticker.join()
        self._rewrite("")
        if kind is None:
            say(f"  done in {duration(time.monotonic() - self._started)}")

    def _tick(self) -> None:
        while not self._over.wait(0.5 if self._terminal else 10):
            elapsed = duration(time.monotonic() - self._started)
            text = "  " + ", ".join(filter(None, [elapsed, self._detail]))
            if self._terminal:
                self._rewrite(text)
            else:
                say(text)

    def _rewrite(self, text: str) -> None:
        if self._terminal:
            width = shutil.get_terminal_size().columns - 1
            print(f"\r\x1b[K{text[:width]}", end="", file=sys.stderr, flush=True)


def run_step(
    label: str,
    command: Sequence[str | Path],
    *,
    describe: Describe = lambda _: "",
    env: Mapping[str, str] | None = None,
) -> None:
    """Run a command with its output in the log, under one line of progress.

    Raises:
        SetupError: when it fails, with the end of its output and the name of the log.
    """
    last = deque[str](maxlen=25)
    with LOG.open("ab") as log, Step(label) as step:
        log.write(f"\n$ {' '.join(map(str, command))}\n".encode(errors="replace"))
        with child_process(command, env) as process:
            for line in process.stdout or ():
                log.write(line)
                text = line.decode(errors="replace").rstrip()
                last.append(f"  | {text[:200]}")
                step.show(describe(text))
        if process.returncode:
            raise SetupError("\n".join([f"{label}: failed. Its last words:", *last, f"Everything it said is in {LOG}"]))


@contextmanager
def child_process(command: Sequence[str | Path], env: Mapping[str, str] | None) -> Iterator[subprocess.Popen[bytes]]:
    """Start a command in a process group of its own, which ends with us when we are interrupted.

    pip, CMake, ninja, compiler: four generations, and ending only the first would leave a compile running.
    """
    process = subprocess.Popen(  # noqa: S603 - set-up runs other programs: that is what it is for
        command,
        cwd=ROOT,
        env=env,
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    with process:
        try:
            yield process
        except BaseException:
            end_group(process)
            raise


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Interrupt a process group, so that it can clean up; end what is left of it after ten seconds."""
    # PermissionError: it runs as root through sudo. apt-get is better left to finish anyway.
    with suppress(ProcessLookupError, PermissionError):
        try:
            os.killpg(process.pid, signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=10)
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def output_of(command: Sequence[str | Path], *, stdin: str = "") -> str | None:
    """What a short command prints; None when it cannot be started or fails."""
    try:
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)  # noqa: S603 - as above
    except OSError:
        return None
    return None if done.returncode else done.stdout
