"""Read ``create_app`` and you know the system: every part is built and joined here, nothing at import."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Flask

from webchat import engine as engine_room
from webchat.answering.completions import Completions
from webchat.answering.faq.index import FaqIndex
from webchat.answering.learning.learner import Learner
from webchat.answering.leases import LeaseKeeper
from webchat.answering.pipeline import Answerer
from webchat.answering.run import ModelSettings
from webchat.config import CHECKOUT, Settings, load_settings
from webchat.engine.encoders import open_encoder
from webchat.engines import configured_engine
from webchat.observability import configure_logging
from webchat.storage.database import Database
from webchat.web import admin, api, chat, completions, health, history, offline, reactions, sse, tickets, widget
from webchat.web.assets import register_assets
from webchat.web.cors import register_cors
from webchat.web.errors import register_errors
from webchat.web.i18n import register_languages
from webchat.web.limits import register_limits
from webchat.web.security import secure
from webchat.web.services import Services
from webchat.web.socket import register_socket

if TYPE_CHECKING:
    from webchat.engine.interface import Engine


def create_app(settings: Settings | None = None, engine: Engine | None = None) -> Flask:
    """Build the application.

    Args:
        settings: tests bring their own; else they are read from the environment.
        engine: tests bring their own; else the configured weights are loaded, or the configured server looked for,
            in the background.

    Raises:
        ConfigurationError: a setting cannot be used.
    """
    settings = settings or load_settings()
    configure_logging(settings.log_format)
    app = Flask("webchat", template_folder=CHECKOUT / "templates", static_folder=CHECKOUT / "static")

    database = Database(settings.resolved_database_url)
    engine = engine or configured_engine(settings)
    encoder = open_encoder(settings)
    index = FaqIndex(database, encoder)
    answerer = Answerer(database, engine, _model_settings(settings), index, encoder)
    leases = LeaseKeeper(database, answerer)
    learner = Learner(database, encoder)
    completing = Completions(answerer, database, engine, _model_settings(settings))
    app.extensions["webchat"] = Services(
        settings, database, engine, encoder, index, answerer, leases, learner, completing
    )

    secure(app, settings)
    register_languages(app)
    register_limits(app, settings)
    register_errors(app)
    register_cors(app)
    register_assets(app)
    register_socket(app, settings.max_sockets)
    for blueprint in (
        chat.bp,
        history.bp,
        offline.bp,
        reactions.bp,
        tickets.bp,
        widget.bp,
        sse.bp,
        api.bp,
        completions.bp,
        health.bp,
    ):
        app.register_blueprint(blueprint)
    admin.register(app)
    app.jinja_env.globals["shop_name"] = settings.shop_name

    # Last, when nothing can be refused any more; unless it was installed before (see wsgi.py).
    engine_room.install(engine)
    leases.start()
    index.start()
    learner.start()
    answerer.warm_up()
    return app


def close_app(app: Flask) -> None:
    """End what ``create_app`` has started: sockets, runs, the engine, the database."""
    parts: Services = app.extensions["webchat"]
    app.extensions["sockets"].close_all()
    engine_room.remove()
    parts.answerer.close()
    parts.leases.close()
    parts.index.close()
    parts.learner.close()
    if parts.encoder:
        parts.encoder.close()
    parts.database.close()


def _model_settings(settings: Settings) -> ModelSettings:
    return ModelSettings(
        settings.shop_name, settings.max_new_tokens, settings.context_tokens, timezone=settings.timezone
    )
