"""The application behind a worker whose deadlines a test can wait for."""

import wsgi
from webchat.web import worker

app = wsgi.app
worker._WHOLE_REQUEST = 1.0
