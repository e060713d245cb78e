"""Debian packages that only the tests need: a browser, Chinese fonts for its screenshots, and two servers."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from console import SetupError, output_of, run_step

if TYPE_CHECKING:
    from collections.abc import Callable


def has_chinese_font() -> bool:
    """Whether a browser here can draw Chinese; a Mac always can."""
    return sys.platform == "darwin" or any(Path("/usr/share/fonts").rglob("*CJK*"))


def has_postgres() -> bool:
    """Whether a PostgreSQL server is installed; Debian keeps it out of PATH."""
    return bool(shutil.which("postgres")) or any(Path("/usr/lib/postgresql").glob("*/bin/postgres"))


PACKAGES: dict[str, Callable[[], bool]] = {
    "chromium": lambda: bool(shutil.which("chromium")),
    "fonts-noto-cjk": has_chinese_font,
    "postgresql": has_postgres,
    "redis-server": lambda: bool(shutil.which("redis-server")),
}


def install_test_packages() -> None:
    """Install what is missing with apt-get, as root or through sudo where it asks for no password.

    Raises:
        SetupError: saying what to type, where this is not possible.
    """
    missing = [name for name, is_there in PACKAGES.items() if not is_there()]
    if not missing:
        return
    if not shutil.which("apt-get"):
        raise SetupError(
            f"`make test` also needs (Debian's names): {', '.join(missing)}. Install them and run it again.\n"
            "  Fedora:  sudo dnf install chromium google-noto-sans-cjk-fonts postgresql-server redis\n"
            "  macOS:   brew install --cask chromium && brew install postgresql redis\n"
            "`make check` runs the tests that need none of them."
        )
    as_root = root_prefix(missing)
    apt = [
        *as_root,
        "env",
        "DEBIAN_FRONTEND=noninteractive",
        "apt-get",
        "-y",
        "-o",
        "DPkg::Lock::Timeout=120",
    ]
    run_step("Reading Debian's list of packages (some seconds)", [*apt, "update"])
    run_step("Finishing what an interrupted installation may have left", [*as_root, "dpkg", "--configure", "-a"])
    run_step(
        f"Installing what the tests need: {', '.join(missing)} (1 to 3 minutes)",
        [*apt, "install", "--no-install-recommends", *missing],
    )


def root_prefix(missing: list[str]) -> list[str]:
    """What to put before a command so that it runs as root, without a question."""
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") and output_of(["sudo", "-n", "true"]) is not None:
        return ["sudo", "-n"]
    raise SetupError(
        "`make test` also needs packages that only root can install. Type this and run it again:\n"
        f"  sudo apt-get update && sudo apt-get install {' '.join(missing)}"
    )
