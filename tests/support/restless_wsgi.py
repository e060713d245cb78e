"""The application with sockets that may give way to others as soon as they are quiet."""

from webchat.web import socket
from wsgi import app

socket._RESTED = 0.0

__all__ = ["app"]
