"""``webchat model``: the weights on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from webchat.config import load_settings
from webchat.engine import encoders, weights
from webchat.engine.files import ModelError, ModelMissing
from webchat.engine.progress import megabytes
from webchat.engine.sources import site
from webchat.engine.variants import file_in_use

if TYPE_CHECKING:
    from pathlib import Path

    from webchat.config import Settings


@click.group()
def model() -> None:
    """Fetch, show and check the model's weights."""


@model.command(short_help="Download the weights and the sentence encoders.")
def fetch() -> None:
    """Download the weights and the sentence encoders unless they are here; print the model's path."""
    settings = load_settings()
    _fetch_encoders(settings)
    if settings.engine_url:
        click.echo(f"The model runs at {site(settings.engine_url)} (WEBCHAT_ENGINE_URL): no weights needed.", err=True)
        return
    click.echo(weights.fetch(settings))


@model.command("list", short_help="Show the weights and the sentence encoders.")
def list_() -> None:
    """Show the weights and the sentence encoders on this machine; those in use have a star."""
    settings = load_settings()
    try:
        in_use = _file_in_use(settings)
    except ModelMissing:
        in_use = None
    files = weights.stored_files(settings, in_use) + encoders.stored(settings)
    if not files:
        click.echo("No weights on this machine yet: type `webchat model fetch`.", err=True)
    width = max((len(file.name) for file in files), default=0)
    for file in files:
        star = "*" if file.served else " "
        click.echo(f"{star} {file.name:<{width}}  {megabytes(file.size):>11}  {file.source}")


@model.command()
@click.option("--served", is_flag=True, help="The file the server loads, which may be the tuned one.")
@click.option("--encoders", "of_encoders", is_flag=True, help="The sentence encoders instead, a line for each.")
def path(*, served: bool, of_encoders: bool) -> None:
    """Print where the weights are, as downloaded."""
    settings = load_settings()
    if of_encoders:
        for encoder in encoders.paths(settings):
            click.echo(encoder)
        return
    click.echo(_file_in_use(settings) if served else weights.served_path(settings))


@model.command(short_help="Check that the weights are whole.")
def verify() -> None:
    """Compare the weights in use, the download they were made from, and the encoders with what was once written."""
    settings = load_settings()
    in_use = () if settings.engine_url else (weights.served_path(settings), _file_in_use(settings))
    try:
        of_encoders = encoders.files(settings)
    except ModelMissing as error:  # a site works without
        of_encoders = []
        click.echo(error, err=True)
    for file in dict.fromkeys((*in_use, *of_encoders)):
        click.echo(weights.verify(file))


@model.command(short_help="Find the fastest weights for this machine.")
@click.option("--again", is_flag=True, help="Measure anew although there is a result.")
def tune(*, again: bool) -> None:
    """Make other files of the same model, measure all of them here, and keep the fastest whose answers are as good.

    It takes some minutes, best while nothing else runs. WEBCHAT_MODEL_VARIANT=auto then serves the file it chose.
    """
    from webchat.engine import tuning, tuning_report  # noqa: PLC0415 - loads llama.cpp's libraries and the plotter

    settings = load_settings()
    result = tuning.tune(settings, again=again)
    tuning_report.print_table(result)
    click.echo(f"Plot: {tuning.plot_path(settings)}")
    click.echo(f"Chosen: {result.chosen}" + (f", {result.file}" if result.file else ""))
    if result.file and settings.model_variant != "auto":
        click.echo("Set WEBCHAT_MODEL_VARIANT=auto and restart the server to use it.", err=True)


def _fetch_encoders(settings: Settings) -> None:
    """A site works without them, so a network that is away does not keep it from starting; a wrong setting does."""
    try:
        encoders.fetch(settings)
    except ModelMissing:
        raise
    except ModelError as error:
        click.echo(
            f"{str(error).rstrip('.')}. Until `webchat model fetch` brings the sentence encoder, "
            "FAQ questions are found by their words alone.",
            err=True,
        )


def _file_in_use(settings: Settings) -> Path:
    return file_in_use(settings, lambda sentence: click.echo(f"Warning: {sentence}", err=True))
