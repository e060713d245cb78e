"""Measures how questions about a shop are told from all others, and what is answered to them.

Usage: .venv/bin/python tools/measure_policy.py [QUESTIONS.toml...] [--answers MODEL.gguf]
WEBCHAT_ENCODER=none measures without an encoder; the configured one is used else, when it has been fetched.
QUESTIONS.toml: lists ``shop.zh``, ``shop.en``, ``general.zh``, …; those of the tests when none are given.
With --answers each question is put to the whole site, with the example FAQ and that model, and what it says is printed:
read it.
"""

from __future__ import annotations

import sys
import tempfile
import tomllib
import uuid
from collections import Counter
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

from webchat.answering.events import Delta
from webchat.answering.example_faq import load_example_faq
from webchat.answering.faq.index import FaqIndex
from webchat.answering.pipeline import Answerer, Asker, Opening
from webchat.answering.policy import PolicyDesk
from webchat.answering.run import ModelSettings
from webchat.config import CHECKOUT, load_settings
from webchat.engine.calibration import UNMEASURED
from webchat.engine.encoders import open_encoder
from webchat.engine.llama import LlamaBackend
from webchat.engine.worker import LocalEngine
from webchat.storage import messages, schema
from webchat.storage.answer_policy import AnswerPolicy
from webchat.storage.database import Database

if TYPE_CHECKING:
    from collections.abc import Iterator

    from webchat.engine.encoders import Encoder
    from webchat.storage.tables import Language

KINDS = ("shop", "general", "conversation")
LANGUAGES: tuple[Language, ...] = ("zh", "en")
CAREFUL = AnswerPolicy()


def main() -> None:
    """Print the figures of each file."""
    arguments = sys.argv[1:]
    model = None
    if "--answers" in arguments:
        at = arguments.index("--answers")
        model, arguments = Path(arguments[at + 1]), arguments[:at] + arguments[at + 2 :]
    files = [Path(name) for name in arguments] or sorted(
        (CHECKOUT / "tests" / "answering").glob("policy_questions*.toml")
    )
    encoder = open_encoder(load_settings())
    desk = PolicyDesk(encoder)
    desk.warm_up()
    print("With", encoder.name if encoder else "words alone")
    for file in files:
        questions = tomllib.loads(file.read_text(encoding="utf-8"))
        print(f"\n{file.name}")
        told_apart(questions, desk)
        if model:
            answered(questions, model, encoder)


def told_apart(questions: dict[str, dict[str, list[str]]], desk: PolicyDesk) -> None:
    """A confusion table for each language: rows are what a question is, columns what it was taken for."""
    for language in LANGUAGES:
        print(f"  {language:14}", *(f"{kind:>13}" for kind in KINDS))
        for kind in KINDS:
            kinds = (
                desk.decide(CAREFUL, text, language).judgement.kind
                for text in questions.get(kind, {}).get(language, [])
            )
            taken: Counter[str] = Counter("general" if taken_for == "making" else taken_for for taken_for in kinds)
            print(f"  {kind:14}", *(f"{taken[other]:13}" for other in KINDS))


def answered(questions: dict[str, dict[str, list[str]]], model: Path, encoder: Encoder | None) -> None:
    """What the site says to each question, the source, and why."""
    with ExitStack() as parts:
        folder = Path(parts.enter_context(tempfile.TemporaryDirectory()))
        answerer, database = _site(parts, folder, model, encoder)
        for kind, language, question in _each(questions):
            where = Opening(uuid.uuid4().hex, "page", language)
            turn = answerer.answer(where, question, uuid.uuid4().hex, Asker(where.visitor_id, uuid.uuid4().hex))
            if turn.answer is None:
                raise RuntimeError("A conversation of its own is with nobody.")
            text = "".join(
                event.text for event in answerer.follow(turn.conversation, turn.answer.id) if isinstance(event, Delta)
            )
            with database.read() as session:
                row = messages.get(session, turn.conversation.id, turn.answer.id)
            print(
                f"[{kind}.{language}] {question}\n    {row and row.source} / {row and row.reason}: {text!r}", flush=True
            )


def _each(questions: dict[str, dict[str, list[str]]]) -> Iterator[tuple[str, Language, str]]:
    for kind in KINDS:
        for language in LANGUAGES:
            for question in questions.get(kind, {}).get(language, []):
                yield kind, language, question


def _site(parts: ExitStack, folder: Path, model: Path, encoder: Encoder | None) -> tuple[Answerer, Database]:
    database = parts.enter_context(closing(Database(f"sqlite:///{folder}/webchat.db")))
    schema.upgrade(database, folder)
    load_example_faq(database)
    engine = LocalEngine(
        model.stem,
        lambda: LlamaBackend(model, sequences=8, cells=6000),
        max_running=4,
        max_waiting=64,
        calibrate=lambda _: UNMEASURED,
    )
    engine.start()
    parts.callback(engine.close)
    engine.wait_until_ready(120)
    index = FaqIndex(database, encoder)
    parts.callback(index.close)
    index.start()
    index.settle()
    answerer = Answerer(database, engine, ModelSettings("示例商店", 128, 2000), index, encoder)
    answerer.warm_up()
    return answerer, database


if __name__ == "__main__":
    main()
