"""What is measured, in which order: every step on each server in turn, so that a machine's moods meet both alike."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from webchat.bench.figures import Figures, summarise
from webchat.bench.load import Observed, run
from webchat.bench.memory import resident_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from webchat.bench.client import Message, Server
    from webchat.bench.limit import Limit
    from webchat.bench.prompts import Prompts

COLD, WARM, HISTORY = "cold", "warm", "history"
SHORT, LONG = 100, 2000  # tokens of the conversations whose next turns are compared
_OTHERS_STREAMS = 8
_BRIEF = 16  # tokens of an answer that only has to have been given


@dataclass(frozen=True)
class Plan:
    """How much to measure.

    Attributes:
        scenarios: which of cold, warm and history.
        levels: numbers of streams.
        rounds: how often everything is measured on each server.
        questions: how many each stream of a warm level asks in a row.
        tokens: limit of an answer.
        others: conversations held between two turns of the history's.
        timeout: seconds that one answer may take.
    """

    scenarios: Sequence[str] = (COLD, WARM, HISTORY)
    levels: Sequence[int] = (1, 2, 3, 4, 8, 16)
    rounds: int = 3
    questions: int = 3
    tokens: int = 64
    others: int = 50
    timeout: float = 120.0


@dataclass(frozen=True)
class Run:
    """One measurement of one server.

    Attributes:
        scenario: cold, warm or history.
        level: how many streams; for a history the conversation's tokens, about.
        others: conversations held before the history's next turn.
        round: counted from 0.
        server: its name.
        figures: what came out.
    """

    scenario: str
    level: int
    others: int
    round: int
    server: str
    figures: Figures


@dataclass
class Results:
    """Everything measured so far.

    Attributes:
        plan: what was to be measured.
        servers: the first is ours, the second, if any, what it is compared with.
        limit: what memory allows; None where it is not known.
        runs: in the order in which they were made.
        error: why it ended early; empty when it did not.
    """

    plan: Plan
    servers: list[Server] = field(default_factory=list)
    limit: Limit | None = None
    runs: list[Run] = field(default_factory=list)
    error: str = ""

    def of(self, scenario: str, level: int, server: str, others: int = 0) -> list[Figures]:
        """The rounds of one measurement on one server."""
        wanted = (scenario, level, others, server)
        return [each.figures for each in self.runs if (each.scenario, each.level, each.others, each.server) == wanted]

    def levels(self, scenario: str) -> list[int]:
        """The levels of a scenario that were measured, lowest first."""
        return sorted({each.level for each in self.runs if each.scenario == scenario})


def measure(results: Results, prompts: Prompts, tell: Callable[[str], None]) -> None:
    """Measure all that is planned; each run is in the results as soon as it is over.

    Args:
        results: with the servers and the plan; grows.
        prompts: what to ask.
        tell: called with one line per step, for whoever waits.

    Raises:
        BenchError: a server failed.
    """
    for scenario, level, round_ in _steps(results.plan):
        for server in in_turn(results.servers, round_):
            place = f"{scenario}/{level}/{round_}"  # the same for each server: they get the same questions
            found = _SCENARIOS[scenario](server, results.plan, prompts, place, level)
            results.runs += [Run(scenario, size, others, round_, server.name, each) for size, others, each in found]
            tell(_line(results, scenario, level, round_, server))


def in_turn(servers: Sequence[Server], round_: int) -> Sequence[Server]:
    """A B, B A, A B …: who is second may find a warmer processor, so each is as often."""
    return servers if round_ % 2 == 0 else servers[::-1]


def _steps(plan: Plan) -> Iterator[tuple[str, int, int]]:
    """Scenario, level (for the history: how many others in between) and round."""
    for scenario in plan.scenarios:
        for level in sorted({0, plan.others}) if scenario == HISTORY else plan.levels:
            for round_ in range(plan.rounds):
                yield scenario, level, round_


Found = list[tuple[int, int, Figures]]  # level, others, figures


def _cold(server: Server, plan: Plan, prompts: Prompts, place: str, level: int) -> Found:
    """Each stream asks once, under a system prompt of its own that was never seen."""
    streams = [[prompts.cold(f"{place}/{stream}")] for stream in range(level)]
    return [(level, 0, _figures(server, run(server, streams, plan.tokens, plan.timeout)))]


def _warm(server: Server, plan: Plan, prompts: Prompts, place: str, level: int) -> Found:
    """Each stream asks several questions; before, as many as there are streams made the system prompt known."""
    known = [[prompts.warm(f"{place}/before/{stream}")] for stream in range(level)]
    run(server, known, _BRIEF, plan.timeout)
    streams = [[prompts.warm(f"{place}/{stream}/{turn}") for turn in range(plan.questions)] for stream in range(level)]
    return [(level, 0, _figures(server, run(server, streams, plan.tokens, plan.timeout)))]


def _history(server: Server, plan: Plan, prompts: Prompts, place: str, others: int) -> Found:
    """The next turns of a short and a long conversation, after other visitors had theirs."""
    waiting = {size: _opened(server, plan, prompts, f"{place}/{size}", size) for size in (SHORT, LONG)}
    if others:
        run(server, _other_conversations(prompts, place, others), _BRIEF, plan.timeout)
    return [
        (size, others, _figures(server, run(server, [[messages]], plan.tokens, plan.timeout)))
        for size, messages in waiting.items()
    ]


def _opened(server: Server, plan: Plan, prompts: Prompts, place: str, size: int) -> list[Message]:
    """A conversation whose turn has just been answered, with its next question."""
    opening = prompts.conversation(place, size)
    [[answer]] = run(server, [[opening]], plan.tokens, plan.timeout).streams
    return prompts.next_turn(opening, answer.text)


def _other_conversations(prompts: Prompts, place: str, others: int) -> list[list[list[Message]]]:
    conversations = [prompts.warm(f"{place}/other/{number}") for number in range(others)]
    return [conversations[first::_OTHERS_STREAMS] for first in range(min(_OTHERS_STREAMS, others))]


_SCENARIOS = {COLD: _cold, WARM: _warm, HISTORY: _history}


def _figures(server: Server, observed: Observed) -> Figures:
    return summarise(observed, resident_bytes(server.url))


def _line(results: Results, scenario: str, level: int, round_: int, server: Server) -> str:
    last = results.runs[-1].figures
    what = f"{level} others between" if scenario == HISTORY else f"{level} streams"
    return (
        f"{scenario}, {what}, round {round_ + 1} of {results.plan.rounds}, {server.name}: "
        f"{last.characters_per_second:.0f} characters/s, first text after {last.ttft_p50 * 1000:.0f} ms"
    )
