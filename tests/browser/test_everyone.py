"""For everyone: every page of visitors on the narrowest phones, by touch, and without motion for who wants none."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from .conftest import accessibility_problems
from .test_chat import answers, ask, finished

NARROW = {"viewport": {"width": 320, "height": 640}, "has_touch": True, "is_mobile": True}
TARGET = 44  # px, each way

SMALL_TARGETS = """least => [...document.querySelectorAll("a[href], button, input, textarea, select, summary")]
  .filter(e => e.type !== "hidden" && e.checkVisibility({opacityProperty: true, visibilityProperty: true}))
  .filter(e => !e.closest(".prose"))  // links in sentences
  .map(e => [e, (/^(checkbox|radio)$/.test(e.type) ? e.closest("label") ?? e : e).getBoundingClientRect()])
  .filter(([e, {right, bottom}]) => right > 0 && bottom > 0)
  .filter(([e, {width, height}]) => Math.min(width, height) < least - 0.5)
  .map(([e, {width, height}]) => `${Math.round(width)} x ${Math.round(height)}: ${e.outerHTML.slice(0, 120)}`)"""
TOO_WIDE = """() => [document.documentElement, document.body, document.getElementById("scroller")]
  .filter(e => e && e.scrollWidth > e.clientWidth).map(e => `${e.tagName} ${e.id} is ${e.scrollWidth} wide`)"""
MOVING = """() => document.getAnimations()
  .filter(a => a.playState === "running" && a.effect.getComputedTiming().duration > 1)
  .map(a => `${a.animationName ?? a.transitionProperty} on ${a.effect.target.outerHTML.slice(0, 80)}`)"""


def empty(page):
    expect(page.locator(".welcome")).to_be_visible()


def official(page):
    ask(page, "怎么退货？")
    expect(answers(page)).to_have_count(1)
    finished(page)


def long_words(page):
    ask(page, f"你好 {'W' * 300}")
    expect(answers(page)).to_have_count(1)


def waiting(page):
    ask(page, "请写一篇长文章，介绍大海、沙滩、贝壳和海鸟，越详细越好")
    expect(page.locator(".message[aria-busy=true]")).to_be_visible()


def not_helpful(page):
    official(page)
    page.get_by_role("button", name="没帮助").click()
    expect(page.locator(".reasons, [name=reason]").first).to_be_visible()


def changing(page):
    official(page)
    page.locator(".edit summary").click()
    expect(page.locator(".edit textarea")).to_be_visible()


def earlier(page):
    official(page)
    page.get_by_role("button", name="以前的对话").click()
    expect(page.locator("#history")).to_be_visible()


def all_earlier(page):
    official(page)
    page.goto("/history")
    expect(page.locator("h1")).to_be_visible()


def person(page):
    page.get_by_role("link", name="找人工").first.click()
    expect(page.locator("[name=contact]")).to_be_visible()


def offline(page):
    page.goto("/offline")


STATES = [empty, official, long_words, waiting, not_helpful, changing, earlier, all_earlier, person, offline]


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_a_page_fits_the_narrowest_phone_can_be_touched_and_rests(visit, state):
    page = visit(**NARROW, reduced_motion="reduce")
    state(page)
    assert page.evaluate(TOO_WIDE) == []
    assert page.evaluate(SMALL_TARGETS, TARGET) == []
    assert page.evaluate(MOVING) == []
    assert not accessibility_problems(page)


def test_text_twice_as_large_still_fits(visit):
    """WCAG 1.4.4 and 1.4.10, as a browser's zoom does it: half as many CSS pixels."""
    page = visit(viewport={"width": 320, "height": 256})
    official(page)
    assert page.evaluate(TOO_WIDE) == []
    box = page.get_by_label("您的问题").bounding_box()
    assert box["y"] + box["height"] <= 256
