"""The real model under many visitors, a crash, and the questions it must not answer from imagination."""

from __future__ import annotations

import json
import shutil
import threading

import httpx2
import pytest
from support.page import Page
from support.server import Server

WEATHER = (
    "今天天气怎么样？",
    "明天会下雨吗",
    "北京现在多少度？",
    "外面冷不冷？",
    "周末上海天气如何",
    "今天出门要带伞吗？",
    "请问后天天气好不好呀",
    "今天天氣怎麼樣",
    "What's the weather like today?",
    "Is it going to rain tomorrow?",
)


def chat(site, message, session_id=None):
    """The events of ``POST /chat``, read as the tutorial's loop reads them."""
    body = {"message": message} | ({"session_id": session_id} if session_id else {})
    with httpx2.stream("POST", f"{site.url}/chat", json=body, timeout=180) as response:
        return [json.loads(block[5:]) for block in "".join(response.iter_text()).split("\n\n") if block]


def said(events):
    return "".join(event["token"] for event in events)


@pytest.mark.parametrize("question", WEATHER)
def test_the_weather_is_not_invented(site, question):
    events = chat(site, question)
    assert events[-1]["source"] == "rule"
    assert "看不到实时天气" in said(events) or "no live weather" in said(events)


@pytest.mark.parametrize("question", ["你是谁？", "你是什么模型", "你是真人吗", "Who are you?"])
def test_it_says_honestly_what_it_is(site, question):
    answer = said(chat(site, question))
    assert "小舟商店" in answer
    assert "model" in answer or "模型" in answer
    assert site.model_name in answer


def test_a_session_remembers_over_a_restart_of_the_worker(site):
    first = chat(site, "你好，我叫王小明，请记住我的名字")
    worker = site.kill_worker()
    site.wait_until(lambda: site.worker() != worker, "there is a new worker")
    site.ready()
    second = chat(site, "我刚才说我叫什么名字？", first[-1]["session_id"])
    assert "小明" in said(second)


def watch(site, visitor, conversation, pages):
    """Keep a page open until its answer is whole; what it then shows."""
    page = Page(visitor.get(f"/c/{conversation}").text)
    socket = site.open_socket(visitor, conversation)
    while page.messages[-1].status in ("queued", "streaming"):
        page.receive(socket.recv())
    socket.close()
    pages[conversation] = page


def test_twenty_visitors_at_once_each_get_their_own_answer(site):
    visitors = [site.visitor() for _ in range(20)]
    asked = {visitor.ask(f"我是第 {n} 位顾客，请用一句话欢迎我"): visitor for n, visitor in enumerate(visitors)}
    pages: dict[str, Page] = {}
    threads = [
        threading.Thread(target=watch, args=(site, visitor, conversation, pages))
        for conversation, visitor in asked.items()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(pages) == len(asked) == 20
    for n, (conversation, visitor) in enumerate(asked.items()):
        question, answer = visitor.said(conversation)
        assert question["text"] == f"我是第 {n} 位顾客，请用一句话欢迎我"
        assert answer["status"] == "done"
        assert answer["text"]
        assert "\ufffd" not in answer["text"]
        assert [message.text.strip() for message in pages[conversation].messages] == [
            message.text.strip() for message in visitor.page(conversation).messages
        ]


def test_a_killed_worker_leaves_the_question_and_what_was_written(real_model, migrated_file, tmp_path):
    shutil.copy(migrated_file, tmp_path / "webchat.db")
    site = Server(tmp_path, real_model, threads=0, max_new_tokens=1000).start().ready()
    try:
        visitor = site.visitor()
        conversation = visitor.ask("请写一篇长文章，介绍大海、沙滩、贝壳和海鸟，越详细越好")
        site.wait_until(lambda: len(visitor.said(conversation)[-1]["text"]) > 10, "some text is stored")
        worker = site.kill_worker()
        site.wait_until(lambda: site.worker() != worker, "there is a new worker")
        site.ready()
        question, answer = visitor.said(conversation)
        assert question["status"] == "done"
        assert answer["status"] == "interrupted"
        assert len(answer["text"]) > 10
        assert visitor.page(conversation).messages[-1].can_retry
        again = visitor.post(f"/c/{conversation}/messages/{answer['id']}/retry")
        assert again.status_code == 303
        visitor.post(f"/c/{conversation}/stop")
        site.wait_until(lambda: visitor.said(conversation)[-1]["status"] == "stopped", "the second try is stopped")
    finally:
        site.close()
