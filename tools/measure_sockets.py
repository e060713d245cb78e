"""Measures what open pages cost: memory and threads of idle sockets, and how fast pages are beside them.

Usage: .venv/bin/python tools/measure_sockets.py [URL] [IDLE] [ACTIVE] [SECONDS]
URL of a running site on this machine, default http://127.0.0.1:8000, with the example FAQ and WEBCHAT_RATE_VISITOR and
WEBCHAT_RATE_ADDRESS out of the way. IDLE sockets (500), each of a visitor of its own and offering permessage-deflate
as browsers do; then ACTIVE visitors (20), who open pages, ask what the FAQ answers and read it, a second between two
steps, for SECONDS (30). At the end the idle sockets are asked whether they are still there.
"""

from __future__ import annotations

import random
import re
import secrets
import statistics
import sys
import threading
import time
from pathlib import Path

import httpx2
import websocket

QUESTION = "怎么退货？"
THINKS = 1.0  # seconds on average
PROC = Path("/proc")


def main() -> None:
    """Print memory and threads before and with the idle sockets, and the times of pages without and beside them."""
    site = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000"
    idle, active, seconds = (
        int(sys.argv[at]) if len(sys.argv) > at else usual for at, usual in ((2, 500), (3, 20), (4, 30))
    )
    process = serving(site)
    beside(site, active, 5)  # warm
    alone = beside(site, active, seconds)
    before = state(process)
    print(f"pages without idle sockets  {told(alone)}")
    print(f"before                      {before[0]:.0f} MB, {before[1]} threads")
    sockets = [Visitor(site).watching() for _ in range(idle)]
    after = state(process)
    print(f"with {idle} idle sockets      {after[0]:.0f} MB (+{after[0] - before[0]:.0f}), {after[1]} threads")
    print(f"pages beside them           {told(beside(site, active, seconds))}")
    there = sum(is_open(socket) for socket in sockets)
    final = state(process)
    print(f"at the end                  {final[0]:.0f} MB, {final[1]} threads, {there} of {idle} sockets open")


class Visitor:
    """A browser, as far as the server can tell."""

    def __init__(self, site: str) -> None:
        self.client = httpx2.Client(base_url=site, follow_redirects=True, timeout=60)
        self.times: list[float] = []

    def get(self, path: str) -> httpx2.Response:
        """Open a page, and note how long that took."""
        began = time.perf_counter()
        page = self.client.get(path)
        self.times.append(time.perf_counter() - began)
        page.raise_for_status()
        return page

    def ask(self) -> str:
        """Ask in a new conversation; its address."""
        token = re.search(r'name="csrf_token" value="([^"]+)"', self.get("/").text)
        fields = {"csrf_token": token[1] if token else "", "client_id": secrets.token_hex(8), "text": QUESTION}
        sent = self.client.post("/c/new/messages", data=fields)
        sent.raise_for_status()
        return sent.url.path

    def watching(self, path: str | None = None) -> websocket.WebSocket:
        """A socket of a conversation, which has sent its thread."""
        conversation = (path or self.ask()).removeprefix("/c/")
        cookies = "; ".join(f"{name}={value}" for name, value in self.client.cookies.items())
        address = str(self.client.base_url.join(f"/ws?conversation={conversation}")).replace("http", "ws", 1)
        socket = websocket.create_connection(
            address, cookie=cookies, header=["Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"]
        )
        socket.recv()
        return socket

    def visit(self, until: float) -> None:
        """Open pages, ask, and read the answer as it comes, until then."""
        time.sleep(random.uniform(0, THINKS))  # noqa: S311 - no secret
        while time.monotonic() < until:
            path = self.ask()
            socket = self.watching(path)
            time.sleep(random.expovariate(1 / THINKS))
            self.get(path)
            socket.close()
            time.sleep(random.expovariate(1 / THINKS))


def beside(site: str, count: int, seconds: float) -> list[float]:
    """How long so many visitors wait for pages."""
    visitors = [Visitor(site) for _ in range(count)]
    until = time.monotonic() + seconds
    threads = [threading.Thread(target=visitor.visit, args=(until,)) for visitor in visitors]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [each for visitor in visitors for each in visitor.times]


def told(times: list[float]) -> str:
    """Median and 95th percentile, in words."""
    cuts = statistics.quantiles(times, n=20)
    return f"p50 {1000 * cuts[9]:.1f} ms, p95 {1000 * cuts[18]:.1f} ms, {len(times)} pages"


def is_open(socket: websocket.WebSocket) -> bool:
    """Whether a socket answers a ping."""
    try:
        socket.ping()
        socket.settimeout(10)
        while socket.recv_data(control_frame=True)[0] != websocket.ABNF.OPCODE_PONG:
            pass
    except (OSError, websocket.WebSocketException):
        return False
    return True


def serving(site: str) -> Path:
    """The process that serves: of those that listen on the port the one with the most memory."""
    port = int(site.rpartition(":")[2])
    listening = {
        line.split()[9]
        for line in Path("/proc/net/tcp").read_text().splitlines()
        if f":{port:04X} 00000000:0000 0A" in line
    }
    found = [process for process in PROC.glob("[0-9]*") if holds(process, listening)]
    if not found:
        raise SystemExit(f"Nothing listens on port {port} here.")
    return max(found, key=lambda process: state(process)[0])


def holds(process: Path, inodes: set[str]) -> bool:
    """Whether a process has one of these sockets."""
    try:
        return any(str(link.readlink()).strip("socket:[]") in inodes for link in (process / "fd").iterdir())
    except OSError:
        return False


def state(process: Path) -> tuple[float, int]:
    """Resident memory in MB, and threads."""
    lines = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines() if ":" in line)
    return int(lines["VmRSS"].split()[0]) / 1024, int(lines["Threads"])


if __name__ == "__main__":
    main()
