"""Waiting that is honest: a place in the queue that moves, a full queue that says so and offers what can be had."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect
from support.server import Server
from support.small_site import PAYING, RETURNS, small_site

from .conftest import accessibility_problems
from .test_chat import BOTH_SIZES, DEADLINE, answers, ask, finished

QUESTION = "随便说点什么吧，英语也行"
SLOWLY = {"wsgi": "support.slow_wsgi:app", "max_new_tokens": 200, "context_tokens": 2048}


@pytest.fixture
def server(endless_model, migrated_file, tmp_path):
    """A site that writes one answer at a time and lets two more wait."""
    folder = small_site(tmp_path, migrated_file, RETURNS, PAYING)
    server = Server(folder, endless_model, max_parallel=1, max_queue=2, **SLOWLY).start().ready()
    yield server
    server.close()


@BOTH_SIZES
def test_a_place_in_the_queue_is_shown_and_counts_down(server, visit, shoot_schemes, screen):
    for _ in range(2):  # one is written, one is next
        server.visitor().ask(QUESTION)
    page = visit(server.url, **screen)
    ask(page, QUESTION)
    expect(page.locator(".waiting")).to_contain_text("前面还有 1 人")
    seconds = int(page.locator(".eta").inner_text())
    assert not accessibility_problems(page)
    shoot_schemes(page, "queued")
    expect(page.locator(".eta")).to_have_text(re.compile(rf"^({'|'.join(map(str, range(1, seconds)))})$"))
    other = visit(server.url)
    ask(other, "怎么退货？")
    expect(finished(other).locator(".badge")).to_have_text("官方答案")
    expect(answers(page)).to_have_attribute("data-status", "queued")
    expect(answers(page)).to_have_attribute("data-status", "done", timeout=DEADLINE)


@BOTH_SIZES
def test_a_full_queue_says_so_offers_what_is_answered_at_once_and_keeps_the_question(
    server, visit, shoot_schemes, console, screen
):
    for _ in range(3):
        server.visitor().ask(QUESTION)
    page = visit(server.url, **screen)
    tries = []
    page.on("request", lambda request: tries.append(request) if request.method == "POST" else None)
    ask(page, QUESTION)
    expect(page.locator("#notice")).to_contain_text("请稍后再试")
    expect(page.locator(".outbox-item")).to_contain_text("有空位就发送")
    assert not accessibility_problems(page)
    shoot_schemes(page, "full")
    assert len(tries) == 1, "the queue is asked again when it said, and not sooner"
    page.locator("#notice").get_by_role("button", name="怎么退货？").click()
    expect(answers(page).first.locator(".badge")).to_have_text("官方答案")
    expect(answers(page)).to_have_count(2, timeout=DEADLINE)
    expect(page.locator(".outbox-item")).to_have_count(0)
    expect(page.locator(".message[data-role=visitor]").last).to_contain_text(QUESTION)
    console.clear()  # the browser tells of the status 503
