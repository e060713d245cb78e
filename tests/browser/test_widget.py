"""The widget on a page of another site, in a browser that gives such frames no cookies."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect
from support.server import Server
from support.shop import Shop
from support.small_site import PAYING, RETURNS, small_site

from .conftest import DESKTOP, PHONE, accessibility_problems
from .test_chat import DEADLINE

LAUNCH, SHUT = ".launch", ".shut"
FRAME = "iframe"


@pytest.fixture(scope="module")
def shop():
    shop = Shop()
    yield shop
    shop.close()


@pytest.fixture(scope="module")
def foreign():
    """A site that may not show the chat."""
    shop = Shop()
    yield shop
    shop.close()


@pytest.fixture(scope="module")
def chat(endless_model, migrated_file, tmp_path_factory, shop, foreign):
    folder = small_site(tmp_path_factory.mktemp("chat"), migrated_file, RETURNS, PAYING)
    server = Server(folder, endless_model, allowed_origins=shop.origin, shop_name="小舟商店").start().ready()
    shop.widget = foreign.widget = server.url
    yield server
    server.close()


@pytest.fixture(scope="module")
def strict_browser(browser_type, browser_type_launch_args):
    """A browser that blocks third-party cookies."""
    arguments = [*browser_type_launch_args["args"], "--test-third-party-cookie-phaseout"]
    browser = browser_type.launch(**{**browser_type_launch_args, "args": arguments})
    yield browser
    browser.close()


@pytest.fixture
def look_at(strict_browser, chat):
    """Opens a page of a shop as somebody who was never there."""
    contexts = []

    def open_page(site, settings="", screen=DESKTOP, **options):
        site.settings = settings
        context = strict_browser.new_context(locale="zh-CN", timezone_id="Asia/Shanghai", **screen, **options)
        contexts.append(context)
        page = context.new_page()
        page.complaints = []
        page.on(
            "console", lambda said: page.complaints.append(said.text) if said.type in ("error", "warning") else None
        )
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.goto(site.origin)
        expect(page.locator(LAUNCH)).to_be_visible()
        return page

    yield open_page
    for context in contexts:
        context.close()


def inside(page):
    return page.frame_locator(FRAME)


def ask(page, text="怎么退货？"):
    box = inside(page).get_by_label("您的问题")
    box.fill(text)
    box.press("Enter")


def answers(page):
    return inside(page).locator(".message[data-role=assistant][data-status=done]")


BOTH = pytest.mark.parametrize("screen", [PHONE, DESKTOP], ids=["phone", "desktop"])


@BOTH
def test_a_visitor_asks_on_the_shops_own_page_without_any_cookie(look_at, shop, screen, shoot):
    requests = []
    page = look_at(shop, screen=screen)
    page.on("request", lambda sent: requests.append(sent.url))
    assert not page.complaints
    page.locator(LAUNCH).click()
    ask(page)
    expect(answers(page)).to_contain_text("七天内")
    assert requests[0].startswith(f"{shop.widget}/widget?")
    assert page.context.cookies() == []
    assert (
        inside(page).locator("body").evaluate("document.cookie = 'a=1; SameSite=None; Secure', document.cookie") == ""
    )
    shoot(page, f"widget-{'phone' if screen is PHONE else 'desktop'}")
    assert not page.complaints
    size = page.locator(".panel").bounding_box()
    full = screen["viewport"]
    assert (size["width"] == full["width"] and size["height"] == full["height"]) is (screen is PHONE)


def test_before_the_first_click_there_is_one_small_script(look_at, shop):
    page = look_at(shop)
    loaded = page.evaluate("performance.getEntriesByType('resource').map(entry => entry.name)")
    assert [name for name in loaded if name.startswith(shop.widget)] == [f"{shop.widget}/widget.js"]
    assert len(page.request.get(f"{shop.widget}/widget.js").body()) < 15_000


@BOTH
def test_it_is_accessible_open_and_closed(look_at, shop, screen):
    page = look_at(shop, 'data-greeting="有问题随时问"', screen)
    page.add_init_script("0")
    for state in ("closed", "open"):
        if state == "open":
            page.locator(LAUNCH).click()
            expect(inside(page).get_by_label("您的问题")).to_be_visible()
        assert not problems_of(page), state
    assert not accessibility_problems(page.frames[1])


def problems_of(page):
    """What axe-core finds on the page around the frame; its policy lets no script in, so it comes from outside."""
    session = page.context.new_cdp_session(page)
    session.send("Page.setBypassCSP", {"enabled": True})
    return accessibility_problems(page.main_frame)


def test_it_is_used_by_the_keyboard_alone_and_keeps_it_until_escape(look_at, shop):
    page = look_at(shop)
    page.locator(LAUNCH).focus()
    page.keyboard.press("Enter")
    box = inside(page).get_by_label("您的问题")
    expect(box).to_be_focused()
    page.keyboard.type("怎么退货？")
    page.keyboard.press("Enter")
    expect(answers(page)).to_contain_text("七天内")
    for key in ("Tab", "Shift+Tab"):
        for _ in range(25):
            page.keyboard.press(key)
            assert page.evaluate("document.activeElement.shadowRoot !== null"), "the focus has left the widget"
    page.keyboard.press("Escape")
    expect(page.locator(".panel")).to_be_hidden()
    assert page.evaluate("document.activeElement.shadowRoot.activeElement.className") == "launch"


def test_the_conversation_goes_on_with_the_shops_next_page(look_at, shop):
    page = look_at(shop)
    page.locator(LAUNCH).click()
    ask(page)
    expect(answers(page)).to_have_count(1)
    page.goto(f"{shop.origin}/other")
    expect(page.locator(".panel")).to_be_visible()
    expect(answers(page)).to_contain_text("七天内")
    ask(page, "怎么付款？")
    expect(answers(page)).to_have_count(2)
    page.locator(SHUT).click()
    page.goto(shop.origin)
    expect(page.locator(LAUNCH)).to_be_visible()
    expect(page.locator(".panel")).to_be_hidden()


def test_an_answer_that_comes_while_it_is_closed_is_counted(look_at, shop, chat):
    page = look_at(shop)
    page.evaluate("void webchat.on('message', ({text, source}) => { (window.heard ??= []).push([text, source]) })")
    page.locator(LAUNCH).click()
    box = inside(page).get_by_label("您的问题")
    expect(box).to_be_visible()
    page.locator(SHUT).click()
    page.frames[1].evaluate(
        "document.getElementById('text').value = '怎么退货？', document.getElementById('composer').requestSubmit()"
    )
    expect(page.locator(".badge").first).to_have_text("1")
    expect(page.locator(LAUNCH)).to_have_accessible_name("在线客服，1 条新消息")
    assert page.evaluate("window.heard") == [["七天内可以退货。", "faq"]]
    page.locator(LAUNCH).click()
    page.locator(SHUT).click()
    expect(page.locator(".badge").first).to_be_hidden()


def test_the_pages_own_script_opens_asks_hears_and_closes(look_at, shop):
    page = look_at(shop)
    page.evaluate(
        "for (const name of ['ready', 'open', 'close', 'message'])"
        " webchat.on(name, () => { (window.heard ??= []).push(name) }); 0"
    )
    page.evaluate("webchat.send('怎么付款？')")
    expect(answers(page)).to_contain_text("支付宝")
    page.evaluate("webchat.close()")
    expect(page.locator(".panel")).to_be_hidden()
    assert page.evaluate("window.heard") == ["open", "ready", "message", "close"]
    page.evaluate("webchat.on('open', () => { window.heard = ['not stopped'] })()")
    page.evaluate("webchat.open()")
    expect(page.locator(".panel")).to_be_visible()
    assert page.evaluate("window.heard") == ["open", "ready", "message", "close", "open"]


def test_its_colour_place_language_and_greeting_are_the_shops(look_at, shop, shoot):
    page = look_at(shop, 'data-color="#ffe08a" data-position="left" data-language="en" data-greeting="Need help?"')
    launch = page.locator(LAUNCH)
    assert launch.evaluate("e => getComputedStyle(e).backgroundColor") == "rgb(255, 224, 138)"
    assert launch.evaluate("e => getComputedStyle(e).color") == "rgb(0, 0, 0)"
    assert launch.bounding_box()["x"] < 100
    expect(launch).to_have_accessible_name("Chat with us")
    shoot(page, "widget-greeting")
    page.get_by_text("Need help?").click()
    expect(inside(page).get_by_label("Your question")).to_be_visible()
    expect(page.locator(".greeting")).to_have_count(0)
    page.keyboard.press("Escape")
    page.reload()
    expect(page.locator(LAUNCH)).to_be_visible()
    expect(page.locator(".greeting")).to_have_count(0)


def test_a_greeting_is_said_once_whoever_opened_the_chat(look_at, shop):
    page = look_at(shop, 'data-greeting="有问题随时问"')
    expect(page.locator(".greeting")).to_be_visible()
    page.locator(LAUNCH).click()
    page.locator(SHUT).click()
    page.reload()
    expect(page.locator(LAUNCH)).to_be_visible()
    expect(page.locator(".greeting")).to_have_count(0)


def test_another_site_may_not_show_it_and_its_visitor_is_told(look_at, foreign, chat, shoot):
    page = look_at(foreign)
    page.locator(LAUNCH).click()
    expect(page.locator(".state")).to_contain_text("这里打不开在线客服", timeout=DEADLINE)
    expect(page.locator(".state a")).to_have_attribute("href", chat.url)
    assert any("frame-ancestors" in text for text in page.complaints)
    assert any("/admin/widget" in text for text in page.complaints)
    shoot(page, "widget-refused")
    page.keyboard.press("Escape")
    expect(page.locator(".panel")).to_be_hidden()


def test_a_dark_and_a_narrow_page(look_at, shop, shoot):
    narrow = {"viewport": {"width": 320, "height": 568}, "is_mobile": True, "has_touch": True}
    page = look_at(shop, screen=narrow, color_scheme="dark")
    page.locator(LAUNCH).click()
    ask(page)
    expect(answers(page)).to_have_count(1)
    shoot(page, "widget-narrow-dark")
    assert page.frames[1].evaluate("document.documentElement.scrollWidth") <= 320
