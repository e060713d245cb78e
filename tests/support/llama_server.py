"""llama.cpp's own server, from its prebuilt wheel, in a process of its own: MODEL SLOTS CONTEXT PORT.

Run by the Python of the tests with the folder of that wheel as PYTHONPATH (``LlamaServer`` below does). It prints
its address, and ends with its standard input.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Self

WHEEL = Path(__file__).resolve().parents[2] / ".venv" / "peer"  # `make test` puts it there
DEADLINE = 60.0


class LlamaServer:
    """The server on a port that stays the same when it is killed and started again."""

    def __init__(self, model: Path, *, slots: int = 4, context: int = 8192) -> None:
        self._arguments = [str(model), str(slots), str(context)]
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> Self:
        """Start it; returns when the model is loaded."""
        self._process = subprocess.Popen(
            [sys.executable, __file__, *self._arguments, str(self.port)],
            env=os.environ | {"PYTHONPATH": str(WHEEL)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout.readline().strip() == self.url, "llama.cpp's server did not start"
        return self

    def kill(self) -> None:
        """End it without a word to its clients."""
        if self._process:
            self._process.kill()
            self._process.communicate(timeout=DEADLINE)
            self._process = None


def serve(model: str, slots: str, context: str, port: str) -> None:
    """Serve until standard input ends."""
    import xllamacpp  # noqa: PLC0415 - there only in the server's process

    settings = xllamacpp.CommonParams()
    settings.model.path, settings.n_parallel, settings.n_ctx, settings.port = model, int(slots), int(context), int(port)
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = 1
    settings.hostnames, settings.kv_unified = ["127.0.0.1"], True
    server = xllamacpp.Server(settings)
    print(server.listening_address, flush=True)  # noqa: T201 - read by who started it
    sys.stdin.read()


if __name__ == "__main__":
    serve(*sys.argv[1:])
