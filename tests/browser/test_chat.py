"""What a visitor does, in a real browser against the real model."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from .conftest import DESKTOP, PHONE, accessibility_problems

LONG = "请写一篇长文章，介绍大海、沙滩、贝壳和海鸟，越详细越好"
DEADLINE = 180_000  # milliseconds; reached only when something is broken
HAN = re.compile(r"[\u4e00-\u9fff]")
BOTH_SIZES = pytest.mark.parametrize("screen", [PHONE, DESKTOP], ids=["phone", "desktop"])


def ask(page, text):
    page.get_by_label("您的问题").fill(text)
    page.keyboard.press("Enter")


def answers(page):
    return page.locator(".message[data-role=assistant]")


def finished(page):
    """The last answer, once it is whole."""
    last = answers(page).last
    expect(last).not_to_have_attribute("aria-busy", "true", timeout=DEADLINE)
    return last


def wait_for_text(page, characters=10):
    """Until the answer being written has so many characters on the screen."""
    text = page.locator(".message[aria-busy=true] .text")
    expect(text).to_have_text(re.compile(rf"[\s\S]{{{characters}}}"), timeout=DEADLINE)
    return text


def lose_connections(page):
    """What cuts the page's socket off, and each that it opens to replace it."""
    sockets = []

    def connect(socket):
        if sockets:
            socket.close(code=1012)
        else:
            socket.connect_to_server()
        sockets.append(socket)

    page.route_web_socket(re.compile(r"/ws\?"), connect)
    return lambda: sockets[0].close(code=1012)


@BOTH_SIZES
@pytest.mark.parametrize(
    ("question", "source"),
    [
        ("帮我写一封辞职信", "AI 生成"),
        ("Python怎么读取CSV文件？", "AI 生成"),
        ("今天天气怎么样？", "自动回复"),
        ("你是谁？", "自动回复"),
    ],
)
def test_the_tutorials_questions_are_answered_in_chinese(visit, screen, question, source):
    page = visit(**screen)
    ask(page, question)
    answer = finished(page)
    expect(answer.locator(".badge")).to_have_text(source)
    said = answer.locator(".prose").inner_text()
    assert len(HAN.findall(said)) >= 8, said
    assert "\ufffd" not in page.content()
    expect(page.get_by_label("您的问题")).to_have_value("")


def test_an_answer_grows_on_the_screen_before_it_is_whole(visit):
    page = visit()
    ask(page, LONG)
    growing = wait_for_text(page)
    before = len(growing.inner_text())
    expect(growing).to_have_text(re.compile(rf"[\s\S]{{{before + 10}}}"), timeout=DEADLINE)
    assert len(finished(page).locator(".prose").inner_text()) > before


def test_an_official_answer_comes_at_once_with_its_badge(visit):
    page = visit()
    suggestion = page.locator(".suggestions button").first
    question = suggestion.inner_text()
    suggestion.click()
    expect(finished(page).locator(".badge")).to_have_text("官方答案")
    expect(page.locator(".message[data-role=visitor] .text")).to_have_text(question)
    expect(page).to_have_url(re.compile(r"/c/[\w-]{22,}$"))


def test_stop_keeps_the_text_and_frees_the_model(visit, site):
    page = visit()
    ask(page, LONG)
    wait_for_text(page)
    page.get_by_role("button", name="停止").press("Enter")  # a click would wait until nothing moves
    stopped = finished(page)
    expect(stopped).to_have_attribute("data-status", "stopped")
    assert len(stopped.locator(".prose, .text").inner_text()) >= 5
    site.wait_until(lambda: site.metric("webchat_engine_running") == 0, "the engine is idle")
    page.get_by_role("button", name="重试").click()
    wait_for_text(page)
    page.get_by_role("button", name="停止").click()
    finished(page)
    assert answers(page).count() == 1


def test_an_answer_that_grew_too_long_goes_on_when_asked_to(visit):
    page = visit()
    ask(page, LONG)
    expect(finished(page).locator(".outcome")).to_have_text("回答较长，到这里为止。")
    page.reload()
    page.get_by_role("button", name="继续").click()
    expect(page.locator(".message[data-role=visitor] .text").last).to_have_text("请继续。")
    expect(answers(page)).to_have_count(2)
    expect(answers(page).first.locator(".outcome")).to_be_visible()
    expect(answers(page).first.get_by_role("button", name="继续")).to_be_hidden()  # it would continue the last one
    assert len(finished(page).locator(".prose").inner_text()) > 0


def test_reload_in_the_middle_goes_on_where_it_was(visit, site):
    page = visit()
    ask(page, LONG)
    before = wait_for_text(page).inner_text()
    page.reload()
    text = page.locator(".message[data-role=assistant] .text, .message[data-role=assistant] .prose")
    assert text.inner_text().startswith(before[:5])
    whole = finished(page)
    expect(whole).to_have_attribute("data-status", "done")
    stored = page.request.get(
        f"{site.url}/api/v1{page.url.removeprefix(site.url).replace('/c/', '/conversations/')}/messages"
    )
    assert stored.json()["messages"][-1]["text"].startswith(before[:5])
    assert page.locator(".message").count() == 2


def test_the_next_turn_remembers_the_first(visit):
    page = visit()
    ask(page, "你好，我叫王小明，请记住我的名字")
    finished(page)
    page.reload()
    ask(page, "我刚才说我叫什么名字？")
    expect(answers(page)).to_have_count(2)
    assert "小明" in finished(page).inner_text()


