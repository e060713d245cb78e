"""Measures a warm restart: from `webchat serve` being typed to the first text of the model's first answer.

Usage: .venv/bin/python tools/measure_restart.py [TIMES]
The site is the one that this installation's settings describe; it must not run meanwhile.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx2

PATIENCE = 120.0  # seconds
QUESTION = {"message": "写一句关于大海的话"}


def main() -> None:
    """Start the site so many times and once before, so that everything that is kept is there."""
    times = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    seconds = [seconds_to_first_text() for _ in range(1 + times)][1:]
    print("seconds to the first text:", *(f"{each:.2f}" for each in seconds))


def seconds_to_first_text() -> float:
    """Serve, ask until there is an answer, end the site."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    webchat = Path(sys.executable).with_name("webchat")
    began = time.perf_counter()
    # The command is this installation's own.
    with subprocess.Popen([webchat, "serve"], env={**os.environ, "PORT": str(port)}, stdout=subprocess.DEVNULL) as site:  # noqa: S603 - nothing comes from outside
        try:
            while not wrote(f"http://127.0.0.1:{port}/chat"):
                if site.poll() is not None or time.perf_counter() - began > PATIENCE:
                    raise SystemExit("The site does not answer.")
                time.sleep(0.02)  # until it listens there is nothing to wait on
            return time.perf_counter() - began
        finally:
            site.terminate()


def wrote(address: str) -> bool:
    """Whether an answer has begun."""
    try:
        with httpx2.stream("POST", address, json=QUESTION, timeout=PATIENCE) as response:
            lines = (line.removeprefix("data:") for line in response.iter_lines() if line.startswith("data:"))
            return any(json.loads(line).get("token") for line in lines)
    except httpx2.TransportError:
        return False


if __name__ == "__main__":
    main()
