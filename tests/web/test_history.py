"""A visitor's own conversations: by day, searched, as files, deleted; and nobody else's."""

import json
from datetime import timedelta

import pytest
from sqlalchemy import select, update
from support.visitor import HTMX, let_finish, text_of

from webchat.storage.tables import Conversation, Message, utc_now

FAQ = "怎么退货？"


@pytest.fixture
def database(site):
    return site.extensions["webchat"].database


@pytest.fixture
def ask(site):
    """Ask, and wait for the end of the answer."""

    def asked(visitor, text, where="new"):
        conversation = visitor.ask(text, where)
        let_finish(site, conversation)
        return conversation

    return asked


def spoken_in(database, conversation, days):
    """Move a conversation so many days into the past."""
    with database.write() as rows:
        moment = utc_now() - timedelta(days=days)
        rows.execute(update(Conversation).where(Conversation.public_id == conversation).values(active_at=moment))


def test_who_has_asked_nothing_is_led_to_asking(alice):
    page = text_of(alice.get("/history"))
    assert "您的对话会列在这里" in page
    assert "搜索" not in page


def test_conversations_stand_under_their_days(database, alice, ask):
    for days, text in ((0, "今天的问题"), (1, "昨天的问题"), (5, "五天前的问题"), (40, "很久以前的问题")):
        spoken_in(database, ask(alice, text), days)
    page = text_of(alice.get("/history"))
    order = ["今天", "今天的问题", "昨天", "昨天的问题", "前 7 天", "五天前的问题", "更早", "很久以前的问题"]
    places = [page.index(f"{text}") for text in order]
    assert places == sorted(places)
    assert "前 7 天" in text_of(alice.get("/"))


def test_what_was_said_is_found_in_questions_and_answers_whatever_its_signs(alice, ask):
    ask(alice, FAQ)
    ask(alice, "打折 100% 吗_真的")
    found = text_of(alice.get("/history?q=退货", headers=HTMX))
    assert "怎么退货" in found
    assert "打折" not in found
    assert "打折" in text_of(alice.get("/history?q=100%25"))
    assert "没有找到" in text_of(alice.get("/history?q=100%25%25"))
    assert "没有找到" in text_of(alice.get("/history?q=%00x"))


def test_another_visitors_words_are_not_found(alice, bob, ask):
    ask(alice, "爱丽丝的秘密")
    ask(bob, FAQ)
    assert "爱丽丝" not in text_of(bob.get("/history?q=秘密")).replace("秘密", "")
    assert "秘密" not in bob.get("/history/export.json").text


def test_more_conversations_than_a_page_has_can_be_turned_to(database, alice, ask):
    ask(alice, FAQ)
    with database.write() as rows:
        visitor = rows.scalars(select(Conversation.visitor_id).order_by(Conversation.id.desc())).first()
        rows.add_all(
            Conversation(visitor_id=visitor, channel="page", language="zh", title=f"第 {number} 个")
            for number in range(60)
        )
    first = alice.get("/history").text
    assert first.count('class="history-item"') == 50
    assert "page=2" in first
    assert alice.get("/history?page=2").text.count('class="history-item"') == 11
    assert "没有找到" in text_of(alice.get("/history?page=99999999999999999999"))


def test_an_export_keeps_every_label(alice, ask):
    conversation = ask(alice, "# 标题\n怎么退货？")
    ask(alice, FAQ, conversation)
    exported = json.loads(alice.get(f"/c/{conversation}/export.json").text)
    (said,) = exported["conversations"]
    assert said["id"] == conversation
    assert [(each["role"], each["label"]) for each in said["messages"]][2:] == [
        ("visitor", None),
        ("assistant", "官方答案"),
    ]
    response = alice.get(f"/c/{conversation}/export.md")
    assert response.headers["Content-Disposition"].startswith("attachment")
    assert "**官方答案 · " in response.text
    assert "\n> # 标题\n> 怎么退货？\n" in response.text
    everything = json.loads(alice.get("/history/export.json").text)
    assert everything == exported
    assert alice.get(f"/c/{conversation}/export.exe").status_code == 404


def test_nobody_elses_conversation_is_exported_or_deleted(alice, bob, ask):
    conversation = ask(alice, FAQ)
    assert bob.get(f"/c/{conversation}/export.md").status_code == 404
    assert bob.post(f"/c/{conversation}/delete").status_code == 404
    assert alice.get(f"/c/{conversation}").status_code == 200


def test_what_is_deleted_is_gone(database, alice, ask):
    conversation = ask(alice, FAQ)
    other = ask(alice, "打折吗")
    response = alice.post(f"/c/{conversation}/delete")
    assert response.headers["Location"] == "/history"
    listed = text_of(alice.get("/history"))
    assert "已删除“怎么退货？”" in listed
    assert alice.get(f"/c/{conversation}").status_code == 404
    assert alice.get(f"/c/{other}").status_code == 200
    with database.read() as rows:
        gone = select(Message).join(Conversation).where(Conversation.public_id == conversation)
        assert rows.scalars(gone).all() == []
