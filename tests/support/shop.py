"""A shop's own web site: a few pages under a strict content security policy, on an origin of its own."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_PAGE = """<!doctype html>
<html lang="{language}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>杯子 · 小店</title></head>
<body><main><h1>杯子</h1><p>手工烧制。</p><a href="/other">另一页</a></main>
<script src="{widget}/widget.js" async {settings}></script></body></html>"""


class Shop(ThreadingHTTPServer):
    """Serves pages that load the widget.

    Attributes:
        widget: the origin of the chat.
        settings: attributes of the script.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Pages)
        self.widget = ""
        self.settings = ""
        self.language = "zh-CN"
        # Another site than 127.0.0.1, as browsers see it, though the same machine.
        self.origin = f"http://localhost:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop serving."""
        self.shutdown()
        self.server_close()


class _Pages(BaseHTTPRequestHandler):
    server: Shop

    def do_GET(self) -> None:
        """Any address is a page with the widget."""
        shop = self.server
        page = _PAGE.format(widget=shop.widget, settings=shop.settings, language=shop.language).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        policy = f"default-src 'none'; script-src {shop.widget}; frame-src {shop.widget}; img-src 'self'"
        self.send_header("Content-Security-Policy", policy)
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""
