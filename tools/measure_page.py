"""Measures what a visitor sees: time to the first text on the screen and tokens per second, through the real page.

Usage: .venv/bin/python tools/measure_page.py [URL] [ROUNDS] [MODEL]
URL of a running site, default http://127.0.0.1:8000. MODEL, a GGUF file: how fast llama.cpp alone writes with it, in a
loop that does nothing else.
"""

from __future__ import annotations

import os
import re
import shutil
import statistics
import sys
import time
import urllib.request
from typing import TYPE_CHECKING

from llama_cpp import Llama
from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from playwright.sync_api import Page

BARE_TOKENS = 150
QUESTIONS = ("帮我写一封辞职信", "Python怎么读取CSV文件？", "写一首关于秋天的诗", "给我讲一个关于小船的故事")

# Resolves with milliseconds from the Enter key to the first character, and to the finished answer.
WATCH = """() => new Promise(resolve => {
  const began = performance.now(), answers = document.querySelectorAll(".message[data-role=assistant]").length;
  let first = 0;
  const look = () => {
    const found = [...document.querySelectorAll(".message[data-role=assistant]")].slice(answers).at(-1);
    if (!found) return;
    if (!first && found.querySelector(".text, .prose")?.textContent) first = performance.now() - began;
    if (found.dataset.status === "done") { observer.disconnect(); resolve([first, performance.now() - began]); }
  };
  const observer = new MutationObserver(look);
  observer.observe(document.body, {childList: true, subtree: true, characterData: true, attributes: true});
  document.querySelector("#composer").requestSubmit(document.querySelector("#composer .send"));
})"""


def main() -> None:
    """Ask every question in a conversation of its own, several times, and print medians."""
    site = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000"
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3  # noqa: PLR2004 - a position on the command line
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(locale="zh-CN")
        ask(page, site, QUESTIONS[0])  # warm: the browser, the route, the model's pages in memory
        measured = [ask(page, site, question) for _ in range(rounds) for question in QUESTIONS]
        browser.close()
    firsts, rates = zip(*measured, strict=True)
    print(f"questions            {len(measured)}")
    print(f"first text, median   {statistics.median(firsts):.0f} ms")
    print(f"first text, slowest  {max(firsts):.0f} ms")
    print(f"tokens/s, median     {statistics.median(rates):.1f}")
    if len(sys.argv) > 3:  # noqa: PLR2004 - a position on the command line
        alone = statistics.median(bare_loop(sys.argv[3]) for _ in range(rounds))
        print(f"llama.cpp alone      {alone:.1f}, of which the page has {statistics.median(rates) / alone:.2f}")


def ask(page: Page, site: str, question: str) -> tuple[float, float]:
    """Ask in a new conversation; milliseconds to the first text, and tokens per second from there to the end."""
    page.goto(site)
    page.locator("#text").fill(question)
    before = new_tokens(site)
    first, whole = page.evaluate(WATCH)
    return first, (new_tokens(site) - before) / (whole - first) * 1000


def bare_loop(model: str) -> float:
    """Tokens per second of llama.cpp's own decode and greedy choice behind a short prompt."""
    llama = Llama(model, n_ctx=512, n_threads=os.cpu_count(), flash_attn=True, verbose=False)
    llama.eval(llama.tokenize("写一首关于秋天的诗。".encode()))
    began = time.perf_counter()
    for _ in range(BARE_TOKENS):
        llama.eval([llama.sample(temp=0, repeat_penalty=1.0)])
    return BARE_TOKENS / (time.perf_counter() - began)


def new_tokens(site: str) -> float:
    """How many tokens the engine has generated so far."""
    with urllib.request.urlopen(f"{site}/metrics") as response:  # noqa: S310 - the address on the command line
        found = re.search(r'^webchat_engine_tokens_total\{kind="new"\} (\S+)$', response.read().decode(), re.MULTILINE)
    return float(found[1]) if found else 0.0


if __name__ == "__main__":
    main()
