"""What views may use: the parts that ``create_app`` has built, by name and type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from flask import current_app

if TYPE_CHECKING:
    from webchat.answering.completions import Completions
    from webchat.answering.faq.index import FaqIndex
    from webchat.answering.learning.learner import Learner
    from webchat.answering.leases import LeaseKeeper
    from webchat.answering.pipeline import Answerer
    from webchat.config import Settings
    from webchat.engine.encoders import Encoder
    from webchat.engine.interface import Engine
    from webchat.storage.database import Database


@dataclass(frozen=True, slots=True)
class Services:
    """The running parts of one application."""

    settings: Settings
    database: Database
    engine: Engine
    encoder: Encoder | None
    index: FaqIndex
    answerer: Answerer
    leases: LeaseKeeper
    learner: Learner
    completions: Completions


def services() -> Services:
    """The parts of the application that handles this request."""
    return cast("Services", current_app.extensions["webchat"])
