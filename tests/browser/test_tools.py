"""What makes a chat pleasant: known questions while typing, changing the last one, other answers, copies, waiting."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from webchat.storage import faq
from webchat.storage.database import Database

from .conftest import PHONE, accessibility_problems
from .test_chat import BOTH_SIZES, DEADLINE, LONG, answers, ask, finished, wait_for_text


@BOTH_SIZES
def test_a_known_question_is_found_while_typing_and_asked_by_the_keyboard_alone(visit, screen):
    page = visit(**screen)
    box = page.get_by_label("您的问题")
    box.press_sequentially("退货", delay=30)
    offered = page.locator(".known-question")
    expect(offered.first).to_be_visible()
    assert 0 < offered.count() <= 5
    assert all("退" in text for text in offered.all_inner_texts())
    assert not accessibility_problems(page)
    page.keyboard.press("Escape")
    expect(offered).to_have_count(0)
    expect(box).to_be_focused()
    box.press_sequentially("流", delay=30)
    expect(offered.first).to_be_visible()
    page.keyboard.press("ArrowUp")
    expect(offered.last).to_be_focused()
    page.keyboard.press("Enter")
    expect(finished(page).locator(".badge")).to_have_text("官方答案")
    expect(box).to_have_value("")
    expect(offered).to_have_count(0)


def test_a_known_question_goes_to_the_conversation_that_is_open(visit):
    page = visit()
    ask(page, "怎么退货？")
    finished(page)
    where = page.url
    page.get_by_label("您的问题").press_sequentially("发票", delay=30)
    page.locator(".known-question").first.click()
    expect(answers(page)).to_have_count(2)
    assert page.url == where


def test_the_last_question_is_changed_while_its_answer_is_written(visit):
    page = visit()
    ask(page, LONG)
    wait_for_text(page)
    page.locator(".edit summary").click()
    page.locator(".edit textarea").fill("怎么退货？")
    page.get_by_role("button", name="重新提问").click()
    expect(page.locator(".message:not([data-replaced]) .badge")).to_have_text(["官方答案"], timeout=DEADLINE)
    expect(page.locator("[data-replaced] summary")).to_have_text(["您修改前的问题", "之前的回答"])
    page.reload()
    expect(page.locator(".message:not([data-replaced])")).to_have_count(2)


def test_another_answer_comes_below_and_only_the_last_can_be_asked_for(visit):
    page = visit()
    for number, question in enumerate(("讲一个短笑话", "再讲一个短笑话"), 1):
        ask(page, question)
        expect(answers(page)).to_have_count(number)
        finished(page)
    expect(page.get_by_role("button", name="换个回答")).to_have_count(1)
    page.get_by_role("button", name="换个回答").click()
    expect(answers(page)).to_have_count(3)
    expect(page.locator("[data-replaced]")).to_have_count(1)
    assert finished(page).locator(".prose").inner_text()


def test_a_copy_names_its_source(visit):
    page = visit()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    ask(page, "怎么退货？")
    finished(page).get_by_role("button", name="复制").click()
    expect(page.locator("#announcer")).to_have_text("已复制，并注明来源")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert re.search(r"\n\n— 官方答案 · \S+$", copied)
    assert "退" in copied


@pytest.fixture
def entry_with_code(site):
    database = Database(f"sqlite:///{site.data_dir / 'webchat.db'}")
    with database.write() as session:
        number = faq.create(session, phrasings=["怎么查版本号"], answer="运行：\n\n```sh\nwebchat --version\n```").id
    yield "怎么查版本号"
    with database.write() as session:
        faq.remove(session, faq.get(session, number))
    database.close()


@BOTH_SIZES
def test_code_is_copied_without_anything_beside_it(visit, entry_with_code, screen):
    page = visit(permissions=["clipboard-read", "clipboard-write"], **screen)
    ask(page, entry_with_code)
    expect(answers(page)).to_have_count(1)
    finished(page)
    button = page.get_by_role("button", name="复制代码")
    button.focus()
    assert button.bounding_box()["height"] >= 44
    page.keyboard.press("Enter")
    expect(page.locator("#announcer")).to_have_text("已复制")
    assert page.evaluate("navigator.clipboard.readText()") == "webchat --version"
    assert not accessibility_problems(page)
    page.reload()
    expect(page.get_by_role("button", name="复制代码")).to_have_count(1)


def test_what_is_printed_is_what_was_said(visit, shoot):
    page = visit()
    ask(page, "怎么退货？")
    expect(answers(page)).to_have_count(1)
    finished(page)
    page.emulate_media(media="print")
    for hidden in (".site-header", ".dock", ".history", ".votes", ".edit"):
        expect(page.locator(hidden).first).to_be_hidden()
    expect(answers(page).last.locator(".badge")).to_be_visible()
    expect(page.locator(".message[data-role=visitor]")).to_be_visible()
    shoot(page, "print")


@BOTH_SIZES
def test_a_question_typed_during_an_answer_waits_in_sight_and_is_sent_after_it(visit, console, shoot_schemes, screen):
    page = visit(**screen)
    ask(page, LONG)
    wait_for_text(page)
    ask(page, "讲一个短笑话")
    waiting = page.locator(".outbox-item")
    expect(waiting).to_contain_text("讲一个短笑话")
    expect(waiting).to_contain_text("这个回答结束后发送")
    expect(page.get_by_label("您的问题")).to_have_value("")
    assert not accessibility_problems(page)
    shoot_schemes(page, "outbox")
    page.reload()
    expect(waiting).to_contain_text("讲一个短笑话")
    waiting.get_by_role("button", name="现在发送").click()
    expect(waiting).to_have_count(0, timeout=DEADLINE)
    expect(page.locator(".message[data-role=visitor]")).to_have_count(2)
    expect(answers(page).first).to_have_attribute("data-status", "stopped")
    finished(page)
    console.clear()  # the browser tells of the status 409


def test_a_waiting_question_can_be_changed_and_put_away(visit, console):
    page = visit()
    ask(page, LONG)
    wait_for_text(page)
    waiting = page.locator(".outbox-item")
    for number, text in enumerate(("讲一个短笑话", "写一首短诗"), 1):
        ask(page, text)
        expect(waiting).to_have_count(number)
    waiting.first.get_by_role("button", name="修改").click()
    expect(page.get_by_label("您的问题")).to_have_value("讲一个短笑话")
    waiting.first.get_by_role("button", name="删除").click()
    expect(waiting).to_have_count(0)
    page.get_by_role("button", name="停止").click()
    finished(page)
    expect(page.locator(".message[data-role=visitor]")).to_have_count(1)
    console.clear()  # the browser tells of the status 409


def test_what_is_typed_without_a_network_is_sent_once_when_it_is_back(visit, console):
    page = visit()
    ask(page, "怎么退货？")
    finished(page)
    page.context.set_offline(True)
    ask(page, "怎么开发票？")
    waiting = page.locator(".outbox-item")
    expect(waiting).to_contain_text("恢复连接后发送")
    expect(page.locator(".message")).to_have_count(2)
    page.context.set_offline(False)
    expect(waiting).to_have_count(0, timeout=DEADLINE)
    expect(page.locator(".message")).to_have_count(4)
    page.reload()
    expect(page.locator(".message")).to_have_count(4)
    console.clear()  # the browser tells of what it could not load


@BOTH_SIZES
def test_without_a_network_a_page_says_so_and_the_way_back_works(visit, shoot, console, screen):
    page = visit(**screen)
    ask(page, "怎么退货？")
    finished(page)
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    where = page.url
    page.context.set_offline(True)
    page.goto(where)
    expect(page.get_by_role("heading", name="现在没有网络")).to_be_visible()
    shoot(page, f"offline-{'phone' if screen is PHONE else 'desktop'}")
    assert not accessibility_problems(page)
    page.context.set_offline(False)
    page.get_by_role("link", name="再试一次").click()
    expect(page.locator(".message")).to_have_count(2)
    console.clear()  # the browser tells of what it could not load


def test_an_answer_that_lands_out_of_sight_shows_in_the_title(visit):
    page = visit()
    ask(page, "讲一个短笑话")
    page.evaluate("""() => {
        Object.defineProperty(document, "hidden", { configurable: true, get: () => true });
        document.dispatchEvent(new Event("visibilitychange"));
    }""")
    finished(page)
    expect(page).to_have_title(re.compile(r"^\(1\) "))
    expect(page.locator("[data-unread]")).to_have_count(1)
    page.evaluate("""() => {
        delete document.hidden;
        document.dispatchEvent(new Event("visibilitychange"));
    }""")
    expect(page).not_to_have_title(re.compile(r"^\(1\) "))


@BOTH_SIZES
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_history_and_the_way_to_a_person_are_accessible_and_look_right(visit, shoot, console, screen, scheme):
    name = f"{'phone' if screen is PHONE else 'desktop'}-{scheme}"
    page = visit(**screen, color_scheme=scheme)
    for question in ("怎么退货？", "怎么开发票？"):
        page.goto("/")
        ask(page, question)
        finished(page)
    page.goto("/history")
    page.locator(".history-more summary").first.click()
    shoot(page, f"history-{name}")
    assert not accessibility_problems(page)
    page.get_by_label("搜索说过的话").fill("发票")
    expect(page.locator(".history-item")).to_have_count(1)
    page.goto("/c/new/person")
    page.get_by_label("是什么事？").fill("杯子碎了")
    page.get_by_role("button", name="交给店家").click()
    expect(page.get_by_text("没有您的同意")).to_be_visible()
    console.clear()  # the browser tells of the status 422
    shoot(page, f"person-{name}")
    assert not accessibility_problems(page)
    page.get_by_label("电话、邮箱或微信").fill("138 0000 0000")
    page.get_by_label("同意店家用它").check()
    page.get_by_role("button", name="交给店家").click()
    expect(answers(page).last).to_contain_text("已交给店家")
    shoot(page, f"request-{name}")
    assert not accessibility_problems(page)
    widths = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert widths[0] <= widths[1], "the page scrolls sideways"


def test_without_javascript_one_reaches_a_person_and_finds_what_was_said(visit, console):
    page = visit(java_script_enabled=False)
    page.get_by_role("link", name="找人工").click()
    page.get_by_label("是什么事？").fill("想换一个杯子")
    page.get_by_label("电话、邮箱或微信").fill("138 0000 0000")
    page.get_by_label("同意店家用它").check()
    page.get_by_role("button", name="交给店家").click()
    expect(page.get_by_text("已交给店家")).to_be_visible()
    page.goto("/history?q=杯子")
    expect(page.locator(".history-item")).to_have_count(1)
    page.locator(".history-more summary").click()
    page.get_by_role("button", name="永久删除").click()
    expect(page.locator(".history-item")).to_have_count(0)
