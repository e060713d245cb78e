"""Making a file of other types in a process of its own.

llama.cpp hears nothing until it is done, a minute or two later; a process can be ended when Ctrl-C is typed, gives
its memory back, and takes nobody with it when the system kills it for want of memory.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from typing import TYPE_CHECKING

from webchat.engine.files import ModelError
from webchat.engine.generation import EngineUnavailable
from webchat.engine.llama_files import requantise, tensors
from webchat.engine.progress import Meter

if TYPE_CHECKING:
    from collections.abc import Mapping
    from multiprocessing.connection import Connection
    from pathlib import Path

    from webchat.engine.llama_files import Importance


def make(source: Path, target: Path, types: Mapping[str, str], importance: Importance, threads: int) -> None:
    """Write ``target``, with progress; see ``requantise``.

    Raises:
        ModelError: llama.cpp could not, the disk is full, or the process was killed.
    """
    processes = multiprocessing.get_context("spawn")  # a fork would inherit llama.cpp's threads half alive
    ours, theirs = processes.Pipe(duplex=False)
    child = processes.Process(target=_work, args=(theirs, source, target, types, importance, threads), daemon=True)
    child.start()
    theirs.close()
    try:
        problem = _follow(ours, source, target.stem)
    finally:
        child.kill()
        child.join()
        ours.close()
    if problem:
        raise ModelError(f"{target} could not be made: {problem}.")


def _follow(child: Connection, source: Path, label: str) -> str:
    """Show how far the child is, until it is done.

    Returns:
        What went wrong; empty when nothing did.
    """
    sizes = [tensor.size for tensor in tensors(source)]
    with Meter(f"making {label}", sum(sizes)) as meter:
        while True:
            try:
                message: int | str = child.recv()
            except EOFError:
                return "its process was killed, perhaps for want of memory"
            if isinstance(message, str):
                return message
            meter.update(sum(sizes[: message - 1]))


def _work(  # noqa: PLR0917 - what a process is started with
    parent: Connection, source: Path, target: Path, types: Mapping[str, str], importance: Importance, threads: int
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it too, and ends us

    def tell(message: int | str) -> None:
        try:
            parent.send(message)
        except BrokenPipeError:  # the parent was killed: nobody wants the file
            os._exit(1)

    try:
        requantise(source, target, types, importance=importance, threads=threads, on_tensor=tell)
        with target.open("rb") as file:
            os.fsync(file.fileno())
    except (EngineUnavailable, OSError) as error:
        target.unlink(missing_ok=True)
        tell(str(error))
    else:
        tell("")
