"""What ``webchat model tune`` shows: a table for the terminal, and a plot of speed against quality."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from webchat.engine.recipes import WORTH_IT
from webchat.plots import points

if TYPE_CHECKING:
    from pathlib import Path

    from webchat.engine.recipes import Measured
    from webchat.engine.variants import Result

_WIDTH = 132  # columns; a terminal that is narrower folds, a file keeps the lines whole


def print_table(result: Result) -> None:
    """Write what was measured to stdout, the chosen file marked."""
    texts, work = result.measured[0].perplexity, result.measured[0].speed
    table = Table(title=f"{result.download} on {result.processor}", caption=_caption(result), caption_justify="left")
    table.add_column("file")
    heads = ("MB", *texts, *(kind.replace("decode ", "×") for kind in work), "gain")
    for head in heads:
        table.add_column(head, justify="right")
    for each in result.measured:
        star = "* " if each.name == result.chosen else "  "
        table.add_row(star + each.name, *_cells(each))
    Console(width=_WIDTH).print(table)


def _cells(each: Measured) -> list[str]:
    quality = [
        f"{each.perplexity[text]:.2f} {each.loss[text]:+.1%} {each.agreement[text]:.0%}" for text in each.perplexity
    ]
    return [f"{each.size / 1e6:.0f}", *quality, *(f"{speed:.0f}" for speed in each.speed.values()), f"{each.gain:.2f}"]


def _caption(result: Result) -> str:
    return (
        "Each text: perplexity, what it is above the download's, share of equal first guesses. "
        "Speeds in tokens/s: reading a prompt, and writing 1 to 16 answers at once; gain: geometric mean against the "
        f"download. Made from {result.source}. Chosen (*): the fastest whose perplexity is at most {result.bound:.0%} "
        f"above the download's and which gains {WORTH_IT - 1:.0%} in every round; else the download."
    )


def write_plot(result: Result, path: Path) -> None:
    """Draw every file by its speed and by what it costs in quality, as SVG without scripts."""
    chart = points(
        stroke=False,
        dots_size=6,
        title=f"{result.download}: speed against quality",
        x_title="perplexity above the download's, in % (the worse of both languages)",
        y_title="times as fast as the download",
        legend_at_bottom_columns=2,
    )
    for each in result.measured:
        name = f"{each.name} (chosen)" if each.name == result.chosen else each.name
        chart.add(name, [(100 * max(each.loss.values()), each.gain)])
    gains = [each.gain for each in result.measured]
    bound = [(100 * result.bound, min(gains)), (100 * result.bound, max(gains))]
    chart.add(f"bound: {result.bound:.0%}", bound, stroke=True, show_dots=False)
    chart.render_to_file(str(path))
