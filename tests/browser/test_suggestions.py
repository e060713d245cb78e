"""Suggestions and votes, in a real browser against the real model."""

from __future__ import annotations

import re
from contextlib import closing

import pytest
from playwright.sync_api import expect

from webchat.storage import answer_policy
from webchat.storage.answer_policy import AnswerPolicy
from webchat.storage.database import Database

from .conftest import DESKTOP, PHONE, accessibility_problems
from .test_chat import BOTH_SIZES, DEADLINE, answers, ask, finished

UNSURE = "怎么保养"  # of what? The shop has entries about repairs, and the model may have advice
NARROW = {**PHONE, "viewport": {"width": 320, "height": 640}}


def choose_policy(site, mode):
    with closing(Database(f"sqlite:///{site.data_dir / 'webchat.db'}")) as database, database.write() as session:
        answer_policy.save(session, AnswerPolicy(mode=mode))


@pytest.fixture(autouse=True)
def the_model_may_answer(site):
    """Unsure questions are mostly about the shop, which the careful policy keeps from the model."""
    choose_policy(site, "open")
    yield
    choose_policy(site, "careful")


def suggestions(page):
    return page.locator(".suggested").get_by_role("button")


def offered_while_busy(page):
    """Ask something unclear; its suggestions, on the screen while the model still works under them."""
    ask(page, UNSURE)
    offered = page.locator(".message[aria-busy=true] .suggested button")
    expect(offered.first).to_be_visible()
    assert 1 <= offered.count() <= 3
    return offered


def test_a_refused_question_has_suggestions_too(visit, site):
    choose_policy(site, "careful")
    page = visit()
    ask(page, "你们支持花呗吗")
    expect(answers(page).last.locator(".badge")).to_have_text("自动回复")
    question = suggestions(page).first.inner_text()
    suggestions(page).first.click()
    expect(answers(page).last.locator(".badge")).to_have_text("官方答案")
    expect(page.locator(".message[data-role=visitor] .text").last).to_have_text(question)


@BOTH_SIZES
def test_a_suggestion_answers_at_once_while_the_model_still_works(visit, screen):
    page = visit(**screen)
    chosen = offered_while_busy(page).first
    question = chosen.inner_text()
    chosen.click()
    expect(answers(page)).to_have_count(2)
    expect(answers(page).last.locator(".badge")).to_have_text("官方答案")
    expect(page.locator(".message[data-role=visitor] .text").last).to_have_text(question)
    expect(answers(page).first).not_to_have_attribute("aria-busy", "true", timeout=DEADLINE)
    expect(suggestions(page).first).to_have_attribute("data-chosen", "")
    seen = page.locator("#thread").inner_text()
    page.reload()
    assert page.locator("#thread").inner_text() == seen


def test_a_double_click_asks_once_and_other_tabs_see_it(visit):
    page = visit()
    ask(page, UNSURE)
    expect(page).to_have_url(re.compile(r"/c/"))
    other = page.context.new_page()
    other.goto(page.url)
    suggestions(page).first.dblclick()
    for tab in (page, other):
        expect(tab.locator(".message")).to_have_count(4)
        expect(answers(tab).last.locator(".badge")).to_have_text("官方答案")
    finished(page)
    suggestions(other).first.click()  # the same once more, elsewhere
    other.reload()
    expect(other.locator(".message")).to_have_count(4)


def test_the_keyboard_stays_on_its_suggestion_when_the_model_has_finished(visit):
    page = visit()
    offered_while_busy(page).first.focus()
    finished(page)
    expect(suggestions(page).first).to_be_focused()
    page.keyboard.press("Enter")
    expect(answers(page)).to_have_count(2)


def test_suggestions_are_read_out_once(visit):
    page = visit()
    page.evaluate("""() => {
        window.said = [];
        new MutationObserver(() => said.push(document.getElementById("announcer").textContent))
            .observe(document.getElementById("announcer"), {childList: true});
    }""")
    question = offered_while_busy(page).first.inner_text()
    finished(page)
    said = page.evaluate("said")
    assert sum("您是不是想问" in text and question in text for text in said) == 1


