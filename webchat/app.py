"""Read ``create_app`` and you know the system: every part is built and joined here, nothing at import."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from flask import Flask

from webchat import engine as engine_room
from webchat.answering.completions import Completions
from webchat.answering.leases import LeaseKeeper
from webchat.answering.pipeline import Answerer
from webchat.answering.run import ModelSettings
from webchat.config import CHECKOUT, Settings, load_settings
from webchat.engine.cache import CacheLimits
from webchat.engine.calibration import recall
from webchat.engine.generation import EngineUnavailable
from webchat.engine.remote import RemoteEngine
from webchat.engine.upstream import Address
from webchat.engine.variants import file_in_use
from webchat.engine.weights import ModelError
from webchat.engine.worker import LocalEngine
from webchat.observability import configure_logging
from webchat.storage.database import Database
from webchat.web import admin, api, chat, completions, health, sse
from webchat.web.assets import register_assets
from webchat.web.cors import register_cors
from webchat.web.errors import register_errors
from webchat.web.i18n import register_languages
from webchat.web.limits import register_limits
from webchat.web.security import secure
from webchat.web.services import Services
from webchat.web.socket import register_socket

if TYPE_CHECKING:
    from webchat.engine.backend import Backend
    from webchat.engine.interface import Engine

_CELLS = 6144  # KV cache at 12 KB a cell: 75 MB; sixteen answers of usual length at once
_MEGABYTE = 1_000_000
_ENGINE_DIED = 70  # EX_SOFTWARE


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
    engine = engine or _engine(settings)
    answerer = Answerer(database, engine, _model_settings(settings))
    leases = LeaseKeeper(database, answerer)
    completing = Completions(answerer, database, engine, _model_settings(settings))
    app.extensions["webchat"] = Services(settings, database, engine, answerer, leases, completing)

    secure(app, settings)
    register_languages(app)
    register_limits(app, settings)
    register_errors(app)
    register_cors(app)
    register_assets(app)
    register_socket(app, settings.max_sockets)
    for blueprint in (chat.bp, sse.bp, api.bp, completions.bp, health.bp):
        app.register_blueprint(blueprint)
    admin.register(app)
    app.jinja_env.globals["shop_name"] = settings.shop_name

    # Last, when nothing can be refused any more: a process that will not serve loads no model.
    engine_room.install(engine)
    leases.start()
    answerer.warm_up()
    return app


def close_app(app: Flask) -> None:
    """End what ``create_app`` has started: sockets, runs, the engine, the database."""
    parts: Services = app.extensions["webchat"]
    app.extensions["sockets"].close_all()
    engine_room.remove()
    parts.answerer.close()
    parts.leases.close()
    parts.database.close()


def _engine(settings: Settings) -> Engine:
    if settings.engine_url:
        return RemoteEngine(
            Address(settings.engine_url, settings.engine_key.get_secret_value()),
            settings.engine_model,
            max_running=settings.answers_at_once,
            max_waiting=settings.max_queue,
            on_death=_end_process,
        )
    folder = settings.data_dir / "engine"
    weights = _weights(settings)
    return LocalEngine(
        weights.stem if isinstance(weights, Path) else Path(settings.model.partition("#")[0]).stem,
        lambda: _load_model(settings, weights),
        max_running=settings.max_parallel,
        max_waiting=settings.max_queue,
        limits=CacheLimits(parked_bytes=settings.parked_mb * _MEGABYTE, file=folder / "prompts"),
        calibrate=lambda backend: recall(backend, folder, threads=settings.threads, most=settings.max_parallel),
        on_death=_end_process,
    )


def _weights(settings: Settings) -> Path | ModelError:
    """The file to load, or why there is none: pages and FAQ answers work without."""
    try:
        return file_in_use(settings)
    except ModelError as error:
        return error


def _load_model(settings: Settings, weights: Path | ModelError) -> Backend:
    if isinstance(weights, ModelError):
        raise EngineUnavailable(str(weights)) from weights
    # They load llama.cpp's libraries: only who generates needs them.
    from webchat.engine.layout import UNPACKED, fastest  # noqa: PLC0415
    from webchat.engine.llama import LlamaBackend  # noqa: PLC0415

    return LlamaBackend(
        fastest(weights, settings.models_dir.absolute() / UNPACKED, settings.threads),
        sequences=2 * settings.max_parallel,
        cells=max(_CELLS, 2 * settings.context_tokens),
        threads=settings.threads,
    )


def _model_settings(settings: Settings) -> ModelSettings:
    return ModelSettings(settings.shop_name, settings.max_new_tokens, settings.context_tokens)


def _end_process(_error: BaseException) -> None:
    """An engine that died takes the process with it, loudly; gunicorn starts another."""
    logging.shutdown()
    os._exit(_ENGINE_DIED)
