"""Measures the inbox: how long it takes to place, show and count, and how well questions are grouped.

Usage: .venv/bin/python tools/measure_inbox.py [FOLDER …]
FOLDER: tasks as `webchat faq evaluate` reads them. Up to 400 of each one's questions, those of its entries among them,
are grouped without a FAQ; a pair in one group is right when both ask for one entry. The settings name the encoder.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections import Counter, defaultdict
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from measure_faq import shop_questions

from webchat.answering.faq.evaluation import read_task
from webchat.answering.learning.grouping import Grouping
from webchat.answering.learning.learner import Learner
from webchat.config import load_settings
from webchat.engine.encoders import open_encoder
from webchat.storage import conversations, inbox, messages, schema
from webchat.storage.database import Database, Session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from webchat.answering.faq.evaluation import Id
    from webchat.engine.encoders import Encoder

QUESTIONS, DIFFERENT = 10_000, 1500
GROUPED, REMEASURED = 400, 100  # questions of a task, and after how many the bars are measured again


def main() -> None:
    """Measure speed without an encoder, then grouping of each task."""
    with tempfile.TemporaryDirectory() as folder, closing(Database(f"sqlite:///{folder}/inbox.db")) as database:
        schema.upgrade(database, Path(folder))
        encoder = open_encoder(load_settings())
        for task in map(Path, sys.argv[1:]):
            print(f"{task.name}: {_grouped(task, encoder, database)}", flush=True)
        _speed(database)


def _speed(database: Database) -> None:
    chosen = random.Random(0)  # noqa: S311 - no secret
    texts = shop_questions(DIFFERENT)
    with database.write() as session:
        for number in range(QUESTIONS):  # few are asked often
            _ask(session, texts[min(int(chosen.paretovariate(0.6)) - 1, DIFFERENT - 1)], f"visitor {number % 3000}")
    learner = Learner(database, None)
    print(f"{QUESTIONS:,} placed: {_once(learner.catch_up):.1f} s")
    with database.write() as session:
        _ask(session, "一个还没有人问过的问题", "somebody")
    print(f"one more: {1000 * _once(learner.catch_up):.0f} ms")
    with database.read() as session:
        total = inbox.listed(session, "open")[1]
        page = median(_once(lambda: inbox.listed(session, "open")) for _ in range(10))
        count = median(_once(lambda: inbox.open_groups(session)) for _ in range(10))
    print(f"a page of {total} groups: {1000 * page:.0f} ms; their number: {1000 * count:.1f} ms")


def _ask(session: Session, text: str, visitor: str) -> None:
    conversation = conversations.open_conversation(
        session, visitor_id=visitor, channel="page", language="zh", title=text
    )
    question = messages.add_question(session, conversation.id, text, "1")
    messages.add_answer(
        session,
        conversation_id=conversation.id,
        question_id=question.id,
        source="model",
        status="done",
        text="可以的。" * 10,
    )


def _grouped(folder: Path, encoder: Encoder | None, database: Database) -> str:
    """Shares of pairs that are together and belong together, and that belong together and are."""
    task = read_task(folder)
    asked: list[tuple[str, Id]] = [(query.text, min(query.right, key=str)) for query in task.queries if query.right]
    asked += [(text, name) for name, text in task.phrasings]
    random.Random(0).shuffle(asked)  # noqa: S311 - no secret
    groups: defaultdict[int, list[tuple[str, Id]]] = defaultdict(list)
    for number, (text, right) in enumerate(asked[:GROUPED]):
        if number % REMEASURED == 0:
            texts = {group: [each for each, _ in members[:5]] for group, members in groups.items()}
            grouping = Grouping(texts, [], encoder, database)
        group = grouping.group_of(text)
        if group is None:
            group = len(groups)
            grouping.add(group, text)
        groups[group].append((text, right))
    together = _pairs(map(len, groups.values()))
    right_pairs = _pairs(
        count for members in groups.values() for count in Counter(name for _, name in members).values()
    )
    belonging = _pairs(Counter(name for _, name in asked[:GROUPED]).values())
    return f"{right_pairs / max(together, 1):.0%} of pairs right, {right_pairs / max(belonging, 1):.0%} of all found"


def _pairs(sizes: Iterable[int]) -> int:
    return sum(size * (size - 1) // 2 for size in sizes)


def _once(do: Callable[[], object]) -> float:
    began = time.perf_counter()
    do()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
