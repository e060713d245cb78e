"""How gunicorn serves webchat.

One process, because the model and its batch live in it; threads, because every socket holds one.
"""

import os
import resource
import signal
import threading
from types import FrameType
from typing import Any

from webchat.config import ONE_WORKER, ConfigurationError, load_settings

try:
    _settings = load_settings()
except ConfigurationError as error:
    raise SystemExit(str(error)) from None


wsgi_app = "wsgi:app"
# For who starts gunicorn by hand; `webchat serve` brings a socket, which goes before this.
bind = f"[{_settings.host}]:{_settings.port}" if ":" in _settings.host else f"{_settings.host}:{_settings.port}"
worker_class = "webchat.web.worker.Worker"
workers = 1
# Every socket holds a thread, and so does every stream of POST /chat; the rest are for pages and health checks.
threads = _settings.max_sockets + _settings.max_queue + _settings.max_parallel + 64
# Beyond these gunicorn takes no more connections and lets them hang; ours are told why. The rest are kept-alive ones.
worker_connections = threads + 1000
# A shell or a service manager often allows 1,024 descriptors; a connection takes one, and a busy thread another.
_most_files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (_most_files, _most_files))
if _most_files != resource.RLIM_INFINITY:
    worker_connections = min(worker_connections, max(64, (_most_files - 256) // 2))
os.umask(0o077)  # conversations and password hashes: what is written is for this account alone
# Nobody's X-Forwarded-* is believed, not even this machine's: WEBCHAT_TRUSTED_PROXIES says whether a proxy is there.
forwarded_allow_ips = ""
graceful_timeout = 10
timeout = 60
keepalive = 15
# Its socket would lie in the home folder and be shared by every instance there.
control_socket_disable = True
preload_app = False  # llama.cpp's threads would not survive the fork
accesslog = None  # the application logs its requests, with their ids


def on_starting(server: Any) -> None:
    """Refuse several workers: each would load a model of its own, and they would fight for the cores."""
    if server.cfg.workers != 1 or int(os.environ.get("WEB_CONCURRENCY", "1")) != 1:
        raise SystemExit(ONE_WORKER)


def post_worker_init(worker: Any) -> None:
    """When told to end, ask every page to reconnect: an open socket would hold the process for the whole timeout."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        _close_sockets_first(worker, number, signal.getsignal(number))


def _close_sockets_first(worker: Any, number: signal.Signals, then: Any) -> None:
    def end(received: int, frame: FrameType | None) -> None:
        threading.Thread(target=worker.wsgi.extensions["sockets"].close_all).start()
        then(received, frame)

    signal.signal(number, end)


def worker_exit(_server: Any, worker: Any) -> None:
    """End the runs and free the model before the process goes."""
    from webchat import close_app  # noqa: PLC0415 - the first process serves nothing and needs no application

    if app := getattr(worker, "wsgi", None):
        close_app(app)
