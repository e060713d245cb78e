"""Results for people and for programs: a terminal, Markdown, JSON."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table as RichTable

from webchat.bench.tables import Table, notes, tables

if TYPE_CHECKING:
    from webchat.bench.scenarios import Results

_WIDTH = 150  # columns where no terminal says how wide it is; a narrower one wraps headings


def print_report(results: Results) -> None:
    """Write the tables and their notes to stdout."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDTH
    for table in tables(results):
        console.print(_rich(table))
        console.print()
    for line in notes(results):
        console.print(line, markup=False)


def markdown(results: Results, command: str) -> str:
    """The same as a document.

    Args:
        results: what was measured.
        command: what was typed, without keys.
    """
    made = f"Made on {datetime.now(UTC):%Y-%m-%d} ({machine()}) by\n\n    {command}\n"
    ended = [f"It ended early: {results.error}\n"] if results.error else []
    listed = "\n".join(f"- {line}" for line in notes(results))
    return "\n".join(["# Benchmarks\n", made, *ended, *map(_markdown, tables(results)), listed]) + "\n"


def as_json(results: Results) -> str:
    """Every run's figures (times in seconds, memory in bytes), without keys; ``error`` says why it ended early."""
    limit = results.limit
    document = {
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "servers": [{"name": each.name, "url": each.url, "model": each.model} for each in results.servers],
        "plan": asdict(results.plan),
        "limit": limit and {**asdict(limit), "tokens_per_second": limit.tokens_per_second},
        "runs": [asdict(run) for run in results.runs],
        "error": results.error,
    }
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"


def machine() -> str:
    """The processor and how many cores of it there are."""
    return f"{_processor()}, {os.cpu_count()} cores"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def _rich(table: Table) -> RichTable:
    shown = RichTable(title=table.title, title_justify="left")
    for heading in table.headings:
        shown.add_column(heading, justify="left" if heading == "server" else "right")
    for row in table.rows:
        shown.add_row(*row)
    return shown


def _markdown(table: Table) -> str:
    lines = [table.headings, ["---"] * len(table.headings), *table.rows]
    return f"## {table.title}\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
