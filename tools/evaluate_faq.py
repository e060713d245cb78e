"""Matches the questions of several tasks and writes the table and the plot of docs/answers.md.

Usage: .venv/bin/python tools/evaluate_faq.py FOLDER [--write]
FOLDER: holds the tasks, each a folder as `webchat faq evaluate` takes it. The encoder is that of the settings.
--write: put the plot into docs/answers.svg; the table goes to the terminal.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from webchat import plots
from webchat.answering.faq import evaluation
from webchat.config import CHECKOUT, load_settings
from webchat.engine.encoders import open_encoder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from webchat.answering.faq.evaluation import Figures

_MOST_WRONG = 0.1  # right end of the plot
_HEAD = (
    "| task | encoder | right on top | covered at 1 · 2 · 5 % wrong | answered by itself: right, wrong | among three |"
)


def main() -> None:
    """Match every task with the encoder and without one."""
    encoder = open_encoder(load_settings())
    curves = {}
    print(_HEAD, "| --- | --- | --- | --- | --- | --- |", sep="\n")
    for folder in sorted(path.parent for path in Path(sys.argv[1]).glob("*/base.jsonl")):
        task = evaluation.read_task(folder)
        for name, chosen in ((encoder.name, encoder), ("none", None)) if encoder else (("none", None),):
            figures = evaluation.figures(task, evaluation.predict(task, chosen))
            print(_line(folder.name, name, figures), flush=True)
            curves[f"{folder.name}{'' if chosen else ', no encoder'}"] = figures.curve
    if "--write" in sys.argv:
        _plot(curves).render_to_file(str(CHECKOUT / "docs" / "answers.svg"))


def _line(task: str, encoder: str, figures: Figures) -> str:
    covered = " · ".join(f"{100 * share:.1f}" for share in figures.covered)
    live = f"{100 * figures.answered:.1f}, {100 * figures.wrong:.1f}"
    return f"| {task} | {encoder} | {100 * figures.top1:.1f} | {covered} | {live} | {100 * figures.suggested:.1f} |"


def _plot(curves: dict[str, Sequence[tuple[float, float]]]) -> Any:
    chart = plots.points(
        title="Answered rightly, of the questions that have an answer, against answered wrongly, of all (%)",
        x_title="answered wrongly, % of all questions",
        y_title="answered rightly, %",
        stroke=True,
        show_dots=False,
        range=(0, 100),
    )
    for name, curve in curves.items():
        chart.add(name, [(100 * wrong, 100 * right) for right, wrong in curve if wrong <= _MOST_WRONG])
    return chart


if __name__ == "__main__":
    main()
