"""A site of the bench's own: this installation's model behind gunicorn, with a database that lives as long as the run.

It is set up with the commands that an operator types, so that what is measured is what would be served.
"""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from webchat.bench.client import BenchError
from webchat.config import IN_MEMORY, ConfigurationError, load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

_HOST = "127.0.0.1"
_START = 180.0  # seconds: a slow machine reads the model from its disk and tries its speed
_END = 20.0  # seconds: gunicorn's own grace is ten
_LOOK_EVERY = 0.2
_PATIENCE = 5.0  # seconds for one look: a processor that is loading a model answers late
_UNLIMITED = "1000000 per second"
_NOT_OURS = {"GUNICORN_CMD_ARGS"}  # may name certificates, files for logs and process ids, another address


def served_weights() -> Path:
    """The model's file that this installation serves.

    Raises:
        BenchError: there is none, or it serves no model of its own; the sentence says what to type.
    """
    _require_own_model()
    return Path(_webchat("model", "path", "--served", environment=dict(os.environ)))


@contextmanager
def own_site(weights: Path) -> Iterator[tuple[str, str]]:
    """Serve the weights on a free port until the block ends.

    Yields:
        The site's address, and an API key.

    Raises:
        BenchError: it does not start, or would ask another server for its answers.
    """
    _require_own_model()
    with tempfile.TemporaryDirectory(prefix="webchat-bench-") as folder:
        environment = _environment(Path(folder), weights)
        _webchat("model", "path", "--served", environment=environment)  # refuses what is no model at all
        _webchat("db", "upgrade", environment=environment)
        key = _webchat("key", "add", "bench", environment=environment)
        with _serving(Path(folder) / "server.log", environment):
            yield f"http://{_HOST}:{environment['PORT']}", key


def _require_own_model() -> None:
    """The figures of a server elsewhere must not be taken for those of this machine.

    Raises:
        BenchError: the installation asks a server for its answers, or its settings cannot be read.
    """
    try:
        elsewhere = load_settings().engine_url
    except ConfigurationError as error:
        raise BenchError(str(error)) from None
    if elsewhere:
        raise BenchError(
            "The model of this installation runs elsewhere (WEBCHAT_ENGINE_URL), so a site of the bench's own would "
            "measure that server: name a running site or the server itself with `--url`, or take WEBCHAT_ENGINE_URL "
            "out of the settings."
        )


def _environment(folder: Path, weights: Path) -> dict[str, str]:
    """The installation's settings, except for what would touch its data, slow the bench down or cut prompts short.

    Each is set, not left out: the site reads the installation's ``.env`` too.
    """
    return {
        **{name: value for name, value in os.environ.items() if name not in _NOT_OURS},
        "HOST": _HOST,
        "PORT": str(_free_port()),
        "WEBCHAT_DATA_DIR": str(folder),
        "WEBCHAT_DATABASE_URL": f"sqlite:///{folder / 'webchat.db'}",
        "WEBCHAT_MODEL": str(weights),
        "WEBCHAT_MODEL_VARIANT": "as-is",  # the weights are the chosen file already
        "WEBCHAT_CONTEXT_TOKENS": "4096",  # room for the long conversation
        "WEBCHAT_MAX_NEW_TOKENS": "128",  # each question brings its own limit; a longer one might not fit the context
        "WEBCHAT_TRUSTED_PROXIES": "0",
        "WEBCHAT_REDIS_URL": IN_MEMORY,  # what the bench asks is no business of the shop's limits
        "WEBCHAT_RATE_VISITOR": _UNLIMITED,
        "WEBCHAT_RATE_ADDRESS": _UNLIMITED,
    }


@contextmanager
def _serving(log: Path, environment: dict[str, str]) -> Iterator[None]:
    with log.open("wb") as output:
        # A session of its own: Ctrl-C at the terminal reaches the bench alone, which then ends the site.
        server = subprocess.Popen(  # noqa: S603 - our own command
            _command("serve"), env=environment, stdout=output, stderr=output, start_new_session=True
        )
    try:
        _wait_until_ready(server, int(environment["PORT"]), log)
        yield
    finally:
        _end(server)


def _wait_until_ready(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end = time.monotonic() + _START
    while not _is_ready(port):
        with suppress(subprocess.TimeoutExpired):
            server.wait(_LOOK_EVERY)
            raise BenchError(f"The bench's own site ended before it was ready: {_last_line(log.read_text())}")
        if time.monotonic() > end:
            raise BenchError(f"The bench's own site was not ready within {_START:g} s: {_last_line(log.read_text())}")


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection(_HOST, port, timeout=_PATIENCE)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _end(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        with suppress(subprocess.TimeoutExpired):
            server.wait(_END)
    finally:  # also when the next Ctrl-C cuts the waiting short
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGKILL)  # the whole session: gunicorn's worker too
            server.wait()


def _webchat(*arguments: str, environment: dict[str, str]) -> str:
    """What a command prints last.

    Raises:
        BenchError: it failed, with its own sentence.
    """
    done = subprocess.run(  # noqa: S603 - our own command
        _command(*arguments), env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise BenchError(f"`webchat {' '.join(arguments)}` failed: {_last_line(done.stderr)}")
    return _last_line(done.stdout)


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "webchat.cli", *arguments]


def _last_line(text: str) -> str:
    return next((line.removeprefix("Error: ") for line in reversed(text.splitlines()) if line.strip()), "")


def _free_port() -> int:
    with socket.create_server((_HOST, 0)) as listener:
        return int(listener.getsockname()[1])
