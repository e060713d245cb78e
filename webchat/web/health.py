"""``/healthz`` (the process is up), ``/readyz`` (it can answer) and ``/metrics`` (Prometheus)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from flask import Blueprint, Response, jsonify
from flask_babel import gettext as _
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from webchat.storage.database import StorageUnavailable
from webchat.web.limits import limiter
from webchat.web.services import Services, services
from webchat.web.socket import open_sockets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.core import Metric

Readiness = Literal["ready", "degraded", "loading", "failed"]
Finding = tuple[Readiness, str]  # what the trouble makes of the site, and a sentence

bp = Blueprint("health", __name__)
_FROM_BEST_TO_WORST: tuple[Readiness, ...] = ("ready", "degraded", "loading", "failed")
_SERVING: tuple[Readiness, ...] = ("ready", "degraded")
_LOOK_AGAIN = 5  # seconds
limiter.exempt(bp)


@bp.get("/healthz")
def healthz() -> Response:
    """Say that the process answers."""
    return jsonify(status="ok")


@bp.get("/readyz")
def readyz() -> tuple[Response, int]:
    """Say whether questions can be answered, and if not all of them, what is missing."""
    problems = _problems(services())
    status = max((found for found, _ in problems.values()), key=_FROM_BEST_TO_WORST.index, default="ready")
    response = jsonify(status=status, problems={part: sentence for part, (_, sentence) in problems.items()})
    if status in _SERVING:
        return response, 200
    response.headers["Retry-After"] = str(_LOOK_AGAIN)
    return response, 503


@bp.get("/metrics")
def metrics() -> Response:
    """The engine's and the sockets' figures."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Figures(services(), len(open_sockets())))
    return Response(generate_latest(registry), mimetype=CONTENT_TYPE_LATEST)


def _problems(parts: Services) -> dict[str, Finding]:
    found = {"model": _model_problem(parts), "database": _database_problem(parts)}
    return {part: finding for part, finding in found.items() if finding}


def _model_problem(parts: Services) -> Finding | None:
    """Its sentence is for strangers: no paths, no addresses."""
    match parts.engine.stats().state:
        case "ready":
            return None
        case "loading":
            return "loading", _("The model is being loaded.")
        case "failed" if parts.settings.engine_url:  # all processes miss it alike, and each still has its FAQ
            return "degraded", _("The model's server cannot be used; the log says why. The FAQ goes on answering.")
        case _:
            return "failed", _("The model is not running; the log says why.")


def _database_problem(parts: Services) -> Finding | None:
    try:
        parts.database.ping()
    except StorageUnavailable as error:
        return "failed", str(error)
    if parts.leases.problem:  # they are written, so this also sees a database that can only be read
        return "failed", parts.leases.problem
    if not parts.leases.settled:
        return "loading", _("Answers that were interrupted are being closed.")
    return None


class _Figures:
    """Reads the figures when they are asked for: nothing is counted twice."""

    def __init__(self, parts: Services, sockets: int) -> None:
        self._parts = parts
        self._sockets = sockets

    def collect(self) -> Iterator[Metric]:
        """One family per figure."""
        engine = self._parts.engine.stats()
        yield _gauge("webchat_engine_ready", "1 when the model is loaded.", float(engine.state == "ready"))
        yield _gauge("webchat_engine_running", "Answers being generated.", engine.running)
        yield _gauge("webchat_engine_waiting", "Requests in the queue.", engine.waiting)
        yield _gauge("webchat_sockets_open", "Open WebSockets.", self._sockets)
        yield CounterMetricFamily("webchat_engine_answers", "Generations that have ended.", engine.answers)
        tokens = CounterMetricFamily("webchat_engine_tokens", "Tokens by kind.", labels=["kind"])
        tokens.add_metric(["prompt"], engine.prompt_tokens)
        tokens.add_metric(["reused"], engine.reused_tokens)
        tokens.add_metric(["new"], engine.new_tokens)
        yield tokens


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value)
