"""A page whose socket gave way to another: nobody notices, and it is there again at the first touch."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect
from support.server import Server
from support.small_site import PAYING, RETURNS, small_site

from .test_chat import answers, ask


@pytest.fixture
def small(endless_model, migrated_file, tmp_path):
    """A site with a place for one socket."""
    folder = small_site(tmp_path, migrated_file, RETURNS, PAYING)
    server = Server(folder, endless_model, wsgi="support.restless_wsgi:app", max_sockets=1).start().ready()
    yield server
    server.close()


def test_a_page_falls_asleep_unseen_and_wakes_with_what_it_missed(small, visit):
    first = visit(small.url)
    closed = []
    first.on("websocket", lambda socket: socket.on("close", lambda _: closed.append(socket)))
    ask(first, "怎么退货？")
    expect(answers(first)).to_have_count(1)
    second = first.context.new_page()
    second.goto(first.url)
    small.wait_until(lambda: bool(first.evaluate("1")) and bool(closed), "the first page's socket gave way")
    expect(first.locator("#connection")).to_be_hidden()
    ask(second, "怎么付款？")
    expect(answers(second)).to_have_count(2)
    expect(answers(first)).to_have_count(1)
    first.bring_to_front()
    first.get_by_label("您的问题").press("a")
    expect(answers(first)).to_have_count(2)
    expect(first.locator("#connection")).to_be_hidden()
