"""How gunicorn serves webchat.

One process, because the model and its batch live in it; threads, because every socket holds one.
"""

import os
import signal
import threading
from contextlib import suppress
from types import FrameType
from typing import Any

from gunicorn.workers.gthread import TConn, ThreadWorker

from webchat.config import ConfigurationError, load_settings

try:
    _settings = load_settings()
except ConfigurationError as error:
    raise SystemExit(str(error)) from None


class Worker(ThreadWorker):
    """gunicorn's thread worker, which closes a connection on the thread that served it.

    Closing waits up to two seconds for the client to hang up. gunicorn's own does that on its one main thread: a
    client that asks for a close and stays would keep everyone else from connecting.
    """

    def handle(self, conn: TConn) -> object:
        """Serve a connection's next request; False when there will be no more."""
        result = super().handle(conn)
        if result is False:
            with suppress(OSError):  # a WebSocket has closed it already
                conn.close(graceful=True)
            conn.close = lambda graceful=False: None  # noqa: ARG005 - the main thread will call it so
        return result


wsgi_app = "wsgi:app"
bind = f"{_settings.host}:{_settings.port}"
worker_class = Worker
workers = 1
# Every socket holds a thread; the rest are for pages, streams of POST /chat and health checks.
threads = _settings.max_sockets + 64
# Beyond these gunicorn takes no more connections and lets them hang; ours are told why. The rest are kept-alive ones.
worker_connections = threads + 1000
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
        raise SystemExit(
            "webchat with a model of its own runs exactly one worker: the model, its cache and its queue live in that "
            "process. Remove --workers and WEB_CONCURRENCY."
        )


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
