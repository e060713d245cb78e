"""Where a browser's session is kept: in a signed cookie, or, inside the widget's frame, in a signed token.

Browsers give no cookies to a frame on another site's page. There every address of ours carries the token, so links,
forms without a script and the socket work as on the page itself. The token is made once and never changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import request, session
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface
from itsdangerous import BadData, URLSafeTimedSerializer

if TYPE_CHECKING:
    from flask import Flask, Request, Response

TOKEN = "widget_token"  # noqa: S105 - the name of the argument
_LASTS = 30 * 24 * 3600  # seconds; a frame that is loaded anew gets a new one
_SALT = "widget"


class Session(SecureCookieSession):
    """A session; ``token`` is what it came with, or an empty text, and None for one that a cookie keeps."""

    token: str | None = None


class Sessions(SecureCookieSessionInterface):
    """Flask's signed cookie, kept off plain HTTP by browsers that came over HTTPS; or the token of a frame."""

    session_class = Session

    def get_cookie_secure(self, app: Flask) -> bool:  # noqa: ARG002 - Flask calls it so
        """A shop may start without HTTPS."""
        return request.is_secure

    def open_session(self, app: Flask, request: Request) -> Session | None:
        """Read the token where there is one; a cookie beside it is another visitor's, or an operator's."""
        token = request.args.get(TOKEN)
        if token is None:
            return super().open_session(app, request)  # type: ignore[return-value]  # of our class
        known = Session(read_token(app, token) or {})
        known.token = token
        return known

    def save_session(self, app: Flask, session: SecureCookieSession, response: Response) -> None:  # type: ignore[override]
        """Keep what changed in the cookie; a token stays as it is."""
        if getattr(session, "token", None) is None:
            super().save_session(app, session, response)


def in_frame() -> bool:
    """Whether this request comes from the widget's frame."""
    return getattr(session, "token", None) is not None


def make_token(app: Flask, data: dict[str, Any]) -> str:
    """Sign what a session in a frame shall hold."""
    token = _serializer(app).dumps(data)
    return token if isinstance(token, str) else token.decode()


def read_token(app: Flask, token: str) -> dict[str, Any] | None:
    """What a token holds; None for one that is not ours, or too old."""
    try:
        data = _serializer(app).loads(token, max_age=_LASTS)
    except BadData:
        return None
    return data if isinstance(data, dict) else None


def enter_frame(app: Flask, data: dict[str, Any]) -> str:
    """Go on with this request as one of a frame; its token."""
    session.clear()
    session.update(data)
    session.token = make_token(app, data)  # type: ignore[attr-defined]  # of our class
    return str(session.token)  # type: ignore[attr-defined]


def register_sessions(app: Flask) -> None:
    """Keep sessions so, and put the token into every address that a page in a frame names."""
    app.session_interface = Sessions()
    app.jinja_env.globals["in_frame"] = in_frame

    @app.url_defaults
    def _with_token(endpoint: str, values: dict[str, Any]) -> None:
        if endpoint != "static" and in_frame():
            values.setdefault(TOKEN, session.token)  # type: ignore[attr-defined]


def _serializer(app: Flask) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(app.secret_key or "", salt=_SALT)
