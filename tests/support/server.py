"""The real thing: gunicorn serving the application, as a subprocess on a free port of this machine.

What a test waits for is a condition with a deadline; between two looks it waits for the process to die.
"""

from __future__ import annotations

import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

import httpx2
import websocket
from support.visitor import Visitor

if TYPE_CHECKING:
    import http.client
    from collections.abc import Callable, Iterator

CHECKOUT = Path(__file__).resolve().parents[2]
GUNICORN = Path(sys.executable).with_name("gunicorn")
DEADLINE = 60.0  # seconds; reached only when something is broken
_LOOK_EVERY = 0.02
# Options with which an answer, of a model that does not end by itself, takes a minute.
SLOW = {"wsgi": "support.slow_wsgi:app", "max_new_tokens": 4000, "context_tokens": 8192, "max_parallel": 8}


class Server:
    """One gunicorn with a data directory of its own.

    Args:
        data_dir: where database, secret key and log are; the database must have its tables.
        model: a GGUF file.
        wsgi: what gunicorn serves instead of ``wsgi:app``.
        settings: more settings, by their names without ``WEBCHAT_``.
    """

    def __init__(self, data_dir: Path, model: Path, *, wsgi: str = "wsgi:app", **settings: object) -> None:
        self.data_dir = data_dir
        self.model_name = model.stem
        self._wsgi = wsgi
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(data_dir),
            "PYTHONPATH": os.pathsep.join([str(CHECKOUT), str(CHECKOUT / "tests"), str(data_dir)]),
            "WEBCHAT_DATA_DIR": str(data_dir),
            "WEBCHAT_MODEL": str(model),
            "WEBCHAT_THREADS": "1",
            **{(name if name.isupper() else f"WEBCHAT_{name.upper()}"): str(value) for name, value in settings.items()},
        }
        self._log = data_dir / f"gunicorn-{secrets.token_hex(4)}.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._visitors: list[Visitor] = []
        self.port = 0

    def set(self, **environment: str) -> None:
        """Change variables of its environment, before it starts."""
        self._environment |= environment

    # ---- its life ------------------------------------------------------------------------------

    def start(self, *arguments: str) -> Self:
        """Start gunicorn; the port is taken at once, answers come when the worker is there."""
        with socket.create_server(("127.0.0.1", 0)) as listener, self._log.open("ab") as log:
            self.port = listener.getsockname()[1]
            bind = f"fd://{listener.fileno()}"
            self._process = subprocess.Popen(
                [GUNICORN, "-c", CHECKOUT / "gunicorn_conf.py", "-b", bind, *arguments, self._wsgi],
                pass_fds=[listener.fileno()],
                cwd=self.data_dir,  # not the checkout: its .env is not ours
                env=self._environment,
                stdout=log,
                stderr=log,
            )
        return self

    def wait_until(self, condition: Callable[[], object], what: str, *, alive: bool = True) -> None:
        """Wait for a condition; fails with the server's log when it does not come, or the server dies before."""
        end = time.monotonic() + DEADLINE
        while not condition():
            assert time.monotonic() < end, f"waited in vain until {what}; the log:\n{self.log()}"
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(_LOOK_EVERY)
                assert not alive, f"gunicorn ended before {what}; the log:\n{self.log()}"

    def ready(self) -> Self:
        """Wait until it can answer questions."""
        self.wait_until(lambda: self.status("/readyz") == 200, "it is ready")
        return self

    def stop(self) -> int:
        """End it as a service manager does; its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait_for_end()

    def wait_for_end(self) -> int:
        """Wait until it has ended by itself; its exit status."""
        self.wait_until(lambda: self.process.poll() is not None, "it has ended", alive=False)
        return self.process.returncode

    def kill_worker(self) -> int:
        """Kill the worker as the kernel does when memory runs out; the process id it had."""
        worker = self.worker()
        os.kill(worker, signal.SIGKILL)
        return worker

    def close(self) -> None:
        """Make sure that nothing is left of it."""
        for visitor in self._visitors:
            visitor.http.close()
        if self._process and self._process.poll() is None:
            for pid in [self._process.pid, *self._children()]:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._process.wait()

    # ---- looking at it -------------------------------------------------------------------------

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """gunicorn's first process."""
        assert self._process, "not started"
        return self._process

    @property
    def url(self) -> str:
        """Where it serves."""
        return f"http://127.0.0.1:{self.port}"

    def worker(self) -> int:
        """The process id of its worker."""
        self.wait_until(self._children, "it has a worker")
        return self._children()[0]

    def threads(self) -> int:
        """How many operating-system threads the worker has."""
        return sum(1 for _ in Path(f"/proc/{self.worker()}/task").iterdir())

    def status(self, path: str) -> int | None:
        """The status of a page, or None when nobody answers."""
        try:
            return httpx2.get(self.url + path, timeout=DEADLINE).status_code
        except httpx2.TransportError:
            return None

    def metric(self, name: str) -> float:
        """One figure of ``/metrics``."""
        text = httpx2.get(f"{self.url}/metrics").text
        return float(re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)[1])

    def log(self) -> str:
        """What it has written so far."""
        return self._log.read_text(errors="replace")

    def visitor(self, **headers: str) -> Visitor:
        """A new visitor."""
        self._visitors.append(Visitor.at(self.url, **headers))
        return self._visitors[-1]

    def open_socket(self, visitor: Visitor, conversation: str, **options: object) -> websocket.WebSocket:
        """The socket that a page of this visitor would open."""
        url = f"ws://127.0.0.1:{self.port}/ws?conversation={conversation}"
        options = {"cookie": visitor.cookie, "origin": self.url, "timeout": DEADLINE} | options
        return websocket.create_connection(url, **options)

    @contextmanager
    def opened_socket(self, visitor: Visitor, conversation: str, **options: object) -> Iterator[websocket.WebSocket]:
        """The same for a block, without a word at its end."""
        connection = self.open_socket(visitor, conversation, **options)
        try:
            yield connection
        finally:
            connection.shutdown()

    def connect(self) -> socket.socket:
        """A bare connection, for clients that misbehave."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE)

    def _children(self) -> list[int]:
        listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in listed.read_text().split()]


def read_chunks(response: http.client.HTTPResponse) -> list[bytes]:
    """The chunks of a chunked response as they were put on the wire, up to its end."""
    chunks = []
    while size := int(response.fp.readline().strip(), 16):
        chunks.append(response.fp.read(size))
        assert response.fp.read(2) == b"\r\n"
    return chunks
