"""The load: streams that start together, each asking its questions one after the other."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING

from webchat.bench.client import Answer, Message, Server, Stopped, ask

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Observed:
    """What the clients of one run saw.

    Attributes:
        streams: each stream's answers in their order.
        client_cpu: processor seconds that all clients together took.
    """

    streams: list[list[Answer]]
    client_cpu: float


def run(server: Server, streams: Sequence[Sequence[list[Message]]], tokens: int, timeout: float) -> Observed:
    """Let every stream ask its questions, each after the answer to the one before.

    Args:
        server: whom they ask.
        streams: the questions of each stream.
        tokens: every answer's limit.
        timeout: seconds that one answer may take.

    Raises:
        BenchError: an answer failed; the other streams hang up, as with any other error of a stream.
    """
    stop, together = threading.Event(), threading.Barrier(len(streams))
    outcomes: SimpleQueue[tuple[int, list[Answer] | Exception]] = SimpleQueue()

    def stream(number: int) -> None:
        together.wait()
        try:
            outcomes.put((number, [ask(server, each, tokens, timeout, stop) for each in streams[number]]))
        except Stopped:
            pass  # nobody waits for it any more
        except Exception as error:  # noqa: BLE001 - a mistake of our own as well: who waits for all must hear of it
            outcomes.put((number, error))

    before = time.process_time()
    for number in range(len(streams)):
        threading.Thread(target=stream, args=(number,), daemon=True).start()
    try:
        answers = _collect(outcomes, len(streams))
    finally:
        stop.set()  # after a failure or Ctrl-C the others must not keep the server busy
    return Observed(answers, time.process_time() - before)


def _collect(outcomes: SimpleQueue[tuple[int, list[Answer] | Exception]], expected: int) -> list[list[Answer]]:
    found: dict[int, list[Answer]] = {}
    while len(found) < expected:
        number, outcome = outcomes.get()
        if isinstance(outcome, Exception):
            raise outcome
        found[number] = outcome
    return [found[number] for number in sorted(found)]
