"""What an operator does, in a real browser, and what a visitor sees of it at once."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from .conftest import DESKTOP, PASSWORD, PHONE, accessibility_problems
from .test_chat import ask, finished

_signed_in = []  # the cookies of who signed in once: nobody may do so as often as these tests would


def sign_in(page):
    if _signed_in:
        page.context.add_cookies(_signed_in)
        page.goto("/admin/")
    else:
        page.get_by_label("名字").fill("admin")
        page.get_by_label("密码").fill(PASSWORD)
        page.get_by_role("button", name="登录").click()
    expect(page.get_by_role("link", name="添加条目")).to_be_visible()
    _signed_in[:] = page.context.cookies()


def test_an_edited_answer_is_the_next_visitors(visit):
    visitor, operator = visit(), visit("/admin/")
    ask(visitor, "怎么退货？")
    before = finished(visitor).locator(".prose").inner_text()

    sign_in(operator)
    operator.get_by_label("问题或答案").fill("怎么退货")
    operator.get_by_role("link", name="怎么退货？").first.click()
    answer = operator.get_by_label("答案", exact=True)
    original = answer.input_value()
    answer.fill("请拨打店里的电话，我们上门取件。")
    operator.get_by_role("button", name="保存", exact=True).click()
    expect(operator.get_by_text("已保存")).to_be_visible()

    ask(visitor, "怎么退货？")
    expect(visitor.locator(".message[data-role=assistant]")).to_have_count(2)
    assert finished(visitor).locator(".prose").inner_text() == "请拨打店里的电话，我们上门取件。" != before

    operator.get_by_label("问题或答案").fill("怎么退货")
    operator.get_by_role("link", name="怎么退货？").first.click()
    operator.get_by_label("答案", exact=True).fill(original)
    operator.get_by_role("button", name="保存", exact=True).click()
    expect(operator.get_by_text("已保存")).to_be_visible()


@pytest.mark.parametrize("screen", [PHONE, DESKTOP], ids=["phone", "desktop"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pages_are_accessible_and_look_right(visit, shoot, screen, scheme):
    name = f"{'phone' if screen is PHONE else 'desktop'}-{scheme}"
    page = visit("/admin/", **screen, color_scheme=scheme)
    assert not accessibility_problems(page)
    shoot(page, f"admin-sign-in-{name}")
    sign_in(page)
    assert not accessibility_problems(page)
    shoot(page, f"admin-list-{name}")
    page.get_by_role("link", name="添加条目").click()
    expect(page.get_by_label("答案", exact=True)).to_be_visible()
    assert not accessibility_problems(page)
    shoot(page, f"admin-edit-{name}")
    page.get_by_role("link", name="返回全部条目").click()
    page.get_by_role("link", name="回答设置").click()
    expect(page.get_by_label("谨慎")).to_be_checked()
    assert not accessibility_problems(page)
    shoot(page, f"admin-answers-{name}")
