"""An answer outlives whatever happens to its page: reloads, a cut network, a server that goes and comes back."""

from __future__ import annotations

import re
import time

import pytest
from playwright.sync_api import expect
from support.proxy import Proxy
from support.server import Server
from support.small_site import RETURNS, small_site

from .test_chat import BOTH_SIZES, DEADLINE, answers, ask, finished, wait_for_text

QUESTION = "随便说点什么吧，英语也行"
CUT = 5.0  # seconds without a network
SLOWLY = {"max_new_tokens": 500, "context_tokens": 2048, "max_parallel": 1, "wsgi": "support.slow_wsgi:app"}
MOMENTS = ("queued", "before the first text", "first text", "middle", "just whole")


@pytest.fixture
def new_server(endless_model, migrated_file, tmp_path):
    """Servers one after the other on the same data."""
    small_site(tmp_path, migrated_file, RETURNS)
    servers = []

    def start():
        servers.append(Server(tmp_path, endless_model, **SLOWLY).start().ready())
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def server(new_server):
    return new_server()


@pytest.fixture
def network(server):
    proxy = Proxy(server.port)
    proxy.server = server
    yield proxy
    proxy.close()


def text_of(page):
    """What stands in the last answer."""
    return answers(page).last.locator(".text, .prose").inner_text()


def stored(page):
    """The last answer as the server has it: what a page shows of Markdown leaves its marks away."""
    origin, _, public_id = page.url.rpartition("/c/")
    return page.request.get(f"{origin}/api/v1/conversations/{public_id}/messages").json()["messages"][-1]["text"]


def letters(text):
    """What is left of a text without white space, which pages show in their own way."""
    return re.sub(r"\s", "", text)


def the_whole_conversation(page):
    """Check that page and server have the same: a question, and its whole answer, each once."""
    last = finished(page)
    expect(last).to_have_attribute("data-status", "done", timeout=DEADLINE)
    expect(page.locator(".message")).to_have_count(2)
    live = text_of(page)
    page.reload()
    expect(page.locator(".message")).to_have_count(2)
    assert text_of(page) == live
    return stored(page)


def reach(page, moment, server):
    """Have an answer be at a moment of its life."""
    if moment == "queued":
        server.visitor().ask(QUESTION)  # takes the only place
        ask(page, QUESTION)
        expect(answers(page).last).to_have_attribute("data-status", "queued")
    else:
        ask(page, QUESTION)
    if moment == "before the first text":
        expect(answers(page)).to_have_count(1)
    elif moment == "first text":
        wait_for_text(page, 1)
    elif moment == "middle":
        wait_for_text(page, 200)
    elif moment == "just whole":
        finished(page)


@BOTH_SIZES
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_reload_loses_and_doubles_nothing(server, visit, moment, screen):
    page = visit(server.url, **screen)
    reach(page, moment, server)
    before = text_of(page) if moment in ("first text", "middle") else ""
    page.reload()
    whole = the_whole_conversation(page)
    assert letters(whole).startswith(letters(before))


@BOTH_SIZES
def test_a_network_that_is_away_for_five_seconds_is_said_and_made_up_for(
    network, visit, console, shoot_schemes, screen
):
    page = visit(network.url, **screen)
    ask(page, QUESTION)
    wait_for_text(page, 50)
    network.cut()
    expect(page.get_by_text("正在恢复连接…")).to_be_visible()
    before = text_of(page)
    # It comes in slowly, so that a short cut passes unseen.
    page.locator("#connection").evaluate("e => Promise.all(e.getAnimations().map(each => each.finished))")
    shoot_schemes(page, "cut-off")
    time.sleep(CUT)
    network.lead_to(network.server.port)
    expect(page.get_by_text("正在恢复连接…")).to_be_hidden(timeout=DEADLINE)
    whole = the_whole_conversation(page)
    assert letters(whole).startswith(letters(before))
    console.clear()  # browsers say that the socket was cut, and when it could not be opened


