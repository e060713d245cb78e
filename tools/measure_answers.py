"""Measures what the temperature of answers is chosen by: what a small model remembers, and whether it goes in circles.

Usage: .venv/bin/python tools/measure_answers.py MODEL [TEMPERATURE...]
MODEL: a GGUF file, see `webchat model path --served`.
"""

from __future__ import annotations

import dataclasses
import re
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from webchat.answering.persona import persona
from webchat.engine.calibration import UNMEASURED
from webchat.engine.generation import Sampling, Text
from webchat.engine.interface import ChatMessage, ChatRequest
from webchat.engine.llama import LlamaBackend
from webchat.engine.worker import LocalEngine

if TYPE_CHECKING:
    from collections.abc import Sequence

TEMPERATURES = (0.7, 0.3, 0.1, 0.0)
# What a visitor says, asks about it next, and the word that the answer must hold.
SAID = (
    ("你好，我叫王小明，请记住我的名字", "我刚才说我叫什么名字？", "小明"),
    ("我的订单号是 A20391，昨天下的单", "我刚才说的订单号是多少？", "20391"),
    ("我想买一双42码的红色跑鞋", "我刚才说要多大码的鞋？", "42"),
    ("我住在杭州，周末收货比较方便", "我刚才说我住在哪个城市？", "杭州"),
)
LONG = (
    "请写一个很长的关于小船的故事，要很多细节",
    "请写一篇长文章，介绍大海、沙滩、贝壳和海鸟，越详细越好",
    "帮我写一封辞职信",
)
OPENINGS, ANSWERS = 8, 6  # first answers of each case, and second ones behind each of them
TOKENS, CONTEXT = 128, 2000
CLAUSE, CIRCLE = 5, 3  # characters of a clause that counts; said so often it is a circle


def main() -> None:
    """For each temperature: how often it remembered, and how many long answers went in circles."""
    file = Path(sys.argv[1])
    engine = LocalEngine(
        file.stem,
        lambda: LlamaBackend(file, sequences=32, cells=12_000),
        max_running=16,
        max_waiting=512,
        calibrate=lambda _: UNMEASURED,
    )
    engine.start()
    engine.wait_until_ready(120)
    for temperature in map(float, sys.argv[2:]) if len(sys.argv) > 2 else TEMPERATURES:  # noqa: PLR2004 - a position
        remembered = [
            word in answer for opening, asked, word in SAID for answer in twice(engine, opening, asked, temperature)
        ]
        turning = [circles(answer) for question in LONG for answer in twice(engine, question, question, temperature)]
        print(
            f"temperature {temperature}: remembered {sum(remembered)} of {len(remembered)}, "
            f"in circles {sum(turning)} of {len(turning)}"
        )
    engine.close()


def twice(engine: LocalEngine, opening: str, asked: str, temperature: float) -> list[str]:
    """The second answers of conversations with these two questions."""
    system = ChatMessage("system", persona(opening, "zh", shop="小舟商店", model=engine.name))
    begun = (system, ChatMessage("user", opening))
    firsts = answers(engine, [begun] * OPENINGS, temperature)
    return answers(
        engine,
        [(*begun, ChatMessage("assistant", first), ChatMessage("user", asked)) for first in firsts] * ANSWERS,
        temperature,
    )


def answers(engine: LocalEngine, prompts: Sequence[tuple[ChatMessage, ...]], temperature: float) -> list[str]:
    """What the engine answers, drawn with a seed each."""
    running = [
        engine.chat(
            ChatRequest(
                prompt,
                TOKENS,
                CONTEXT,
                sampling=dataclasses.replace(Sampling(), temperature=temperature, seed=seed),
                owner=str(seed),
            )
        )
        for seed, prompt in enumerate(prompts)
    ]
    return ["".join(output.text for output in answer if isinstance(output, Text)) for answer in running]


def circles(answer: str) -> bool:
    """Whether some clause is said again and again."""
    clauses = Counter(clause for clause in re.split(r"[，。！？；\s]+", answer) if len(clause) >= CLAUSE)
    return any(count >= CIRCLE for count in clauses.values())


if __name__ == "__main__":
    main()
