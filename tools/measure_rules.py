"""Measures the rules: how often the intents are right on the tests' messages, and what fifty rules cost a question.

Usage: .venv/bin/python tools/measure_rules.py
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from webchat.answering.rules.rulebook import Rulebook
from webchat.storage import rules, schema
from webchat.storage.database import Database

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from support.intent_messages import (  # type: ignore[import-not-found]
    MESSAGES,
    measured,
)

RULES = 50
ROUNDS = 20
QUESTIONS = (
    "怎么退货？",
    "你好，请问这件衣服什么时候发货，可以发顺丰吗",
    "How do I return a pair of shoes?",
    "字" * 2_000,
)


def main() -> None:
    """Print both tables."""
    print("intent      messages  look-alikes  precision  recall")
    for intent, (precision, recall) in measured().items():
        have_it, look_like_it = MESSAGES[intent]
        print(f"{intent:10} {len(have_it):9} {len(look_like_it):12} {precision:10.3f} {recall:7.3f}")
    with tempfile.TemporaryDirectory() as folder, closing(Database(f"sqlite:///{folder}/rules.db")) as database:
        schema.upgrade(database, Path(folder))
        with database.write() as session:
            for number in range(RULES - rules.count(session)):
                rules.add(session, rule(number))
        book = Rulebook(database, shop="小舟商店", timezone="Asia/Shanghai")
        print(f"\n{RULES} rules, none of which answers; the read of their version included")
        for question in QUESTIONS:
            seconds = [timed(book, question) for _ in range(ROUNDS * 10)][ROUNDS:]
            p50, p99 = statistics.median(seconds), sorted(seconds)[int(len(seconds) * 0.99)]
            print(f"{len(question):5} characters: p50 {p50 * 1e3:.2f} ms, p99 {p99 * 1e3:.2f} ms")


def rule(number: int) -> dict[str, object]:
    """A rule as operators make them: words, exceptions, and an expression in every third."""
    condition: dict[str, object] = {
        "keywords": [f"词语{number}{letter}" for letter in "abcdefgh"],
        "unless": [f"除外{number}"],
    }
    if number % 3 == 0:
        condition = {"pattern": rf"(?:订单|单号)\s*[a-z]{{2}}{number}\d{{4,8}}"}
    return {"name": f"rule {number}", "condition": condition, "action": "reply", "reply_zh": "好。"}


def timed(book: Rulebook, question: str) -> float:
    """Seconds of one ruling."""
    began = time.perf_counter()
    book.ruling(question, model="model")
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
