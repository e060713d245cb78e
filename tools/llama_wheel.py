"""Compiles llama-cpp-python once per machine and keeps the wheel in the person's cache directory.

pip has a cache of its own, but its key knows neither CMAKE_ARGS nor the processor: a wheel compiled for
AVX-512 and found again on an older machine (a shared home, a restored CI cache) dies of SIGILL.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import re
import shlex
import shutil
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from console import ROOT, SetupError, duration, how_to_install, output_of, run_step, say

if TYPE_CHECKING:
    from collections.abc import Iterator

GIGABYTE = 1024**3
INCLUDE = ROOT / "tools" / "llama.cmake"
KERNELS = ROOT / "native"  # what it adds
# Words of /proc/cpuinfo that change what -march=native may emit; others come and go with kernel versions.
INSTRUCTION_SETS = re.compile(
    r"(avx|sse|ssse|fma|f16c|bmi|abm|popcnt|movbe|adx|amx|gfni|vaes|vpclmul|sha|asimd|sve|i8mm|bf16|fphp|lse)\w*$"
)
ENOUGH_TO_ESTIMATE = 5  # files
NINJA_STEP = re.compile(r"\s*\[\s*(\d+)/(\d+)\]")


@dataclass(frozen=True)
class Wheel:
    """The compiled package for one version, set of arguments, compiler settings and processor."""

    version: str
    key: str

    @property
    def directory(self) -> Path:
        """Where it is, or will be once compiled."""
        return cache_directory() / f"llama-cpp-python-{self.version}-{self.key}"

    @property
    def is_ready(self) -> bool:
        """Whether it has been compiled."""
        return any(self.directory.glob("*.whl"))


def wanted_wheel() -> Wheel:
    """The wheel for the version in constraints.txt and for this machine and environment."""
    found = re.search(r"^llama[-_]cpp[-_]python==(\S+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    if not found:
        raise SetupError(
            "constraints.txt has lost its line llama_cpp_python==VERSION; take it from the repository again."
        )
    names = ("CMAKE_ARGS", "CC", "CXX", "CFLAGS", "CXXFLAGS")
    parts = [*(os.environ.get(name, "") for name in names)]
    parts += [path.read_text("utf-8") for path in (INCLUDE, *sorted(KERNELS.iterdir()))]
    parts += [sys.platform, platform.machine(), *platform.libc_ver()]
    if "GGML_NATIVE=OFF" not in parts[0]:
        parts.append(instruction_sets())
    return Wheel(found[1], hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16])


def build(python: Path, wheel: Wheel) -> None:
    """Compile the wheel with this Python's pip.

    Raises:
        SetupError: when there is no compiler, or the compile fails.
    """
    with lock(cache_directory(), "Another checkout is compiling llama.cpp; waiting for it."):
        if wheel.is_ready:
            return
        check_compiler()
        # Beside the result and not in /tmp, which is half of the memory on many small machines.
        work = wheel.directory.with_name(f"{wheel.directory.name}.build")
        for leftover in ("tmp", "out"):
            shutil.rmtree(work / leftover, ignore_errors=True)
            (work / leftover).mkdir(parents=True)
        run_step(
            "Compiling llama.cpp for this machine (once; 2 to 10 minutes, on a Raspberry Pi up to 30)",
            # A pip cache of its own: keeps the download of an interrupted compile, keeps pip's wheels out.
            [python, "-m", "pip", "wheel", "-v", "--no-deps", "--no-input", "--disable-pip-version-check",
             "--cache-dir", work / "pip", "--wheel-dir", work / "out", f"llama-cpp-python=={wheel.version}"],
            describe=CompileProgress(),
            env=build_environment(work / "tmp"),
        )  # fmt: skip
        shutil.rmtree(wheel.directory, ignore_errors=True)
        (work / "out").rename(wheel.directory)
        shutil.rmtree(work, ignore_errors=True)


class CompileProgress:
    """Reads `[45/83]` lines of ninja; estimates what is left from the pace so far."""

    def __init__(self) -> None:
        self._first = 0.0

    def __call__(self, line: str) -> str:
        """The progress text for a line of output."""
        found = NINJA_STEP.match(line)
        if not found:
            return "downloading and configuring" if not self._first else ""
        done, total = int(found[1]), int(found[2])
        self._first = self._first or time.monotonic()
        left = (time.monotonic() - self._first) / done * (total - done)
        return f"{done} of {total} files" + (f", about {duration(left)} left" if done >= ENOUGH_TO_ESTIMATE else "")


def build_environment(temporary: Path) -> dict[str, str]:
    """Our environment for the compile; what the person has set goes first."""
    inherited = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    defaults = {
        "TMPDIR": str(temporary),
        "CMAKE_BUILD_PARALLEL_LEVEL": str(build_jobs()),
        # Where ninja is missing pip brings it, instead of make: its lines are the progress shown.
        "SKBUILD_NINJA_MAKE_FALLBACK": "0",
    }
    return defaults | inherited | {"CMAKE_ARGS": cmake_arguments()}


def cmake_arguments() -> str:
    """The person's own CMAKE_ARGS with ours after them."""
    ours = shlex.quote(f"-DCMAKE_PROJECT_llama_cpp_INCLUDE={INCLUDE}")
    return f"{os.environ.get('CMAKE_ARGS', '')} {ours}".strip()


def build_jobs() -> int:
    """How many files to compile at once: a gigabyte of free memory for each, and not more than cores."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, free_memory() // GIGABYTE))


def free_memory() -> int:
    """Bytes that programs can still get here; half of the memory where the system does not say."""
    try:
        found = re.search(r"^MemAvailable:\s*(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
        available = int(found[1]) * 1024 if found else 0
    except OSError:
        available = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    try:
        return min(available, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    except (OSError, ValueError):  # not in a container, or `max`: no limit
        return available


def instruction_sets() -> str:
    """What this processor can do, as far as it changes the compiled code."""
    try:
        found = re.search(r"^(?:flags|Features)\s*:(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        return platform.processor()
    return " ".join(sorted(filter(INSTRUCTION_SETS.match, found[1].split()))) if found else ""


def check_compiler() -> None:
    """Raises SetupError, saying what to install, unless a C++17 program with standard headers compiles."""
    candidates = [os.environ["CXX"]] if os.environ.get("CXX") else ["c++", "g++", "clang++"]
    if not any(compiles(shlex.split(command)) for command in candidates):
        raise how_to_install(
            "llama.cpp has to be compiled and there is no working C++ compiler.",
            debian="sudo apt-get install build-essential",
            fedora="sudo dnf install gcc-c++",
            macos="xcode-select --install",
        )


def compiles(compiler: list[str]) -> bool:
    """Whether this command compiles a small program."""
    # On a Mac without the developer tools, /usr/bin/c++ is a stub that opens a dialog: ask before calling it.
    if sys.platform == "darwin" and output_of(["xcode-select", "-p"]) is None:
        return False
    command = [*compiler, "-std=c++17", "-fsyntax-only", "-x", "c++", "-"]
    return output_of(command, stdin="#include <string>\n") is not None


def cache_directory() -> Path:
    """Per person and outside the checkout, so that a second clone does not compile again."""
    with suppress(OSError, RuntimeError):  # a service account without a home, or with a read-only one
        chosen = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "webchat"
        chosen.mkdir(parents=True, exist_ok=True)
        if os.access(chosen, os.W_OK):
            return chosen
    (ROOT / ".cache").mkdir(exist_ok=True)
    return ROOT / ".cache"


@contextmanager
def lock(directory: Path, notice: str) -> Iterator[None]:
    """Let one process at a time in; say the notice when that means waiting."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(notice)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
