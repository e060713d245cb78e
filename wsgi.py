"""The WSGI application: ``gunicorn -c gunicorn_conf.py wsgi:app``."""

import sys

import webchat
from webchat import engine
from webchat.config import ConfigurationError, load_settings
from webchat.engines import configured_engine
from webchat.observability import configure_logging

_WORKER_BOOT_ERROR = 3  # gunicorn's: another worker would fail the same way, so none is started

try:
    _settings = load_settings()
    configure_logging(_settings.log_format)
    # The model is loaded on a thread of its own meanwhile: importing the application takes a second.
    engine.install(_engine := configured_engine(_settings))
    app = webchat.create_app(_settings, _engine)
except BaseException as error:
    engine.remove()
    if not isinstance(error, ConfigurationError):
        raise
    print(error, file=sys.stderr)  # noqa: T201 - for whoever started the server
    sys.exit(_WORKER_BOOT_ERROR)
