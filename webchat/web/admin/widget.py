"""The widget's page for operators: what to put into the shop's own pages, and what keeps it from showing there."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Blueprint, render_template, request, url_for
from flask_babel import gettext as _

from webchat.web import embeddings
from webchat.web.i18n import local_time
from webchat.web.services import services

bp = Blueprint("widget", __name__)

_FORWARDED = ("X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-For", "Forwarded")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that has to be right, and what to do when it is not."""

    title: str
    right: bool
    advice: str = ""


@bp.get("/widget")
def page() -> str:
    """The snippet, the sites that have tried, and what is found about one page of the shop."""
    asked = request.args.get("page", "").strip()
    origin = embeddings.origin_of(asked if "://" in asked else f"https://{asked}") if asked else None
    return render_template(
        "admin/widget.html",
        asked=asked,
        origin=origin,
        checks=_checks(origin) if origin else [],
        script=url_for("widget.script", _external=True),
        home=url_for("chat.home", _external=True),
        allowed=services().settings.allowed_origins,
        attempts=embeddings.attempts().lately(),
        local_time=local_time,
    )


def _checks(origin: str) -> list[Check]:
    ours = embeddings.own_origin() or ""
    wanted = ",".join((*services().settings.allowed_origins, origin))
    seen = next((each for each in embeddings.attempts().lately() if each.origin == origin), None)
    return [
        Check(
            _("%(origin)s may show the chat", origin=origin),
            embeddings.is_allowed(origin),
            _("Set WEBCHAT_ALLOWED_ORIGINS=%(origins)s and restart webchat.", origins=wanted),
        ),
        Check(
            _("Browsers load this site from there"),
            not (origin.startswith("https:") and ours.startswith("http:")),
            _(
                "That page comes by HTTPS and this site, as it sees itself, by HTTP: browsers block that. Give it a "
                "certificate, or, if a proxy has one already, see the next line."
            ),
        ),
        Check(
            _("This site knows its own address, %(origin)s", origin=ours),
            _address_is_known(ours),
            _(
                "A reverse proxy stands in front of it. Set WEBCHAT_TRUSTED_PROXIES to how many there are, and have "
                "them set X-Forwarded-For, X-Forwarded-Proto and X-Forwarded-Host."
            ),
        ),
        Check(
            _("The chat was opened there since this site was started"),
            seen is not None,
            _(
                "Open the page and click the button. Without a button, the script is not on the page, or the page's "
                "Content-Security-Policy does not allow it: it needs script-src and frame-src %(origin)s.",
                origin=ours,
            ),
        ),
    ]


def _address_is_known(ours: str) -> bool:
    """Whether the address that the browser used is the one we think we have."""
    referrer = embeddings.origin_of(request.referrer or "")
    behind_a_proxy = any(name in request.headers for name in _FORWARDED)
    return (referrer is None or referrer == ours) and not (behind_a_proxy and not services().settings.trusted_proxies)
