"""``webchat faq``: what a new installation can answer."""

from __future__ import annotations

from contextlib import closing, nullcontext
from pathlib import Path

import click

from webchat.answering.example_faq import load_into_new_database
from webchat.answering.faq import evaluation
from webchat.commands.inputs import require_data_dir
from webchat.config import load_settings
from webchat.engine.encoders import open_encoder
from webchat.engine.progress import Meter
from webchat.storage.database import Database


@click.group()
def faq() -> None:
    """Look after the FAQ."""


@faq.command(short_help="Load the example FAQ into a new database.")
def example() -> None:
    """Load the example FAQ into a new database; one that ever had entries stays as it is."""
    settings = load_settings()
    require_data_dir(settings)
    loaded = load_into_new_database(Database(settings.resolved_database_url))
    click.echo(f"Loaded {loaded} example entries." if loaded else "The FAQ has been used before; nothing was loaded.")


@faq.command(short_help="Tell how well questions of a folder are matched.")
@click.argument("task", type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="Where the predictions go, one JSON a line."
)
def evaluate(task: Path, out: Path) -> None:
    """Match the questions of a folder TASK against its own FAQ and tell how good that is.

    The folder has base.jsonl, queries.jsonl and perhaps alternates.jsonl; see docs/answers.md.
    The site's own FAQ and database are not opened.
    """
    try:
        read = evaluation.read_task(task)
    except evaluation.BadTask as error:
        raise click.ClickException(str(error)) from None
    if not out.parent.is_dir():  # said before the work, not after it
        raise click.ClickException(f"{out} cannot be written: No such file or directory.")
    encoder = open_encoder(load_settings())
    if encoder is None:
        click.echo("Without a sentence encoder: matching by letters and sounds.", err=True)
    with closing(encoder) if encoder else nullcontext(), Meter("matching", len(read.queries), "questions") as meter:
        predictions = evaluation.predict(read, encoder, meter.update)
    _write(out, "".join(f"{prediction.as_line()}\n" for prediction in predictions))
    click.echo(_summary(evaluation.figures(read, predictions)))


def _write(out: Path, text: str) -> None:
    """Whole or not at all."""
    part = out.with_name(f".{out.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(out)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise click.ClickException(f"{out} cannot be written: {error.strerror}.") from None


def _summary(figures: evaluation.Figures) -> str:
    covered = zip(figures.covered, evaluation.WRONG, strict=True)
    shares = " · ".join(f"{share:.1%} at {wrong:.0%}" for share, wrong in covered)
    return "\n".join(
        (
            f"questions          {figures.queries}, of which {figures.in_scope} have an answer",
            f"best one right     {figures.top1:.1%}",
            f"covered            {shares} wrong",
            f"answered by itself {figures.answered:.1%}, wrong {figures.wrong:.1%} of all",
            f"among three        {figures.suggested:.1%}",
        )
    )
