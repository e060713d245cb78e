"""The baseline every response stands on: request id, CSP with a nonce, origins, cookies, proxies."""

from __future__ import annotations

import os
import secrets
import tempfile
import time
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import structlog
from flask import g, request
from flask_babel import gettext as _
from flask_wtf.csrf import CSRFProtect
from werkzeug.middleware.proxy_fix import ProxyFix

from webchat.config import LARGEST_BODY, ConfigurationError
from webchat.web.problems import Problem
from webchat.web.questions import require_utf8_form
from webchat.web.services import services
from webchat.web.sessions import in_frame, register_sessions

if TYPE_CHECKING:
    from pathlib import Path

    from flask import Flask, Response

    from webchat.config import Settings

log = structlog.get_logger(__name__)
csrf = CSRFProtect()

_YEAR = 365 * 24 * 3600
_QUIET = ("/healthz", "/readyz", "/metrics", "/static/")
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


def secure(app: Flask, settings: Settings) -> None:
    """Put the baseline under every route of the application."""
    app.config.update(
        SECRET_KEY=_secret_key(settings),
        SESSION_COOKIE_NAME="webchat",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        PERMANENT_SESSION_LIFETIME=_YEAR,
        SESSION_REFRESH_EACH_REQUEST=False,
        MAX_CONTENT_LENGTH=LARGEST_BODY,
        MAX_FORM_MEMORY_SIZE=LARGEST_BODY,
        WTF_CSRF_TIME_LIMIT=None,  # a page may stay open for days; the token lives as long as the cookie
        WTF_CSRF_SSL_STRICT=False,  # the origin check below does this, for every scheme
    )
    if settings.trusted_proxies:
        hops = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]  # the documented way
    register_sessions(app)
    app.before_request(_begin)
    app.before_request(_refuse_foreign_origins)
    app.before_request(require_utf8_form)
    csrf.init_app(app)  # after ours: it parses the form, which must have been looked at in its bytes by then
    app.after_request(_finish)
    app.jinja_env.globals["csp_nonce"] = csp_nonce


def csp_nonce() -> str:
    """This response's nonce for scripts and styles."""
    if "csp_nonce" not in g:
        g.csp_nonce = secrets.token_urlsafe(16)
    return str(g.csp_nonce)


def same_or_allowed_origin(origin: str | None) -> bool:
    """Whether a request with this ``Origin`` comes from our own pages or from an allowed site."""
    if origin is None:
        return True  # not a browser, or a same-origin GET
    if origin in services().settings.allowed_origins:
        return True
    try:
        return urlsplit(origin).netloc == request.host
    except ValueError:  # no browser sends what is no address
        return False


def _begin() -> None:
    g.request_id = secrets.token_hex(8)
    g.began = time.perf_counter()
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=g.request_id)


def _refuse_foreign_origins() -> None:
    """A page of another site must not act with our visitor's cookie; CSRF tokens are the second lock."""
    if request.method in _SAFE_METHODS or same_or_allowed_origin(request.headers.get("Origin")):
        return
    raise Problem(403, _("This is not allowed from here."))


def _finish(response: Response) -> Response:
    headers = response.headers
    headers["X-Request-Id"] = g.get("request_id", "")
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Referrer-Policy"] = "same-origin"
    headers["Cross-Origin-Opener-Policy"] = "same-origin"
    headers.setdefault("Content-Security-Policy", _policy())
    if request.is_secure:
        headers["Strict-Transport-Security"] = f"max-age={_YEAR}"
    if request.endpoint != "static":
        headers.setdefault("Cache-Control", "no-store")
    if not request.path.startswith(_QUIET):
        log.info(
            "request",
            method=request.method,
            route=str(request.url_rule),  # not the path: a conversation's id in it may be the key to it
            status=response.status_code,
            milliseconds=round((time.perf_counter() - g.began) * 1000, 1) if "began" in g else None,
        )
    return response


def _policy() -> str:
    nonce = csp_nonce()
    # Where the widget is shown; browsers show it nowhere else.
    ancestors = " ".join(("'self'", *services().settings.allowed_origins)) if in_frame() else "'none'"
    return (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src 'self' data:; "
        "connect-src 'self'; font-src 'self'; "
        "manifest-src 'self'; worker-src 'self'; form-action 'self'; base-uri 'none'; "
        f"frame-ancestors {ancestors}"
    )


def _secret_key(settings: Settings) -> str:
    """The key that signs cookies: the setting, or one made once and kept readable by its owner only.

    Raises:
        ConfigurationError: the key cannot be read or kept.
    """
    if key := settings.secret_key.get_secret_value():
        return key
    path = settings.data_dir / "secret_key"
    try:
        key = _kept_key(path)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"The secret key cannot be kept in {path}: {error}") from error
    if not key:
        raise ConfigurationError(f"The secret key in {path} is empty: remove the file, and a new key is made.")
    return key


def _kept_key(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        # Linked into place whole: of several processes that start at once, all read the first one's.
        with tempfile.NamedTemporaryFile("w", dir=path.parent) as file, suppress(FileExistsError):
            file.write(secrets.token_urlsafe(48))
            file.flush()
            os.link(file.name, path)
    return path.read_text().strip()
