"""From a question without an answer to an answer at once: the visitor, the inbox, the visitor again."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect
from support.visitor import wait_until

from .conftest import DESKTOP, PHONE, accessibility_problems
from .test_chat import ask, finished
from .test_operator import sign_in


def wait_in_inbox(page, question):
    """Reload until a question's group is there: the inbox is brought up to date every ten seconds."""

    def there():
        page.reload()
        return page.get_by_role("heading", name=question).count()

    wait_until(there)
    return page.get_by_role("listitem").filter(has=page.get_by_role("heading", name=question))


@pytest.mark.parametrize("screen", [PHONE, DESKTOP], ids=["phone", "desktop"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_inbox_is_accessible_and_looks_right(visit, shoot, screen, scheme):
    name = f"{'phone' if screen is PHONE else 'desktop'}-{scheme}"
    visitor = visit()
    ask(visitor, "你们周六晚上几点打烊？")
    finished(visitor)
    page = visit("/admin/", **screen, color_scheme=scheme)
    sign_in(page)
    page.get_by_role("link", name="收件箱").click()
    wait_in_inbox(page, "你们周六晚上几点打烊？")
    assert not accessibility_problems(page)
    shoot(page, f"admin-inbox-{name}")


def test_an_answer_that_was_missing_is_written_and_the_next_visitor_gets_it(visit):
    question = "礼品卡可以在线上商城用吗？"
    visitor, operator = visit(), visit("/admin/", java_script_enabled=False)
    ask(visitor, question)
    finished(visitor)
    sign_in(operator)
    operator.get_by_role("link", name="收件箱").click()
    group = wait_in_inbox(operator, question)
    group.get_by_role("button", name="写答案").click()
    operator.get_by_label("答案", exact=True).fill("可以，结账时输入卡号。")
    operator.get_by_role("button", name="保存并发布").click()
    expect(operator.get_by_text("已保存")).to_be_visible()

    ask(visitor, question)
    expect(visitor.locator(".message[data-role=assistant]")).to_have_count(2)
    assert finished(visitor).locator(".prose").inner_text() == "可以，结账时输入卡号。"

    operator.get_by_role("link", name="收件箱").click()
    expect(operator.get_by_role("heading", name=question)).to_have_count(0)
    operator.get_by_role("link", name="已解决").click()
    expect(operator.get_by_role("heading", name=question)).to_be_visible()


@pytest.mark.parametrize("screen", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_a_save_that_takes_an_answer_away_asks_first_and_looks_right(visit, shoot, screen, console):
    visitor = visit()
    ask(visitor, "怎么退货？")
    finished(visitor)
    page = visit("/admin/", **screen)
    sign_in(page)
    page.get_by_label("问题或答案").fill("怎么退货")
    page.get_by_role("link", name="怎么退货？").first.click()
    page.locator("#phrasings").fill("关于寄回商品的说明")
    page.get_by_text("更多：有效期").click()
    page.get_by_label("必须得到这个答案").fill("关于寄回商品的说明\n东西不想要了")
    assert not accessibility_problems(page)
    page.get_by_role("button", name="保存", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("不再有答案")
    expect(page.get_by_role("alert")).to_contain_text("“东西不想要了”必须得到“关于寄回商品的说明”")
    assert not accessibility_problems(page)
    shoot(page, f"admin-check-{'phone' if screen is PHONE else 'desktop'}-light")
    expect(page.locator("#phrasings")).to_have_value("关于寄回商品的说明")
    expect(page.get_by_role("button", name="仍然保存")).to_be_visible()
    assert "409" in console.pop()  # the page itself
