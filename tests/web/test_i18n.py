"""Languages: Chinese first, English too; and times in the shop's zone."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from babel.messages.pofile import read_po
from support.visitor import HTMX, Visitor, text_of

from webchat.config import CHECKOUT
from webchat.web.i18n import day_name

CATALOGUES = sorted((CHECKOUT / "webchat" / "translations").glob("*/LC_MESSAGES/*.po"))


def language_of(response):
    return re.search(r'<html lang="([^"]+)"', response.text)[1]


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("", "zh-CN"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh-CN"),
        ("zh-TW", "zh-CN"),
        ("en", "en"),
        ("en-US,en;q=0.9", "en"),
        ("en-GB;q=0.5,zh;q=0.9", "zh-CN"),
        ("fr,en;q=0.5", "en"),
        ("fr", "zh-CN"),
        ("*", "zh-CN"),
        (";;;q=,,", "zh-CN"),
        ("x" * 5000, "zh-CN"),
    ],
)
def test_the_browser_says_which_language(site, accepted, language):
    assert language_of(Visitor.of(site, headers={"Accept-Language": accepted}).get("/")) == language


def test_the_visitor_may_choose_another_and_keeps_it(site):
    alice = Visitor.of(site, headers={"Accept-Language": "zh-CN"})
    alice.post("/language", language="en")
    assert language_of(alice.get("/")) == "en"
    conversation = alice.ask("怎么退货？")
    assert "Official answer" in text_of(alice.get(f"/c/{conversation}"))
    alice.post("/language", language="zh_CN")
    assert "官方答案" in text_of(alice.get(f"/c/{conversation}"))


@pytest.mark.parametrize("language", ["", "fr", "zh", "../../etc", "\0", "x" * 10_000])
def test_a_language_that_we_do_not_speak_changes_nothing(alice, language):
    assert alice.post("/language", language=language).status_code == 303
    assert language_of(alice.get("/")) == "zh-CN"


def test_errors_speak_the_visitors_language(site):
    alice = Visitor.of(site, headers={"Accept-Language": "en"})
    assert "There is nothing at this address." in text_of(alice.get("/nowhere"))
    assert "Please type a question first." in text_of(alice.send(""))
    assert "Please type a question first." in text_of(alice.send("", headers=HTMX))
    assert alice.http.post("/chat", json={"message": ""}).json()["detail"] == "Please type a question first."


def test_an_english_page_holds_no_chinese_of_ours(site):
    alice = Visitor.of(site, headers={"Accept-Language": "en"})
    conversation = alice.ask("How do I return something?")
    ours = {"小舟商店", "中文", "怎么退货？", "说一万个字"}
    for response in (alice.get("/"), alice.get(f"/c/{conversation}"), alice.get("/nowhere"), alice.send("")):
        text = text_of(response)
        for theirs in ours:
            text = text.replace(theirs, "")
        assert not re.findall(r"[\u4e00-\u9fff]+", text)


def test_a_chinese_page_holds_no_english_sentence(site):
    alice = Visitor.of(site)
    conversation = alice.ask("怎么退货？")
    for response in (alice.get("/"), alice.get(f"/c/{conversation}"), alice.get("/nowhere"), alice.send("")):
        text = text_of(response).replace("How do I return something?", "")
        assert not re.findall(r"[A-Za-z]+ [a-z]+ [a-z]+", text)


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.parts[-3])
def test_the_catalogue_is_whole(path):
    with path.open("rb") as file:
        catalogue = read_po(file)
    messages = [message for message in catalogue if message.id]
    assert len(messages) > 100
    missing = [
        message.id for message in messages if not message.string or "" in list(message.string)[: len(message.string)]
    ]
    assert [message for message in missing if message] == []
    assert [message.id for message in messages if message.fuzzy] == []
    for message in messages:
        singular = message.id if isinstance(message.id, str) else message.id[-1]
        translations = [message.string] if isinstance(message.string, str) else message.string
        for translation in translations:
            assert set(re.findall(r"%\(\w+\)[sd]", singular)) == set(re.findall(r"%\(\w+\)[sd]", translation)), singular


def test_times_are_the_shops_own(new_app):
    app = new_app(timezone="Asia/Shanghai")
    late = datetime(2026, 3, 1, 17, 30, tzinfo=UTC)  # already the 2nd in Shanghai
    with app.test_request_context(headers={"Accept-Language": "en"}):
        assert day_name(late, late) == "01:30"
        assert day_name(late - timedelta(hours=2), late) == "Yesterday"
        assert day_name(late - timedelta(days=2), late) == "2026-02-28"
        assert day_name(late + timedelta(minutes=1), late) == "01:31"  # a clock that was set back
