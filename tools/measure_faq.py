"""Measures what the FAQ's index costs: building it, its memory, and finding an answer.

Usage: .venv/bin/python tools/measure_faq.py [ENTRIES …] [MODEL]
ENTRIES: sizes of FAQs, 84, 1000 and 10000 when none is given. Questions are put together from words of shops, each of
another product, matter and way to ask. The encoder is that of the settings; WEBCHAT_ENCODER=none measures without.
MODEL: a GGUF file that writes beside the questions the second time they are asked.
"""

from __future__ import annotations

import itertools
import random
import sys
import tempfile
import time
from contextlib import closing, nullcontext
from pathlib import Path
from statistics import quantiles
from typing import TYPE_CHECKING

from measure_encoder import writing

from webchat.answering.faq.index import FaqIndex
from webchat.config import load_settings
from webchat.engine.encoders import open_encoder
from webchat.storage import faq, schema
from webchat.storage.database import Database

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from webchat.engine.encoders import Encoder

MAKES = "小舟 青山 云帆 远航 晨光 星河 木林 海蓝 白鹿 金穗 南风 北辰 东篱 西岭 春泥 秋水 夏荷 冬青 石榴 橘子".split()
GOODS = "手机 耳机 手环 平板 电饭煲 台灯 书包 运动鞋 羽绒服 雨伞 水杯 键盘 鼠标 音箱 相机 手表 烤箱 风扇".split()
PARTS = "电池 屏幕 外壳 包装 颜色 尺寸 重量 材质 配件 说明书 充电器 保修卡 序列号 系统 接口 按键 开关 镜头".split()
MATTERS = "怎么更换 多少钱 可以退吗 坏了怎么修 在哪里看 有几种 能不能定做 怎么清洗 保修多久 什么时候到货".split()
ASKED = 300  # questions timed


def main() -> None:
    """Measure each size."""
    sizes = [int(size) for size in sys.argv[1:] if size.isdigit()] or [84, 1000, 10_000]
    model = next((Path(file) for file in sys.argv[1:] if not file.isdigit()), None)
    print(
        "| entries | built in | memory | exact p50 · p99 | matched p50 · p95 | the same while the model writes |",
        "| --- | --- | --- | --- | --- | --- |",
        sep="\n",
    )
    encoder = open_encoder(load_settings())
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            print(_measured(size, encoder, Path(folder), model), flush=True)


def _measured(size: int, encoder: Encoder | None, folder: Path, model: Path | None) -> str:
    questions = shop_questions(size)
    with closing(Database(f"sqlite:///{folder}/faq.db")) as database:
        schema.upgrade(database, folder)
        with database.write() as session:
            faq.add_batch(session, [faq.NewEntry([question], f"关于{question}") for question in questions], "measured")
        before = _resident()
        with closing(FaqIndex(database, encoder)) as index:
            began = time.monotonic()
            index.start()
            index.settle(7200)
            built, memory = time.monotonic() - began, _resident() - before
            alone = _asked(index, questions, "今天")
            with writing(model) if model else nullcontext():
                beside = _asked(index, questions, "昨天") if model else "–"
    return f"| {size:,} | {built:.1f} s | {memory / 1e6:.0f} MB | {alone} | {beside} |"


def _asked(index: FaqIndex, questions: Sequence[str], day: str) -> str:
    """Ask some of them as they are, and in other words: no two alike, as a vector that is known takes no time."""
    asked = random.Random(1).choices(questions, k=ASKED)  # noqa: S311 - no secret
    exact = _times(index.find, asked)
    matched = _times(index.find, [f"{day}想问{text[2:]}{row}" for row, text in enumerate(asked)])
    return f"{_at(exact, 50):.2f} · {_at(exact, 99):.2f} ms | {_at(matched, 50):.1f} · {_at(matched, 95):.1f} ms"


def shop_questions(size: int) -> list[str]:
    """So many different questions."""
    every = ["".join(words) for words in itertools.product(MAKES, GOODS, PARTS, MATTERS)]
    more = [f"{question}，第{number}款" for number in range(2, 3 + size // len(every)) for question in every]
    return random.Random(0).sample(every, min(size, len(every))) + more[: max(size - len(every), 0)]  # noqa: S311


def _times(find: Callable[[str], object], questions: Sequence[str]) -> list[float]:
    """Milliseconds of each; the first few, which wake the caches, are left out."""
    taken = []
    for question in questions:
        began = time.perf_counter()
        find(question)
        taken.append(1000 * (time.perf_counter() - began))
    return taken[10:]


def _at(taken: Sequence[float], percent: int) -> float:
    return quantiles(taken, n=100)[percent - 1]


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


if __name__ == "__main__":
    main()
