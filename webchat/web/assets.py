"""Static files by content: an address changes when the file does, so browsers may keep it for a year."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

from flask import current_app, request, url_for
from flask_compress import Compress

if TYPE_CHECKING:
    from flask import Flask, Response

_YEAR = 365 * 24 * 3600


def register_assets(app: Flask) -> None:
    """Give templates ``asset(path)``, let browsers cache what it names, and send text compressed.

    Events of ``/chat`` and ``/v1`` are of a type that is not: each has to arrive when it is written.
    """
    app.config.update(COMPRESS_ALGORITHM=["br", "gzip"], COMPRESS_BR_LEVEL=5, COMPRESS_STREAMS=False)
    Compress(app)
    app.after_request(_whole)  # after it, and so before it: what comes last is asked first
    app.jinja_env.globals["asset"] = asset
    app.after_request(_cache)


def asset(path: str) -> str:
    """The address of a static file, with its content's hash."""
    file = Path(current_app.static_folder or "") / path
    return url_for("static", filename=path, v=_digest(file, file.stat().st_mtime_ns))


@lru_cache(maxsize=256)
def _digest(file: Path, _changed: int) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()[:12]


def _whole(response: Response) -> Response:
    """Read a static file as one piece: read in chunks, it would be left open by whom it is compressed for."""
    if request.endpoint == "static" and response.status_code == HTTPStatus.OK and request.method == "GET":
        response.direct_passthrough = False
        response.get_data()
    return response


def _cache(response: Response) -> Response:
    if request.endpoint == "static" and "v" in request.args and response.status_code in (200, 304):
        response.headers["Cache-Control"] = f"public, max-age={_YEAR}, immutable"
    return response
