"""Measures how much a file gains over itself in a tuning's race: what a file that is not faster may gain by chance.

Usage: .venv/bin/python tools/measure_noise.py MODEL [TIMES]
MODEL: a GGUF file, see `webchat model path --served`. The machine should do nothing else meanwhile.
"""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import median

from webchat.engine import measure
from webchat.engine.processor import cores
from webchat.engine.recipes import gain
from webchat.engine.tuning import ROUNDS


def main() -> None:
    """Race the file against itself so many times."""
    file, times = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 6  # noqa: PLR2004 - TIMES
    races = [race(file) for _ in range(times)]
    print("a file against itself gains", *(f"{median(gains):.2f}" for gains in races))
    print("in the worst round of each", *(f"{min(gains):.2f}" for gains in races))


def race(file: Path) -> list[float]:
    """The gain in each of as many rounds as a tuning has."""
    gains = []
    for _ in range(ROUNDS):
        download = measure.speed(file, cores())
        gains.append(gain(measure.speed(file, cores()), download))
    return gains


if __name__ == "__main__":
    main()
