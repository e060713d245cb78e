"""The operators' pages under ``/admin``: set-up, signing in, inbox, tickets, FAQ, rules, and who answers what."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, g

from webchat.web.admin import answers, auth, conversations, faq, inbox, rules, setup, tickets, widget

if TYPE_CHECKING:
    from flask import Flask


def register(app: Flask) -> None:
    """Add the pages. The guard sits on their common blueprint, so a new page is closed unless it is opened."""
    admin = Blueprint("admin", __name__, url_prefix="/admin")
    admin.before_request(auth.require_operator)
    admin.context_processor(lambda: {"operator": g.get("operator")})
    for part in (auth.bp, setup.bp, faq.bp, inbox.bp, tickets.bp, conversations.bp, rules.bp, answers.bp, widget.bp):
        admin.register_blueprint(part)
    app.register_blueprint(admin)
