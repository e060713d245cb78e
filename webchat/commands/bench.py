"""`webchat bench`: what is typed, and what becomes of the results, complete or not."""

from __future__ import annotations

import os
import secrets
import shlex
import signal
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from webchat.bench.client import BenchError, server_at
from webchat.bench.limit import Limit, machine_limit
from webchat.bench.prompts import Prompts
from webchat.bench.report import as_json, markdown, print_report
from webchat.bench.scenarios import COLD, HISTORY, WARM, Plan, Results, measure
from webchat.bench.site import own_site, served_weights
from webchat.engine.generation import EngineUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

_FILE = click.Path(dir_okay=False, path_type=Path)
_KEYS = ("--key", "--against-key")
_MOST_STREAMS = 256  # threads of the client; more would measure these


class _Levels(click.ParamType[tuple[int, ...]]):
    """Numbers of streams, separated by commas."""

    name = "numbers"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        try:
            levels = tuple(sorted({int(part) for part in value.split(",")}))
        except ValueError:
            levels = ()
        if not levels or not 1 <= levels[0] <= levels[-1] <= _MOST_STREAMS:
            self.fail(f"{value!r}: write numbers from 1 to {_MOST_STREAMS}, as in 1,4,16", param, ctx)
        return levels


@click.command(short_help="Measure speed, waits and memory under load.")
@click.option("--url", help="A running server to measure; without it a site of the bench's own is started.")
@click.option("--key", default="", help="Its API key.")
@click.option("--model", default="", help="Its model's name; otherwise the first it lists.")
@click.option("--against", help="Another OpenAI-compatible server, measured in alternation.")
@click.option("--against-key", default="", help="Its API key.")
@click.option("--against-model", default="", help="Its model's name; otherwise the first it lists.")
@click.option("--levels", type=_Levels(), default="1,2,3,4,8,16", show_default=True, help="Streams at once.")
@click.option(
    "--scenario",
    "scenarios",
    type=click.Choice([COLD, WARM, HISTORY]),
    multiple=True,
    help="Only this one; may be given again.",
)
@click.option("--rounds", type=click.IntRange(1, 100), default=3, show_default=True, help="Measurements of each level.")
@click.option(
    "--questions", type=click.IntRange(1, 1000), default=3, show_default=True, help="A stream asks in a row, when warm."
)
@click.option("--tokens", type=click.IntRange(1, 4096), default=64, show_default=True, help="Limit of an answer.")
@click.option(
    "--others", type=click.IntRange(0, 10_000), default=50, show_default=True, help="Conversations between two turns."
)
@click.option(
    "--timeout", type=click.FloatRange(0.1, 86_400), default=120, show_default=True, help="Seconds for one answer."
)
@click.option(
    "--weights",
    type=click.Path(exists=True, dir_okay=False, resolve_path=True, path_type=Path),
    help="The model's file, for the machine's limit; without --url also the file to serve.",
)
@click.option("--json", "json_file", type=_FILE, help="Write every figure here.")
@click.option("--plot", "plot_file", type=_FILE, help="Draw the results here, as SVG.")
@click.option("--markdown", "markdown_file", type=_FILE, help="Write the tables here.")
def bench(
    *,
    url: str | None,
    key: str,
    model: str,
    against: str | None,
    against_key: str,
    against_model: str,
    weights: Path | None,
    json_file: Path | None,
    plot_file: Path | None,
    markdown_file: Path | None,
    **load: Any,
) -> None:
    """Measure a chat server from outside: output, waits and memory for 1 to 16 streams; side by side with another.

    Without --url it starts a site of its own with this installation's model and ends it afterwards. What was measured
    before an error or Ctrl-C is shown and written too.
    """
    files: dict[Callable[[Results], str], Path | None] = {as_json: json_file, _svg: plot_file, _markdown: markdown_file}
    wanted = {make: path for make, path in files.items() if path}
    _require_writable(wanted.values())
    results = Results(Plan(**load | {"scenarios": load["scenarios"] or (COLD, WARM, HISTORY)}))
    try:
        with _ending_like_ctrl_c(), _site(results, url, key, weights) as (address, its_key):
            results.servers.append(server_at("site", address, its_key, model, results.plan.timeout))
            if against:
                results.servers.append(server_at("peer", against, against_key, against_model, results.plan.timeout))
            measure(results, Prompts(secrets.randbits(32)), _tell)
    except BenchError as error:
        results.error = str(error)
        raise click.ClickException(str(error)) from None
    except KeyboardInterrupt:
        results.error = "It was stopped."
        raise
    finally:
        _show(results, wanted)


def _show(results: Results, files: dict[Callable[[Results], str], Path]) -> None:
    """Print and write what was measured; where nothing was, the pictures and pages of an earlier run stay."""
    if results.runs:
        print_report(results)
    for make, path in files.items():
        if results.runs or make is as_json:
            _write(path, make(results))


def _limit(weights: Path) -> Limit:
    from webchat.engine.llama_files import bytes_per_token  # noqa: PLC0415 - loads llama.cpp's libraries

    try:
        return machine_limit(bytes_per_token(weights))
    except EngineUnavailable as error:
        raise BenchError(str(error)) from error


@contextmanager
def _site(results: Results, url: str | None, key: str, weights: Path | None) -> Iterator[tuple[str, str]]:
    """The server to measure, with the machine's limit noted before it has to work."""
    if url:
        results.limit = _limit(weights) if weights else None
        yield url, key
        return
    weights = weights or served_weights()
    results.limit = _limit(weights)
    with own_site(weights) as found:
        yield found


@contextmanager
def _ending_like_ctrl_c() -> Iterator[None]:
    """A closed terminal and a service manager do what Ctrl-C does: no site outlives the bench, no figure is lost."""
    numbers = [each for each in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(each) == signal.SIG_DFL]
    for number in numbers:  # not what nohup ignores
        signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


def _markdown(results: Results) -> str:
    return markdown(results, shown_command(sys.argv[1:]))


def _svg(results: Results) -> str:
    from webchat.bench.plot import svg  # noqa: PLC0415 - a drawing library, which hardly a command needs

    return svg(results)


def shown_command(arguments: Sequence[str]) -> str:
    """The command line as it may be shown: API keys are left out."""
    shown, secret = ["webchat"], False
    for word in arguments:
        name, _, value = word.partition("=")
        shown.append("KEY" if secret else f"{name}=KEY" if value and name in _KEYS else word)
        secret = word in _KEYS
    return shlex.join(shown)


def _require_writable(paths: Iterable[Path]) -> None:
    """Before minutes of measuring, not after."""
    for path in paths:
        if not os.access(path if path.exists() else path.parent, os.W_OK):
            raise click.ClickException(f"{path} cannot be written: choose a folder that exists and is yours.")


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        click.echo(f"{path} cannot be written: {error.strerror}.", err=True)


def _tell(line: str) -> None:
    click.echo(line, err=True)