def test_a_question_typed_while_the_network_is_away_is_sent_once(network, server, visit, console):
    page = visit(network.url)
    ask(page, "怎么退货？")
    finished(page)
    network.cut()
    ask(page, "怎么退货？？")
    expect(page.locator(".outbox-item")).to_have_count(1)
    network.lead_to(server.port)
    expect(answers(page)).to_have_count(2, timeout=DEADLINE)
    expect(page.locator(".outbox-item")).to_have_count(0)
    page.reload()
    expect(page.locator(".message")).to_have_count(4)
    console.clear()


@pytest.mark.parametrize("end", ["stop", "close"], ids=["ended", "killed"])
def test_a_server_that_goes_in_the_middle_leaves_what_was_written_and_a_way_on(
    network, new_server, visit, console, end
):
    page = visit(network.url)
    ask(page, QUESTION)
    wait_for_text(page, 100)
    before = text_of(page)
    getattr(network.server, end)()
    network.cut()
    expect(page.get_by_text("正在恢复连接…")).to_be_visible(timeout=DEADLINE)
    network.lead_to(new_server().port)
    last = finished(page)
    expect(last).to_have_attribute("data-status", "interrupted", timeout=DEADLINE)
    kept = letters(stored(page))
    assert kept
    assert kept.startswith(letters(before)[:20]), "what was stored last, some pieces of text before the end"
    last.get_by_role("button", name=re.compile("重试|再试")).click()
    expect(answers(page).last).to_have_attribute("data-status", "done", timeout=DEADLINE)
    expect(page.locator(".message")).to_have_count(2)
    console.clear()


@BOTH_SIZES
def test_an_interrupted_answer_looks_right(network, new_server, visit, shoot_schemes, screen):
    page = visit(network.url, **screen)
    ask(page, QUESTION)
    wait_for_text(page, 100)
    page.goto("about:blank")
    network.server.close()
    network.lead_to(new_server().port)
    page.go_back()
    expect(finished(page)).to_have_attribute("data-status", "interrupted", timeout=DEADLINE)
    shoot_schemes(page, "interrupted")


def test_two_tabs_stay_in_step_word_by_word(server, visit):
    first = visit(server.url)
    ask(first, QUESTION)
    wait_for_text(first, 50)
    second = first.context.new_page()
    second.goto(first.url)
    wait_for_text(second, 60)
    finished(first)
    finished(second)
    assert text_of(first) == text_of(second)
    ask(second, "怎么退货？")
    expect(answers(first)).to_have_count(2)


def test_back_and_forward_show_the_conversation_as_it_is(server, visit):
    page = visit(server.url)
    ask(page, QUESTION)
    wait_for_text(page, 20)
    where = page.url
    page.goto(server.url)
    page.go_back()
    assert page.url == where
    assert the_whole_conversation(page)


def test_a_whole_conversation_by_the_keyboard_alone(server, visit):
    page = visit(server.url)
    expect(page.get_by_label("您的问题")).to_be_focused()
    page.keyboard.type("怎么退货？")
    page.keyboard.press("Enter")
    expect(answers(page).last.locator(".badge")).to_have_text("官方答案")
    expect(page.get_by_label("您的问题")).to_be_focused()
    page.keyboard.type("怎么退货？")
    expect(page.get_by_role("button", name="发送")).to_be_enabled()
    page.keyboard.press("Enter")
    expect(answers(page)).to_have_count(2)
    reach_by_tab(page, "有帮助")
    page.keyboard.press("Enter")
    expect(answers(page).locator("[aria-pressed=true]")).to_have_count(1)


def reach_by_tab(page, name):
    """Press Tab, and then Shift and Tab, until a button of that name has the focus."""
    expect(page.get_by_role("button", name=name).last).to_be_visible()
    for key in ["Tab"] * 30 + ["Shift+Tab"] * 60:
        focused = "document.activeElement.ariaLabel ?? document.activeElement.innerText ?? ''"
        if re.search(name, page.evaluate(focused)):
            return
        page.keyboard.press(key)
    raise AssertionError(f"{name} cannot be reached by the keyboard")
