"""A visitor on a phone and an operator at a desk: from leaving word to handing back, live."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from .conftest import DESKTOP, PHONE, accessibility_problems
from .test_chat import DEADLINE, ask, finished
from .test_operator import sign_in


def leave_word(page, what):
    page.get_by_role("link", name="找人工").first.click()
    page.locator("[name=what]").fill(what)
    page.locator("[name=contact]").fill("小周 138 0000 0000")
    page.locator("[name=consent]").check()
    page.locator("form:has([name=consent]) button:not([name=language])").click()
    expect(page.locator(".message").last).to_contain_text("已交给店家")


def open_request(page, what):
    page.get_by_role("link", name="人工请求").or_(page.locator(".admin-nav a[href='/admin/tickets']")).first.click()
    page.locator(".entry").filter(has_text=what).get_by_role("link", name="打开对话").click()
    expect(page.get_by_role("button", name="接手这个对话")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_person_takes_over_live_and_hands_back(visit, shoot, scheme):
    what = f"杯子碎了（{scheme}）"
    visitor = visit(**PHONE, color_scheme=scheme)
    ask(visitor, "怎么退货？")
    finished(visitor)
    leave_word(visitor, what)
    operator = visit("/admin/", color_scheme=scheme)
    sign_in(operator)
    open_request(operator, what)
    operator.get_by_role("button", name="接手这个对话").press("Enter")

    expect(visitor.locator(".message").get_by_text("店里的工作人员已接手对话")).to_be_visible()
    expect(visitor.locator("#announcer")).to_contain_text("店里的工作人员已接手对话")
    answers = visitor.locator(".message[data-role=assistant]").count()
    visitor.locator("#text").fill("在吗？")
    visitor.locator("#text").press("Enter")
    box = operator.get_by_label("在对话里回复")
    expect(operator.get_by_text("顾客正在输入…")).to_have_count(0)
    box.fill("您好，我是")  # while the thread below is refreshed
    expect(visitor.get_by_text("工作人员正在输入…")).to_be_visible()
    shoot(visitor, f"staff-typing-phone-{scheme}")
    visitor.locator("#text").fill("有点")
    expect(operator.get_by_text("顾客正在输入…")).to_be_visible()
    expect(operator).to_have_title(re.compile(r"^\(1\) "))
    expect(operator.get_by_text("在吗？")).to_be_visible()
    expect(box).to_have_value("您好，我是")
    box.fill("您好，我是店员小林。")
    box.press("Enter")
    expect(visitor.locator(".message[data-role=operator]")).to_contain_text("您好，我是店员小林。")
    expect(visitor.get_by_text("工作人员正在输入…")).to_be_hidden()
    expect(visitor.locator(".message[data-role=operator] .badge")).to_have_text("人工")
    assert visitor.locator(".message[data-role=assistant]").count() == answers, "the assistant is silent"
    assert not accessibility_problems(visitor)
    assert not accessibility_problems(operator)
    shoot(visitor, f"with-person-phone-{scheme}")
    shoot(operator, f"admin-conversation-desktop-{scheme}")

    operator.get_by_role("button", name="交还给自动客服").press("Enter")
    expect(visitor.locator(".message").get_by_text("交还给自动客服")).to_be_visible()
    expect(visitor.locator("#announcer")).to_contain_text("交还给自动客服")
    expect(visitor.locator("#announcer")).to_contain_text("帮到您")
    expect(visitor.get_by_role("button", name="让自动客服继续回答")).to_have_count(0)
    shoot(visitor, f"handed-back-phone-{scheme}")


@pytest.mark.parametrize("screen", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_operators_see_what_goes_on(visit, shoot, screen):
    name = "phone" if screen is PHONE else "desktop"
    visitor = visit()
    ask(visitor, "怎么开发票？")
    finished(visitor)
    operator = visit("/admin/", **screen)
    sign_in(operator)
    operator.locator(".admin-nav").get_by_role("link", name="对话").click()
    row = operator.locator(".entry").first
    expect(row).to_contain_text("怎么开发票？")
    expect(row).to_contain_text("顾客在页面上")
    ask(visitor, "怎么退货？")  # and the list follows
    expect(row).to_contain_text("退", timeout=DEADLINE)
    row.get_by_role("link").click()
    operator.get_by_role("button", name="接手这个对话").click()
    ask(visitor, "有人吗？")
    operator.locator(".admin-nav").get_by_role("link", name="对话").click()
    operator.get_by_role("link", name="真人接手中").click()
    expect(row).to_contain_text("等待回复")
    expect(operator.locator(".admin-nav [aria-current] .count")).to_be_visible()
    assert not accessibility_problems(operator)
    shoot(operator, f"admin-conversations-{name}")


def test_the_visitor_asks_for_the_assistant_again_without_javascript(visit):
    visitor = visit(java_script_enabled=False)
    visitor.locator("#text").fill("怎么退货？")
    visitor.get_by_role("button", name="发送").click()
    leave_word(visitor, "没有脚本")
    operator = visit("/admin/", **PHONE)
    sign_in(operator)
    open_request(operator, "没有脚本")
    operator.get_by_role("button", name="接手这个对话").click()
    expect(operator.get_by_role("button", name="交还给自动客服")).to_be_visible()
    visitor.reload()
    visitor.get_by_role("button", name="让自动客服继续回答").click()
    expect(visitor.get_by_text("您已请自动客服继续回答")).to_be_visible()
    expect(operator.get_by_text("这个对话由自动客服回答")).to_be_visible()
