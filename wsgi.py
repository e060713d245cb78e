"""The WSGI application: ``gunicorn -c gunicorn_conf.py wsgi:app``."""

import sys

from webchat import create_app
from webchat.config import ConfigurationError

_WORKER_BOOT_ERROR = 3  # gunicorn's: another worker would fail the same way, so none is started

try:
    app = create_app()
except ConfigurationError as error:
    print(error, file=sys.stderr)  # noqa: T201 - for whoever started the server
    sys.exit(_WORKER_BOOT_ERROR)