def test_without_javascript_suggestions_and_votes_work_to_the_end(visit):
    page = visit(java_script_enabled=False)
    page.get_by_label("您的问题").fill(UNSURE)
    page.get_by_role("button", name="发送").click()
    question = suggestions(page).first.inner_text()
    suggestions(page).first.click()
    expect(answers(page).last.locator(".badge")).to_have_text("官方答案")
    expect(page.locator(".message[data-role=visitor] .text").last).to_have_text(question)
    expect(answers(page).first).not_to_have_attribute("aria-busy", "true", timeout=DEADLINE)
    answers(page).last.get_by_role("button", name="没帮助").click()
    answers(page).last.get_by_label("还想补充什么？（可不填）").fill("写得太短")
    answers(page).last.get_by_role("button", name="没说清楚").click()
    expect(answers(page).last.locator(".reasons summary")).to_have_text("已记录：没说清楚")
    answers(page).last.get_by_role("button", name="没帮助").click()
    expect(answers(page).last.locator(".reasons")).to_have_count(0)


@BOTH_SIZES
def test_a_vote_is_said_changed_and_taken_back(visit, screen):
    page = visit(**screen)
    ask(page, "怎么退货？")
    answer = finished(page)
    up, down = answer.get_by_role("button", name="有帮助", exact=True), answer.get_by_role("button", name="没帮助")
    for button in (up, down):
        box = button.bounding_box()
        assert min(box["width"], box["height"]) >= 44
    up.click()
    expect(up).to_have_attribute("aria-pressed", "true")
    expect(answer.get_by_role("status")).to_have_text("谢谢反馈。")
    down.click()
    expect(up).to_have_attribute("aria-pressed", "false")
    answer.get_by_label("还想补充什么？（可不填）").fill("<b>七天</b>是从哪天算？")
    answer.get_by_role("button", name="发送").click()
    expect(answer.locator(".reasons summary")).to_have_text("已记录：其他")
    page.reload()
    answer.locator("summary").click()
    expect(answer.get_by_label("还想补充什么？（可不填）")).to_have_value("<b>七天</b>是从哪天算？")
    down.click()
    expect(down).to_have_attribute("aria-pressed", "false")
    expect(answer.locator(".reasons")).to_have_count(0)


def test_the_votes_come_where_stop_was_and_move_nothing(visit):
    page = visit(viewport={"width": 360, "height": 480})
    ask(page, "请写一篇长文章，介绍大海、沙滩、贝壳和海鸟，越详细越好")
    answer = finished(page)
    votes, dock = answer.locator(".vote").bounding_box(), page.locator(".dock").bounding_box()
    assert votes["y"] + votes["height"] <= dock["y"]


@pytest.mark.parametrize("screen", [NARROW, PHONE, DESKTOP], ids=["narrow", "phone", "desktop"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_suggestions_and_votes_are_accessible_and_looks_right(visit, shoot, screen, scheme):
    sizes = {320: "narrow", 390: "phone", 1280: "desktop"}
    name = f"{sizes[screen['viewport']['width']]}-{scheme}"
    page = visit(**screen, color_scheme=scheme)
    offered_while_busy(page)
    shoot(page, f"suggested-{name}")
    assert not accessibility_problems(page)
    suggestions(page).first.click()
    expect(answers(page)).to_have_count(2)
    expect(answers(page).first).not_to_have_attribute("aria-busy", "true", timeout=DEADLINE)
    shoot(page, f"chosen-{name}")
    assert not accessibility_problems(page)
    answers(page).last.get_by_role("button", name="没帮助").click()
    expect(answers(page).last.locator(".reasons")).to_be_visible()
    shoot(page, f"voted-{name}")
    assert not accessibility_problems(page)
    ask(page, "你们支持哪些付款")
    expect(answers(page).last.locator(".matched")).to_be_visible()
    shoot(page, f"matched-{name}")
    assert not accessibility_problems(page)
    answers(page).last.get_by_role("button", name="不是我想问的").click()
    expect(answers(page).last.locator(".reasons summary")).to_have_text("已记录：不是我想问的")
    shoot(page, f"missed-{name}")
    assert not accessibility_problems(page)
    widths = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert widths[0] <= widths[1], "the page scrolls sideways"
