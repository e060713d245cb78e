"""``webchat model tune``: make other files of the same model, measure all of them here, keep the best.

Candidates live in a folder of their own beside the weights until one has won, and go with it, however the command
ends. Nothing else changes before the last step.
"""

from __future__ import annotations

import fcntl
import shutil
from contextlib import contextmanager
from datetime import UTC, datetime
from statistics import median
from typing import TYPE_CHECKING

from webchat.engine import measure
from webchat.engine.files import ModelError, length, require_space
from webchat.engine.generation import EngineUnavailable
from webchat.engine.llama_files import types
from webchat.engine.making import make
from webchat.engine.processor import cores, processor
from webchat.engine.progress import Meter, say
from webchat.engine.recipes import (
    AS_IS,
    RECIPES,
    Measured,
    can_become,
    choose,
    gain,
)
from webchat.engine.tuning_report import write_plot
from webchat.engine.tuning_source import Source, best_source, discard
from webchat.engine.variants import Result, keep, result_path, sha256, tuning_dir
from webchat.engine.weights import served_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from webchat.config import Settings
    from webchat.engine.measure import Reading

ROUNDS = 3
_SECONDS_PER_BYTE = 3e-7  # of one thread that looks for the best rounding of the download's weights


def tune(settings: Settings, *, again: bool = False) -> Result:
    """Find the fastest file of the configured model whose answers are as good, and keep it.

    Args:
        settings: name the model.
        again: measure anew although there is a result.

    Raises:
        ModelError: there is no download, no room on the disk, or llama.cpp cannot do it.
        ConfigurationError: when ``WEBCHAT_MODEL`` cannot be read.
    """
    download = served_path(settings)
    if not again and (known := _known(settings, download)):
        return known
    with _only_tuning(settings) as workshop:
        if not again and (known := _known(settings, download)):
            return known  # another process found it while this one waited
        try:
            return _Tuning(settings, download, workshop).run()
        except EngineUnavailable as problem:
            raise ModelError(f"{problem}.") from problem
        except OSError as problem:
            raise ModelError(f"{problem.filename or workshop}: {problem.strerror or problem}.") from problem


def plot_path(settings: Settings) -> Path:
    """Where the plot of the configured model is."""
    return result_path(settings, served_path(settings)).with_suffix(".svg")


def _known(settings: Settings, download: Path) -> Result | None:
    result = Result.read(result_path(settings, download))
    return result if result and (not result.file or result.tuned_file(settings)) else None


@contextmanager
def _only_tuning(settings: Settings) -> Iterator[Path]:
    """Let one process tune at a time, in an empty folder that is gone afterwards."""
    for folder in (settings.models_dir, tuning_dir(settings)):
        folder.mkdir(parents=True, exist_ok=True)
    workshop = settings.models_dir.absolute() / ".tuning"
    with (settings.models_dir / ".tune.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another process is tuning; waiting for it.")
            fcntl.flock(lock, fcntl.LOCK_EX)
        shutil.rmtree(workshop, ignore_errors=True)  # of a process that was killed
        workshop.mkdir()
        try:
            yield workshop
        finally:
            shutil.rmtree(workshop, ignore_errors=True)


class _Tuning:
    """One run: candidates, readings, speeds, the winner."""

    def __init__(self, settings: Settings, download: Path, workshop: Path) -> None:
        self._settings, self._download, self._workshop = settings, download, workshop
        self._threads = settings.threads or cores()
        self._files = {AS_IS: download} | {name: workshop / f"{name}.gguf" for name in RECIPES}

    def run(self) -> Result:
        require_space(self._workshop, len(RECIPES) * length(self._download), "Tuning")
        self._say_how_long()
        source = best_source(self._settings, self._download)
        try:
            readings = self._make_and_read(source)
        finally:
            if source.fetched:
                discard(source.path)
        measured = _summary(self._files, readings, self._race())
        return self._keep(source, measured, choose(measured, source.bound))

    def _say_how_long(self) -> None:
        speed = measure.speed(self._download, self._threads)
        reading = measure.TOKENS / speed["prefill"] + measure.seconds_of_speed(speed) * ROUNDS
        making = _SECONDS_PER_BYTE * length(self._download) / self._threads  # all of them: each begins with the last
        minutes = (len(self._files) * reading + making) / 60
        say(f"Making and measuring {len(RECIPES)} files beside {self._download.name}: about {minutes:.0f} minutes.")

    def _make_and_read(self, source: Source) -> dict[str, dict[str, Reading]]:
        readings = {AS_IS: measure.read_texts(self._download, self._threads)}
        weights = measure.importance(source.path, self._threads)
        original, kept = types(source.path), types(self._download)
        made = {source.path: original}
        for name, recipe in RECIPES.items():
            wanted = {matrix: kind for matrix, kind in recipe.types(kept).items() if matrix in original}
            nearest = next(file for file in reversed(made) if can_become(made[file], wanted, original))
            make(nearest, self._files[name], wanted, weights, self._threads)
            made[self._files[name]] = types(self._files[name])
            readings[name] = measure.read_texts(self._files[name], self._threads)
        return readings

    def _race(self) -> list[dict[str, dict[str, float]]]:
        """Round after round, every file in turn: what disturbs the machine meanwhile disturbs all of them."""
        rounds: list[dict[str, dict[str, float]]] = []
        with Meter("timing", ROUNDS * len(self._files), "runs") as meter:
            for _ in range(ROUNDS):
                rounds.append({})
                for name, file in self._files.items():
                    rounds[-1][name] = measure.speed(file, self._threads)
                    meter.update(sum(map(len, rounds)))
        return rounds

    def _keep(self, source: Source, measured: tuple[Measured, ...], winner: Measured) -> Result:
        tuned = None if winner.name == AS_IS else self._files[winner.name]
        result = Result(
            download=self._download.name,
            size=length(self._download),
            sha256=sha256(self._download),
            processor=processor(),
            source=source.path.name,
            bound=source.bound,
            chosen=winner.name,
            file=f"{self._download.stem}.{winner.name}.gguf" if tuned else "",
            measured=measured,
            measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        write_plot(result, result_path(self._settings, self._download).with_suffix(".svg"))
        keep(self._settings, self._download, result, tuned)
        return result


def _summary(
    files: dict[str, Path], readings: dict[str, dict[str, Reading]], rounds: list[dict[str, dict[str, float]]]
) -> tuple[Measured, ...]:
    download = readings[AS_IS]
    gains = {name: [gain(each[name], each[AS_IS]) for each in rounds] for name in files}
    return tuple(
        Measured(
            name=name,
            size=length(file),
            perplexity={text: reading.perplexity for text, reading in readings[name].items()},
            loss={text: reading.loss(download[text]) for text, reading in readings[name].items()},
            agreement={text: reading.agreement(download[text]) for text, reading in readings[name].items()},
            speed={kind: median(each[name][kind] for each in rounds) for kind in rounds[0][name]},
            gain=median(gains[name]),
            least_gain=min(gains[name]),
        )
        for name, file in files.items()
    )
