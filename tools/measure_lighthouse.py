"""Measures the chat page as Lighthouse does: performance, accessibility and best practices, on a phone and at a desk.

Usage: .venv/bin/python tools/measure_lighthouse.py [URL] [ROUNDS]
URL of a running site, default http://127.0.0.1:8000. Exit status 1 when a median is below 95.

Lighthouse is a package of its own (tools/lighthouse), fetched here: it is large, and neither the site nor its tests
need it.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import setup

HERE = Path(__file__).parent / "lighthouse"
CATEGORIES = ("performance", "accessibility", "best-practices")
TIMES = ("first-contentful-paint", "largest-contentful-paint", "total-blocking-time", "cumulative-layout-shift")
LEAST = 95


def main() -> int:
    """Look at the page in each form, several times, and print medians."""
    site = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000"
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3  # noqa: PLR2004 - a position on the command line
    npm = setup.npm()
    subprocess.run([*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"], cwd=HERE, check=True)  # noqa: S603
    # Beside npm there is the node that runs it.
    node = npm[0] if len(npm) > 1 else shutil.which("node")
    enough = True
    for form, preset in (("phone", []), ("desktop", ["--preset=desktop"])):
        reports = [look_at(site, [str(node), *preset]) for _ in range(rounds)]
        scores = {name: statistics.median(score(report, name) for report in reports) for name in CATEGORIES}
        enough = enough and min(scores.values()) >= LEAST
        print(form, *(f"{name} {value:.0f}" for name, value in scores.items()), sep="  ")
        print("   ", ", ".join(f"{name} {reports[-1]['audits'][name]['displayValue']}" for name in TIMES))
        for audit in failed(reports[-1]):
            print("   ", audit)
    return 0 if enough else 1


def look_at(site: str, node: list[str]) -> dict[str, Any]:
    """One report."""
    program, *preset = node
    command = [
        program,
        "node_modules/lighthouse/cli/index.js",
        site,
        "--quiet",
        "--output=json",
        "--chrome-flags=--headless=new --no-sandbox --disable-gpu",
        f"--only-categories={','.join(CATEGORIES)}",
        *preset,
    ]
    environment = {"PATH": "/usr/bin:/bin", "CHROME_PATH": shutil.which("chromium") or ""}
    run = subprocess.run(command, cwd=HERE, env=environment, stdout=subprocess.PIPE, check=True)  # noqa: S603
    report: dict[str, Any] = json.loads(run.stdout)
    return report


def score(report: dict[str, Any], category: str) -> float:
    """A category's points, of 100."""
    return 100 * float(report["categories"][category]["score"] or 0)


def failed(report: dict[str, Any]) -> list[str]:
    """What costs points, a line each."""
    counted = {
        part["id"] for name in CATEGORIES for part in report["categories"][name]["auditRefs"] if part.get("weight")
    }
    audits = (report["audits"][name] for name in sorted(counted))
    return [
        f"{audit['id']}: {audit['title']}"
        for audit in audits
        if audit["score"] is not None and audit["score"] < LEAST / 100
    ]


if __name__ == "__main__":
    sys.exit(main())
