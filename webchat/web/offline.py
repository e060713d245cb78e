"""The page that a browser shows when the shop cannot be reached, kept by a service worker that does nothing else."""

from __future__ import annotations

from flask import Blueprint, Response, render_template

bp = Blueprint("offline", __name__)


@bp.get("/offline")
def page() -> str:
    """Say so in both languages: the browser keeps one copy, whoever looks at it then."""
    return render_template("offline.html")


@bp.get("/sw.js")
def worker() -> Response:
    """The service worker. Its address is its scope, and it is looked for anew at every visit."""
    response = Response(render_template("sw.js"), mimetype="text/javascript")
    response.headers["Cache-Control"] = "no-cache"
    return response
