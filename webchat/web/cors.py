"""Cross-origin calls: pages of allowed origins may call the programs' routes, without our cookies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Response, request

from webchat.web.services import services

if TYPE_CHECKING:
    from flask import Flask

_PREFIXES = ("/chat", "/api/")


def register_cors(app: Flask) -> None:
    """Answer preflights and mark responses."""
    app.before_request(_preflight)
    app.after_request(_mark)


def _preflight() -> Response | None:
    if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers and _concerned():
        return Response(status=204)
    return None


def _mark(response: Response) -> Response:
    if not request.path.startswith(_PREFIXES):
        return response
    response.vary.add("Origin")
    if _concerned():
        response.headers["Access-Control-Allow-Origin"] = request.headers["Origin"]
        response.headers["Access-Control-Allow-Methods"] = "GET, POST"
        response.headers["Access-Control-Allow-Headers"] = "Content-Type, Last-Event-ID"
        response.headers["Access-Control-Expose-Headers"] = "Retry-After, X-Request-Id"
        response.headers["Access-Control-Max-Age"] = "600"
    return response


def _concerned() -> bool:
    return request.path.startswith(_PREFIXES) and request.headers.get("Origin") in services().settings.allowed_origins
