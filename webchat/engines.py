"""The engine that the settings name, before the application around it is there."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from webchat.engine.cache import CacheLimits
from webchat.engine.calibration import recall
from webchat.engine.files import ModelError
from webchat.engine.generation import EngineUnavailable
from webchat.engine.variants import file_in_use
from webchat.engine.worker import LocalEngine

if TYPE_CHECKING:
    from webchat.config import Settings
    from webchat.engine.backend import Backend
    from webchat.engine.interface import Engine

_CELLS = 5120  # KV cache at 12 KB a cell: 63 MB; sixteen answers of usual length at once
_MEGABYTE = 1_000_000
_ENGINE_DIED = 70  # EX_SOFTWARE


def configured_engine(settings: Settings) -> Engine:
    """The model in this process, or a server's; to be started with ``webchat.engine.install``."""
    if settings.engine_url:
        # They bring an HTTP client, and a model in this process starts to load the sooner without it.
        from webchat.engine.remote import RemoteEngine  # noqa: PLC0415
        from webchat.engine.upstream import Address  # noqa: PLC0415

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
    # It loads llama.cpp's libraries: only who generates needs them.
    from webchat.engine.llama import LlamaBackend  # noqa: PLC0415

    return LlamaBackend(
        weights,
        sequences=2 * settings.max_parallel,
        cells=max(_CELLS, 2 * settings.context_tokens),
        threads=settings.threads,
    )


def _end_process(_error: BaseException) -> None:
    """An engine that died takes the process with it, loudly; gunicorn starts another."""
    logging.shutdown()
    os._exit(_ENGINE_DIED)