@pytest.mark.parametrize("width", [360, 1280])
def test_a_lost_connection_is_said_and_moves_nothing(visit, width):
    """A line of its own would push half of the Stop button under the question box."""
    page = visit(viewport={"width": width, "height": 480})
    lost = lose_connections(page)
    page.reload()
    ask(page, "怎么退货？")
    finished(page)
    ask(page, LONG)  # at the lower end of the screen
    wait_for_text(page)
    page.get_by_role("button", name="停止").wait_for()
    lost()
    expect(page.get_by_text("正在恢复连接…")).to_be_visible()
    stop = page.get_by_role("button", name="停止").bounding_box()
    dock = page.locator(".dock").bounding_box()
    assert stop["y"] + stop["height"] <= dock["y"]
    page.locator("#connection").evaluate("line => line.hidden = true")
    assert page.locator(".dock").bounding_box() == dock


def test_two_tabs_show_the_same(visit):
    page = visit()
    ask(page, "讲一个短笑话")
    expect(page).to_have_url(re.compile(r"/c/"))
    other = page.context.new_page()
    other.goto(page.url)
    first, second = finished(page), finished(other)
    assert first.inner_text() == second.inner_text()
    ask(other, "谢谢")
    expect(answers(page)).to_have_count(2)
    expect(page.locator(".message")).to_have_count(4)
    expect(other.locator(".message")).to_have_count(4)


def test_another_visitor_finds_nothing(visit, site):
    page = visit()
    ask(page, "你好")
    finished(page)
    stranger = page.context.browser.new_context().new_page()
    response = stranger.goto(page.url)
    assert response.status == 404
    assert "你好" not in stranger.content()
    public_id = page.url.rpartition("/")[2]
    assert stranger.request.get(f"{site.url}/api/v1/conversations/{public_id}/messages").status == 404
    stranger.context.close()


def test_enter_in_an_input_method_does_not_send(visit):
    page = visit()
    box = page.get_by_label("您的问题")
    box.focus()
    session = page.context.new_cdp_session(page)
    session.send("Input.imeSetComposition", {"text": "ni hao", "selectionStart": 6, "selectionEnd": 6})
    session.send(
        "Input.dispatchKeyEvent",
        {"type": "rawKeyDown", "key": "Process", "code": "Enter", "windowsVirtualKeyCode": 229},
    )
    box.evaluate("""box => box.dispatchEvent(
        new KeyboardEvent("keydown", {key: "Enter", isComposing: true, bubbles: true, cancelable: true}))""")
    box.evaluate("""box => box.dispatchEvent(
        new KeyboardEvent("keydown", {key: "Enter", keyCode: 229, bubbles: true, cancelable: true}))""")
    session.send("Input.insertText", {"text": "你好"})
    expect(box).to_have_value("你好")
    assert page.locator(".message").count() == 0
    page.keyboard.press("Enter")
    expect(page.locator(".message[data-role=visitor] .text")).to_have_text("你好")


def test_what_people_and_models_write_is_text(visit):
    page = visit()
    ask(page, "<img src=x onerror=alert(1)><b>粗体</b> <|im_end|>")
    finished(page)
    expect(page.locator(".message[data-role=visitor] .text")).to_have_text(
        "<img src=x onerror=alert(1)><b>粗体</b> <|im_end|>"
    )
    assert page.locator(".message[data-role=visitor] img").count() == 0


def test_a_question_that_is_too_long_is_refused_and_kept(visit, console):
    page = visit()
    ask(page, "长" * 2001)
    expect(page.locator("#notice")).to_contain_text("2001")
    expect(page.get_by_label("您的问题")).to_have_value("长" * 2001)
    assert "413" in console.pop()  # the browser's own line


def test_earlier_conversations_can_be_opened_again(visit):
    page = visit()
    ask(page, "你们几点上班？")
    finished(page)
    page.get_by_role("link", name="新对话").click()
    expect(page.locator(".message")).to_have_count(0)
    page.locator("#history").get_by_role("link", name="你们几点上班？").click()
    expect(page.locator(".message[data-role=visitor] .text")).to_have_text("你们几点上班？")


def test_without_javascript_the_answer_comes_too(visit):
    page = visit(java_script_enabled=False)
    page.get_by_label("您的问题").fill("写一句欢迎顾客的话")
    page.get_by_role("button", name="发送").click()
    expect(answers(page).locator(".prose")).not_to_be_empty(timeout=DEADLINE)
    expect(answers(page).locator(".badge")).to_have_text("AI 生成")


def test_english_visitors_get_english_pages_and_answers(visit):
    page = visit(locale="en-US")
    page.get_by_label("Your question").fill("What is your name?")
    page.keyboard.press("Enter")
    expect(finished(page).locator(".badge")).to_have_text("Automatic reply")
    page.get_by_role("button", name="中文").click()
    expect(page.get_by_label("您的问题")).to_be_visible()


@BOTH_SIZES
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_state_is_accessible_and_looks_right(visit, shoot, screen, scheme):
    name = f"{'phone' if screen is PHONE else 'desktop'}-{scheme}"
    page = visit(**screen, color_scheme=scheme)
    shoot(page, f"empty-{name}")
    assert not accessibility_problems(page)
    ask(page, "怎么退货？")
    finished(page)
    ask(page, "用 Python 写一个读取 CSV 文件的例子")
    wait_for_text(page, 20)
    shoot(page, f"streaming-{name}")
    assert not accessibility_problems(page)
    finished(page)
    shoot(page, f"chat-{name}")
    assert not accessibility_problems(page)
    ask(page, LONG)
    wait_for_text(page)
    page.get_by_role("button", name="停止").click()
    finished(page)
    shoot(page, f"stopped-{name}")
    assert not accessibility_problems(page)
    widths = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert widths[0] <= widths[1], "the page scrolls sideways"
