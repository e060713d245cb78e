"""Measures the sentence encoders: milliseconds for a question, alone and while the model writes, and memory.

Usage: .venv/bin/python tools/measure_encoder.py MODEL [ROUNDS]
MODEL: a GGUF file, see `webchat model path --served`. The encoders are those of this installation's settings.
"""

from __future__ import annotations

import re
import sys
import threading
import time
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from webchat.answering.example_faq import read_example
from webchat.answering.normalise import normalise  # and OPENBLAS_NUM_THREADS, before numpy
from webchat.config import load_settings
from webchat.engine.encoders import E5, Encoders, open_encoder, paths
from webchat.engine.generation import Sampling
from webchat.engine.interface import ChatMessage, ChatRequest
from webchat.engine.llama import LlamaBackend
from webchat.engine.llama_encoder import LlamaEncoder
from webchat.engine.worker import LocalEngine

import numpy as np  # isort: skip

if TYPE_CHECKING:
    from collections.abc import Iterator

    from webchat.config import Settings
    from webchat.engine.encoders import Encoder

TOKENS = 400  # of each answer that is written meanwhile
LEAK_CHECK = 5000  # questions


def main() -> None:
    """Open the encoders, then ask with and without a model that writes."""
    file, rounds = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 10  # noqa: PLR2004 - a position
    questions = [normalise(text) for entry in read_example() for text in entry.phrasings]
    settings = load_settings()
    before = own_memory()
    encoder = open_encoder(settings)
    if encoder is None:
        raise SystemExit("No sentence encoder: type `webchat model fetch`.")
    encoder.encode(questions)
    print(f"{encoder.name}: {own_memory() - before:.0f} MB, {len(questions)} questions, {rounds} rounds")
    settled = own_memory()
    for number in range(LEAK_CHECK):
        encoder.encode([questions[number % len(questions)]])
    print(f"after {LEAK_CHECK} more: {own_memory() - settled:+.1f} MB")
    measure("idle", encoder, questions, rounds)
    with background(encoder, questions):
        measure("while 10,000 phrasings are encoded in the background", encoder, questions, rounds)
    measure_threads("idle", settings, questions, rounds)
    with writing(file):
        measure("while the model writes", encoder, questions, rounds)
        measure_threads("while the model writes", settings, questions, rounds)
    encoder.close()


def measure(when: str, encoder: Encoder, questions: list[str], rounds: int) -> None:
    """A line with the median and the 95th percentile of single questions."""
    seconds = []
    for question in questions * rounds:
        began = time.perf_counter()
        encoder.encode([question])
        seconds.append(time.perf_counter() - began)
    half, most = np.percentile(seconds, (50, 95)) * 1000
    print(f"{when:55} p50 {half:5.1f} ms, p95 {most:5.1f} ms", flush=True)


def measure_threads(when: str, settings: Settings, questions: list[str], rounds: int) -> None:
    """The first of our two alone, on one thread and on two."""
    folder = next((path for path in paths(settings) if path.name == E5), None)
    for threads in (1, 2) if folder else ():
        with closing(Encoders([LlamaEncoder(folder, threads=threads)])) as encoder:  # type: ignore[arg-type]  # not None
            measure(f"{when}: {E5}, threads: {threads}", encoder, questions, rounds)


@contextmanager
def background(encoder: Encoder, questions: list[str]) -> Iterator[None]:
    """Encode without urgency until the block ends."""
    over = threading.Event()

    def run() -> None:
        while not over.is_set():
            encoder.encode(questions, urgent=False)

    thread = threading.Thread(target=run)
    thread.start()
    yield
    over.set()
    thread.join()


@contextmanager
def writing(file: Path) -> Iterator[None]:
    """Let the model write one answer after the other until the block ends."""
    engine = LocalEngine(file.stem, lambda: LlamaBackend(file, sequences=2, cells=4096), max_running=1, max_waiting=2)
    engine.start()
    engine.wait_until_ready(120)
    over, began = threading.Event(), threading.Event()

    def run() -> None:
        while not over.is_set():
            message = ChatMessage("user", "写一篇关于茶壶的长文章。")
            for _ in engine.chat(ChatRequest((message,), TOKENS, sampling=Sampling(temperature=0))):
                began.set()
                if over.is_set():
                    break

    thread = threading.Thread(target=run)
    thread.start()
    began.wait()
    yield
    over.set()
    thread.join()
    engine.close()


def own_memory() -> float:
    """Megabytes of this process's own, without the pages of files."""
    status = Path("/proc/self/status").read_text()
    found = re.search(r"^RssAnon:\s+(\d+)", status, re.MULTILINE)
    return int(found[1]) * 1024 / 1e6 if found else 0.0


if __name__ == "__main__":
    main()
