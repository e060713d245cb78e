"""Results as tables of text, which the terminal and Markdown show alike."""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from statistics import median
from typing import TYPE_CHECKING

from webchat.bench.figures import Figures, Ratio, ratio
from webchat.bench.scenarios import COLD, HISTORY, LONG, SHORT, WARM, Results

if TYPE_CHECKING:
    from collections.abc import Sequence

    from webchat.bench.client import Server

UNKNOWN = "-"
_MS = 1e3
_MB = 1e-6
_TITLES = {
    COLD: "Cold: every question under a system prompt of its own, never seen",
    WARM: "Warm: one shared system prompt, known",
    HISTORY: "Next turn of a conversation: wait for its first text",
}
# Heading, attribute, factor and decimals of a level's columns.
_COLUMNS = (
    ("characters/s", "characters_per_second", 1.0, 1),
    ("tokens/s", "tokens_per_second", 1.0, 1),
    ("TTFT p50 ms", "ttft_p50", _MS, 0),
    ("p95 ms", "ttft_p95", _MS, 0),
    ("together p50 ms", "together_p50", _MS, 0),
    ("p95 ms", "together_p95", _MS, 0),
    ("gap p95 ms", "gap_p95", _MS, 0),
    ("memory MB", "memory", _MB, 0),
)
_RATIOS = (
    ("total output", "characters_per_second"),
    ("TTFT p50", "ttft_p50"),
    ("TTFT p95", "ttft_p95"),
    ("together p50", "together_p50"),
    ("together p95", "together_p95"),
    ("gap p95", "gap_p95"),
)


_WORDS = (
    "TTFT: from sending to the first text. together: the same over the streams' first, simultaneous questions. "
    "gap: between an answer's pieces of text. memory: resident, of all the server's processes."
)


@dataclass(frozen=True)
class Table:
    """A title, headings, and rows as long as these."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]


def tables(results: Results) -> list[Table]:
    """Whatever was measured; a scenario that was not has no table."""
    found = [_level_table(results, scenario) for scenario in (COLD, WARM)]
    found.append(_history_table(results))
    if len(results.servers) > 1:
        found += [_ratio_table(results, scenario) for scenario in (COLD, WARM)]
    return [table for table in found if table.rows]


def middle(rounds: Sequence[Figures], attribute: str) -> float | None:
    """The median of a figure over the rounds that know it."""
    known = [value for value in map(attrgetter(attribute), rounds) if value is not None]
    return median(known) if known else None


def notes(results: Results) -> list[str]:
    """What a reader has to know beside the tables."""
    plan = results.plan
    lines = [f"{server.name}: {server.url}, model {server.model}" for server in results.servers]
    lines.append(
        f"Medians of {plan.rounds} rounds, the servers in alternation. Answers of {plan.tokens} tokens, temperature 0; "
        f"a warm stream asks {plan.questions} in a row, a cold one asks once."
    )
    lines.append(_WORDS)
    lines += [line for line in (_early(results), _client(results)) if line]
    return lines + _limit(results)


def _level_table(results: Results, scenario: str) -> Table:
    columns = [column for column in _COLUMNS if _tells(scenario, column[1])]
    rows = [
        [
            str(level),
            server.name,
            *(_number(middle(rounds, name), factor, places) for _, name, factor, places in columns),
        ]
        for level in results.levels(scenario)
        for server in results.servers
        if (rounds := results.of(scenario, level, server.name))
    ]
    return Table(_TITLES[scenario], ["streams", "server", *(column[0] for column in columns)], rows)


def _ratio_table(results: Results, scenario: str) -> Table:
    ours, theirs = results.servers
    columns = [column for column in _RATIOS if _tells(scenario, column[1])]
    rows = []
    for level in results.levels(scenario):
        pair = results.of(scenario, level, ours.name), results.of(scenario, level, theirs.name)
        ratios = [_compared(*pair, name) for _, name in columns]
        if any(ratios):
            rows.append([str(level), *map(_ratio, ratios)])
    title = f"{scenario.capitalize()}: {ours.name} ÷ {theirs.name} (lowest-highest of the rounds)"
    return Table(title, ["streams", *(heading for heading, _ in columns)], rows)


def _tells(scenario: str, attribute: str) -> bool:
    """Where each stream asks once, all questions are simultaneous: the figures of those would be the same again."""
    return scenario != COLD or not attribute.startswith("together")


def _compared(ours: Sequence[Figures], theirs: Sequence[Figures], name: str) -> Ratio | None:
    pairs = [(getattr(our, name), getattr(their, name)) for our, their in zip(ours, theirs, strict=False)]
    known = [(our, their) for our, their in pairs if our is not None and their is not None]
    return ratio([our for our, _ in known], [their for _, their in known])


def _history_table(results: Results) -> Table:
    rows = [
        row
        for others in sorted({run.others for run in results.runs if run.scenario == HISTORY})
        for server in results.servers
        if (row := _history_row(results, server, others))
    ]
    headings = ["others between", "server", f"after {SHORT} tokens, ms", f"after {LONG} tokens, ms", "long ÷ short"]
    return Table(_TITLES[HISTORY], [*headings, "prompt tokens"], rows)


def _history_row(results: Results, server: Server, others: int) -> list[str]:
    short, long = (results.of(HISTORY, size, server.name, others) for size in (SHORT, LONG))
    if not short or not long:
        return []
    waits = [_number(middle(rounds, "ttft_p50"), _MS, 0) for rounds in (short, long)]
    sizes = [_number(middle(rounds, "prompt_tokens"), 1, 0) for rounds in (short, long)]
    return [str(others), server.name, *waits, _ratio(_compared(long, short, "ttft_p50")), " and ".join(sizes)]


def _early(results: Results) -> str:
    early = sum(run.figures.early for run in results.runs)
    answers = sum(run.figures.answers for run in results.runs)
    return f"{early} of {answers} answers ended before the limit of tokens." if early else ""


def _client(results: Results) -> str:
    shares = [run.figures.client_cpu for run in results.runs]
    return f"The clients themselves took at most {max(shares):.1%} of one core." if shares else ""


def _limit(results: Results) -> list[str]:
    if not (limit := results.limit):
        return []
    first = (
        f"This machine reads {limit.bandwidth / 1e9:.1f} GB/s from memory, and one token takes "
        f"{limit.bytes_per_token / 1e6:.0f} MB of weights: "
        f"at most {limit.tokens_per_second:.1f} tokens/s for one stream without guesses."
    )
    return [
        first,
        *(
            f"One stream of the {server.name} reaches {alone / limit.tokens_per_second:.0%} of that."
            for server in results.servers
            if (alone := middle(results.of(WARM, 1, server.name), "tokens_per_second"))
        ),
    ]


def _number(value: float | None, factor: float, places: int) -> str:
    return UNKNOWN if value is None else f"{value * factor:.{places}f}"


def _ratio(found: Ratio | None) -> str:
    return UNKNOWN if found is None else f"{found.value:.2f} ({found.low:.2f}-{found.high:.2f})"
