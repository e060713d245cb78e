"""``webchat faq``: what a new installation can answer."""

from __future__ import annotations

from contextlib import closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from webchat.answering.example_faq import load_into_new_database
from webchat.answering.faq import evaluation, rehearsal
from webchat.commands.inputs import require_data_dir
from webchat.config import load_settings
from webchat.engine.encoders import open_encoder
from webchat.engine.progress import Meter
from webchat.storage.database import Database

if TYPE_CHECKING:
    from collections.abc import Iterator

    from webchat.answering.faq.checking import Kind, Report

_SHOWN = 10  # questions of a kind
_WIDTH = 60  # characters of a question
_KINDS: dict[Kind, str] = {"new": "newly answered", "stopped": "no longer answered", "changed": "answered by another"}


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
    figures = evaluation.figures(read, predictions)
    click.echo(_summary(figures))
    if not figures.in_scope:
        click.echo("No query names the entry that should answer it (field id), so nothing could be right.", err=True)


@faq.command(short_help="Tell what visitors' questions would meet now.")
@click.argument("place", metavar="[FAQ]", type=click.Path(path_type=Path), required=False)
@click.option("--last", default=1000, show_default=True, type=click.IntRange(1, 100_000), help="How many questions.")
@click.option("--drafts", is_flag=True, help="As if all drafts were published.")
@click.option("--all", "show_all", is_flag=True, help="Print every question, not the ten most frequent of each kind.")
def check(place: Path | None, last: int, *, drafts: bool, show_all: bool) -> None:
    """Ask what visitors asked again, and tell what is answered otherwise.

    Without more: of the FAQ as it is, against what it answered then. With --drafts: as if all drafts were published,
    against the FAQ as it is. With FAQ, a folder with base.jsonl and perhaps alternates.jsonl (docs/answers.md), or such
    a file alone: of that FAQ, against the site's.

    Then the questions that entries must and must not answer; in another FAQ, the entries that share a phrasing with
    them. Ends with 1 when one of them is broken.
    """
    if place and drafts:
        raise click.UsageError("FAQ and --drafts cannot go together.")
    settings = load_settings()
    require_data_dir(settings)
    try:
        entries = evaluation.read_entries(place) if place else None
    except evaluation.BadTask as error:
        raise click.ClickException(str(error)) from None
    encoder = open_encoder(settings)
    with (
        closing(Database(settings.resolved_database_url)) as database,
        closing(encoder) if encoder else nullcontext(),
        Meter("asking", last, "questions") as meter,
    ):
        report = rehearsal.rehearse(database, encoder, last, meter.update, entries=entries, drafts=drafts)
    for line in _told(report, None if show_all else _SHOWN):
        click.echo(line)
    if report.broken:
        raise SystemExit(1)


def _told(report: Report, shown: int | None) -> Iterator[str]:
    yield f"{report.of} different questions asked again" if report.of else "Nobody has asked anything yet."
    for kind, title in _KINDS.items():
        changes = report.of_kind(kind)
        yield f"{title}: {sum(change.times for change in changes)}"
        for change in changes[:shown]:
            was, would = (_one_line(entry or "–") for entry in (change.before, change.after))
            yield f"  {_one_line(change.question)} ×{change.times}  {was} → {would}"
        if shown and len(changes) > shown:
            yield f"  … and {len(changes) - shown} more; --all prints them"
    yield f"required: {report.of_required}, broken: {len(report.broken)}"
    for broken in report.broken:
        must = "must answer" if broken.must_hit else "must not answer"
        entry, question, by = (_one_line(text) for text in (broken.entry, broken.question, broken.answered_by or "–"))
        yield f"  “{entry}” {must} “{question}”; that gets: {by}"


def _one_line(text: str) -> str:
    """What visitors typed, harmless in a terminal."""
    flat = "".join(char if char.isprintable() else " " for char in text)
    return flat if len(flat) <= _WIDTH else f"{flat[: _WIDTH - 1]}…"


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
