"""The visitor's page: asking with htmx and without, what is stored once, and who may see it."""

import secrets
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from sqlalchemy import update
from support.page import Page
from support.visitor import HTMX, Visitor, let_finish, text_of

from webchat.storage import conversations
from webchat.storage.tables import Message, utc_now
from webchat.web.fragments import view_of

FAQ, ANSWER = "怎么退货？", "七天内可以退货。"


def turns(said):
    return [(message["role"], message["text"]) for message in said]


def shown(page):
    return [(message.role, message.text.strip()) for message in page.messages]


def middle_of_an_answer(app, visitor, held, where="new"):
    """Ask, and hold the model when the first text is there; the conversation's id and the answer's run."""
    conversation = visitor.ask("请写一篇很长的文章", where)
    (run,) = app.extensions["webchat"].answerer.feeds.runs(conversation).values()
    changed = threading.Event()
    with app.extensions["webchat"].answerer.feeds.watch(conversation, changed):
        while not run.text:
            assert changed.wait(60)
            changed.clear()
        held.hold()
    return conversation, run


@pytest.fixture
def slow_app(new_app, held):
    return new_app(held.engine(), max_new_tokens=4000, context_tokens=8192)


# ---- asking ------------------------------------------------------------------------------------


def test_the_first_page_offers_questions_and_holds_nothing_yet(alice):
    response = alice.get("/")
    page = Page(response.text)
    assert response.status_code == 200
    assert page.messages == []
    assert page.root.by_id("live") is None  # no conversation, so no socket
    assert FAQ in [chip.attributes["value"] for chip in page.root.by_class("chip")]
    assert page.root.by_id("composer").attributes["action"] == "/c/new/messages"


def test_without_javascript_the_form_leads_to_the_page_with_the_answer(alice):
    response = alice.send(FAQ)
    assert response.status_code == 303
    page = Page(alice.get(response.headers["Location"]).text)
    assert shown(page) == [("visitor", FAQ), ("assistant", ANSWER)]
    assert page.root.by_id("composer").attributes["action"].startswith("/c/")
    assert page.root.by_id("composer").attributes["action"] != "/c/new/messages"


def test_without_javascript_the_next_question_follows(alice):
    conversation = alice.ask(FAQ)
    assert alice.ask("你是谁？", conversation) == conversation
    page = alice.page(conversation)
    assert [role for role, _ in shown(page)] == ["visitor", "assistant", "visitor", "assistant"]


def test_htmx_gets_the_opened_chat_in_place_of_the_empty_one(alice):
    page = Page(alice.get("/").text)
    response = alice.send(FAQ, headers=HTMX)
    assert response.status_code == 200
    page.apply(response.text)
    conversation = response.headers["HX-Push-Url"].removeprefix("/c/")
    assert shown(page) == [("visitor", FAQ), ("assistant", ANSWER)]
    assert page.thread() == alice.page(conversation).thread()
    assert page.root.by_id("composer").attributes["hx-post"] == f"/c/{conversation}/messages"
    assert page.root.by_id("live").attributes["hx-ws:connect"] == f"/ws?conversation={conversation}"
    assert [link.text.strip() for link in page.root.by_class("history-subject")] == [FAQ]


def test_htmx_gets_the_next_turn_for_the_end_of_the_thread(alice):
    conversation = alice.ask(FAQ)
    page = alice.page(conversation)
    response = alice.send("你是谁？", conversation, headers=HTMX)
    assert response.status_code == 200
    page.apply(response.text)
    assert page.thread() == alice.page(conversation).thread()
    page.apply(response.text)  # arrives once more, by the socket
    assert page.thread() == alice.page(conversation).thread()


def test_a_turn_for_a_page_that_lacks_the_one_before_waits_for_the_socket(alice):
    conversation = alice.ask(FAQ)
    behind = alice.page(conversation)
    alice.ask("你是谁？", conversation)
    before = behind.thread()
    behind.apply(alice.send(FAQ, conversation, headers=HTMX).text)
    assert behind.thread() == before


def test_an_answer_of_the_model_is_shown_as_it_was_stored(site, alice):
    conversation = alice.ask("随便说点什么吧，英语也行")
    let_finish(site, conversation)
    question, answer = alice.said(conversation)
    assert (question["text"], answer["status"], answer["source"]) == ("随便说点什么吧，英语也行", "done", "model")
    assert alice.page(conversation).messages[1].status == "done"


def test_every_answer_says_where_it_comes_from(site, alice):
    conversation = alice.ask(FAQ)
    alice.ask("今天天气怎么样", conversation)
    alice.ask("随便说点什么吧，英语也行", conversation)
    let_finish(site, conversation)
    badges = alice.page(conversation).root.by_class("badge")
    assert [badge.text for badge in badges] == ["官方答案", "自动回复", "AI 生成"]


def test_what_a_visitor_types_is_text_everywhere(alice):
    hostile = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&amp;</textarea></title>今天天气怎么样"
    conversation = alice.ask(hostile)
    page = alice.get(f"/c/{conversation}")
    fragment = alice.send(hostile, conversation, headers=HTMX)
    refused = alice.send(hostile + "x" * 2000)
    for response in (page, fragment, refused):
        assert "<img" not in response.text.replace('<img src="/static', "")
        assert "alert(1)</script>" not in response.text
    assert Page(page.text).messages[0].text == hostile
    assert Page(refused.text).draft == hostile + "x" * 2000


def test_a_visitors_own_conversations_are_listed_newest_first(alice, bob):
    alice.ask("怎么退货？")
    second = alice.ask("你是谁？")
    bob.ask("今天天气怎么样")
    page = alice.page(second)
    assert [link.text for link in page.root.by_class("history-subject")] == ["你是谁？", "怎么退货？"]
    assert [link.text.strip() for link in Page(bob.get("/").text).root.by_class("history-subject")] == [
        "今天天气怎么样"
    ]


# ---- answers at their limit -----------------------------------------------------------------------


def go_on_button(message):
    """The button under an answer that asks for the rest of it; None when it has none."""
    (form,) = message.element.by_class("go-on") or [None]
    return form and next(element for element in form.walk() if element.tag == "button")


def test_an_answer_that_ended_at_its_limit_says_so_and_offers_to_go_on(site, alice):
    conversation = alice.ask("随便说点什么吧，英语也行")  # the model of these tests never ends by itself
    let_finish(site, conversation)
    answer = alice.page(conversation).messages[1]
    assert answer.status == "done"
    assert [outcome.text for outcome in answer.element.by_class("outcome")] == ["回答较长，到这里为止。"]
    assert go_on_button(answer).text == "继续"
    assert not answer.can_retry
    conversation = alice.ask(FAQ)
    assert alice.page(conversation).messages[1].element.by_class("outcome") == []
    assert go_on_button(alice.page(conversation).messages[1]) is None


@pytest.mark.parametrize("headers", [{}, HTMX], ids=["a plain form", "htmx"])
def test_asked_to_go_on_the_model_gets_an_ordinary_question_once(site, alice, headers):
    conversation = alice.ask("随便说点什么吧，英语也行")
    let_finish(site, conversation)
    page = alice.page(conversation)
    form = page.messages[1].element.by_class("go-on")[0]
    fields = {
        element.attributes["name"]: element.attributes["value"]
        for element in form.walk()
        if element.tag in ("input", "button")
    }
    for _ in range(2):
        response = alice.post(form.attributes["action"], headers=headers, **fields)
        assert response.status_code == (200 if headers else 303)
        page.apply(response.text if headers else "")
        let_finish(site, conversation)
    said = alice.said(conversation)
    assert [(message["role"], message["status"]) for message in said] == [
        ("visitor", "done"),
        ("assistant", "done"),
    ] * 2
    assert said[2]["text"] in ("请继续。", "Please continue.")


@pytest.mark.parametrize("page", ["zh-CN", "en"])
@pytest.mark.parametrize(("answer", "asking"), [("大海", "请继续。"), ("the sea", "Please continue.")])
def test_the_rest_is_asked_for_in_the_language_of_the_answer(site, alice, page, answer, asking):
    message = Message(id=1, role="assistant", text=answer, status="done", finish_reason="length", created_at=utc_now())
    with site.test_request_context(headers={"Accept-Language": page, "Cookie": alice.cookie}):
        assert view_of(message).go_on == asking


# ---- once --------------------------------------------------------------------------------------


def test_the_same_question_sent_twice_is_stored_once(alice):
    first = alice.send(FAQ, client_id="same-question")
    again = alice.send(FAQ, client_id="same-question")
    assert again.headers["Location"] == first.headers["Location"]
    conversation = first.headers["Location"].rpartition("/")[2]
    for _ in range(2):
        assert alice.send("你是谁？", conversation, client_id="another-one").status_code == 303
    assert len(alice.said(conversation)) == 4


def test_the_same_question_sent_twice_by_htmx_shows_once(alice):
    page = Page(alice.get("/").text)
    page.apply(alice.send(FAQ, client_id="same-question", headers=HTMX).text)
    page.apply(alice.send(FAQ, client_id="same-question", headers=HTMX).text)
    conversation = page.root.by_id("composer").attributes["hx-post"].split("/")[2]
    for _ in range(2):
        page.apply(alice.send("你是谁？", conversation, client_id="another-one", headers=HTMX).text)
    assert len(page.messages) == 4
    assert page.thread() == alice.page(conversation).thread()


@pytest.mark.parametrize("text", [FAQ, "随便说点什么吧，英语也行"])
def test_the_same_question_sent_by_many_clicks_at_once_opens_one_conversation(site, alice, text):
    alice.csrf_token()  # the page is open; its visitor has never asked anything
    with ThreadPoolExecutor(8) as clicks:
        responses = list(clicks.map(lambda _: alice.send(text, client_id="many-clicks"), range(8)))
    assert {response.status_code for response in responses} == {303}
    (location,) = {response.headers["Location"] for response in responses}
    conversation = location.rpartition("/")[2]
    let_finish(site, conversation)
    assert [message["role"] for message in alice.said(conversation)] == ["visitor", "assistant"]
    assert len(Page(alice.get("/").text).root.by_class("history-subject")) == 1


def test_the_same_question_sent_by_many_clicks_at_once_is_one_turn(site, alice):
    conversation = alice.ask(FAQ)
    with ThreadPoolExecutor(8) as clicks:
        responses = list(clicks.map(lambda _: alice.send("说点什么", conversation, client_id="many-clicks"), range(8)))
    assert {response.status_code for response in responses} == {303}
    let_finish(site, conversation)
    assert len(alice.said(conversation)) == 4


def test_a_client_id_means_nothing_between_visitors(alice, bob):
    mine = alice.send(FAQ, client_id="same-question").headers["Location"]
    assert bob.send(FAQ, client_id="same-question").headers["Location"] != mine
    assert bob.get(mine).status_code == 404


# ---- privacy -----------------------------------------------------------------------------------


def routes_of(conversation):
    return {
        "page": lambda visitor: visitor.get(f"/c/{conversation}"),
        "ask": lambda visitor: visitor.send("你好呀", conversation),
        "ask by htmx": lambda visitor: visitor.send("你好呀", conversation, headers=HTMX),
        "stop": lambda visitor: visitor.post(f"/c/{conversation}/stop"),
        "retry": lambda visitor: visitor.post(f"/c/{conversation}/messages/1/retry"),
        "messages": lambda visitor: visitor.get(f"/api/v1/conversations/{conversation}/messages"),
        "chat": lambda visitor: visitor.http.post("/chat", json={"message": "你好呀", "session_id": conversation}),
    }


@pytest.mark.parametrize("route", routes_of(""))
def test_a_strangers_conversation_does_not_exist(alice, bob, route):
    conversation = alice.ask(FAQ)
    unknown = secrets.token_urlsafe(18)
    theirs, nobodys = routes_of(conversation)[route](bob), routes_of(unknown)[route](bob)
    assert theirs.status_code == nobodys.status_code == 404
    said = [text_of(response).replace(response.headers["X-Request-Id"], "") for response in (theirs, nobodys)]
    assert said[0] == said[1]
    assert len(alice.said(conversation)) == 2


@pytest.mark.parametrize("route", ["page", "ask", "stop", "retry"])
def test_a_conversation_opened_by_a_program_has_no_page(alice, bob, route):
    answer = bob.http.post("/chat", json={"message": FAQ})
    conversation = answer.text.rpartition('"session_id": "')[2].partition('"')[0]
    assert bob.get(f"/api/v1/conversations/{conversation}/messages").status_code == 200
    for visitor in (alice, bob):
        assert routes_of(conversation)[route](visitor).status_code == 404


@pytest.mark.parametrize("path", ["/c/%00", "/c/%ff", "/c/%F0%9F%98%80", "/c/..%2f..", "/c/" + "x" * 3000, "/c/new"])
def test_what_can_be_no_conversation_is_none(site, path):
    assert site.test_client().get(path).status_code == 404


# ---- while the model writes ---------------------------------------------------------------------


def test_a_page_opened_in_the_middle_shows_the_text_so_far_and_looks_again(slow_app, held):
    alice = Visitor.of(slow_app)
    conversation, run = middle_of_an_answer(slow_app, alice, held)
    response = alice.get(f"/c/{conversation}")
    answer = Page(response.text).messages[1]
    assert answer.element.attributes["aria-busy"] == "true"
    assert answer.text
    assert run.text.startswith(answer.text)
    assert '<noscript><meta http-equiv="refresh"' in response.text
    assert Page(response.text).root.by_class("stop")


def test_stop_ends_the_answer_and_keeps_its_text(slow_app, held):
    alice = Visitor.of(slow_app)
    conversation, run = middle_of_an_answer(slow_app, alice, held)
    response = alice.post(f"/c/{conversation}/stop")
    assert (response.status_code, response.headers["Location"]) == (303, f"/c/{conversation}")
    held.let_go()
    let_finish(slow_app, conversation)
    assert run.outcome.finish_reason == "stopped"
    answer = alice.page(conversation).messages[1]
    assert (answer.status, answer.can_retry) == ("stopped", True)
    assert alice.said(conversation)[1]["text"] == run.text
    assert 'http-equiv="refresh"' not in alice.get(f"/c/{conversation}").text


def test_stop_by_htmx_says_so_in_place_of_the_button(slow_app, held):
    alice = Visitor.of(slow_app)
    conversation, _ = middle_of_an_answer(slow_app, alice, held)
    page = alice.page(conversation)
    response = alice.post(f"/c/{conversation}/stop", headers=HTMX)
    assert response.status_code == 200
    page.apply(response.text)
    (stopping,) = page.root.by_class("stopping")
    assert stopping.text in ("正在停止…", "Stopping…")
    assert page.messages[-1].status in ("queued", "streaming")  # the socket brings the outcome


def test_stop_with_nothing_to_stop_is_no_error(alice):
    conversation = alice.ask(FAQ)
    assert alice.post(f"/c/{conversation}/stop").status_code == 303
    assert alice.post(f"/c/{conversation}/stop", headers=HTMX).status_code == 200
    assert alice.page(conversation).messages[1].status == "done"


def test_a_stopped_answer_can_be_made_anew(slow_app, held):
    alice = Visitor.of(slow_app)
    conversation, _ = middle_of_an_answer(slow_app, alice, held)
    alice.post(f"/c/{conversation}/stop")
    held.let_go()
    let_finish(slow_app, conversation)
    answer = alice.said(conversation)[1]["id"]
    held.hold()
    assert alice.post(f"/c/{conversation}/messages/{answer}/retry").status_code == 303
    assert alice.page(conversation).messages[1].element.attributes["aria-busy"] == "true"
    assert [message["id"] for message in alice.said(conversation)][1] == answer
    # Twice at once makes it once.
    assert alice.post(f"/c/{conversation}/messages/{answer}/retry").status_code == 409
    alice.post(f"/c/{conversation}/stop")


@pytest.mark.parametrize("number", [0, 1, 2**31, 10**30])
def test_what_is_no_broken_answer_cannot_be_made_anew(alice, number):
    conversation = alice.ask(FAQ)
    for headers in ({}, HTMX):
        response = alice.post(f"/c/{conversation}/messages/{number}/retry", headers=headers)
        assert response.status_code == 409
        assert "不能" in text_of(response)
    question, answer = alice.said(conversation)
    for message in (question, answer):
        assert alice.post(f"/c/{conversation}/messages/{message['id']}/retry").status_code == 409


def test_while_the_model_writes_the_next_question_for_it_is_refused_and_kept(slow_app, held):
    alice = Visitor.of(slow_app)
    conversation, _ = middle_of_an_answer(slow_app, alice, held)
    response = alice.send("下一个问题是什么", conversation)
    page = Page(response.text)
    assert response.status_code == 409
    assert "还在写" in page.notice
    assert page.draft == "下一个问题是什么"
    fragment = alice.send("下一个问题是什么", conversation, headers=HTMX)
    assert fragment.status_code == 409
    page.apply(fragment.text)
    assert "还在写" in page.notice
    assert alice.send("今天天气怎么样", conversation).status_code == 303  # needs no model
    assert [message["text"] for message in alice.said(conversation) if message["role"] == "visitor"] == [
        "请写一篇很长的文章",
        "今天天气怎么样",
    ]


def test_the_last_question_is_edited_with_htmx_and_without(site, alice):
    conversation = alice.ask(FAQ)
    question = alice.said(conversation)[0]["id"]
    response = alice.post(f"/c/{conversation}/messages/{question}/edit", text="今天天气怎么样", client_id="edit-of-1")
    assert response.status_code == 303
    page = alice.page(conversation)
    standing = [message for message in page.messages if "data-replaced" not in message.element.attributes]
    assert standing[0].text.strip() == "今天天气怎么样"
    assert [message.text.strip() for message in page.messages][:2] == [FAQ, ANSWER]
    newest = alice.said(conversation)[2]["id"]
    fragment = alice.post(f"/c/{conversation}/messages/{newest}/edit", text=FAQ, client_id="edit-of-2", headers=HTMX)
    page.apply(fragment.text)
    assert page.messages[-1].text.strip() == ANSWER
    refused = alice.post(f"/c/{conversation}/messages/{question}/edit", text=FAQ, client_id="edit-of-3", headers=HTMX)
    assert refused.status_code == 409
    assert "不能再改" in refused.text


def test_another_answer_is_asked_for_and_the_first_stays_readable(site, alice):
    conversation = alice.ask("随便说点什么吧")
    let_finish(site, conversation)
    answer = alice.said(conversation)[1]["id"]
    page = alice.page(conversation)
    page.apply(alice.post(f"/c/{conversation}/messages/{answer}/again", headers=HTMX).text)
    let_finish(site, conversation)
    assert [message.role for message in page.messages] == ["visitor", "assistant", "assistant"]
    assert "data-replaced" in page.messages[1].element.attributes
    assert alice.post(f"/c/{conversation}/messages/{answer}/again").status_code == 409


def test_days_are_told_apart_as_soon_as_there_are_two(site, alice):
    conversation = alice.ask(FAQ)
    assert 'class="day"' not in alice.get(f"/c/{conversation}").text
    with site.extensions["webchat"].database.write() as rows:
        own = conversations.by_public_id(rows, conversation)
        rows.execute(
            update(Message)
            .where(Message.conversation_id == own.id)
            .values(created_at=datetime(2026, 3, 5, 9, tzinfo=UTC))
        )
    page = alice.page(conversation)
    assert [day.text for day in page.root.by_class("day")] == ["2026年3月5日星期四"]
    page.apply(alice.send(FAQ, conversation, headers=HTMX).text)
    first, second = page.root.by_class("day")
    assert second.text != first.text
    assert len(alice.page(conversation).root.by_class("day")) == 2


def test_who_waits_is_told_how_many_go_first(new_app, held):
    app = new_app(held.engine(max_running=1), max_new_tokens=4000, context_tokens=8192)
    alice, bob, carol = Visitor.of(app), Visitor.of(app), Visitor.of(app)
    middle_of_an_answer(app, alice, held)
    waiting = []
    for visitor in (bob, carol):
        conversation = visitor.ask("请写一篇很长的文章")
        waiting.append((visitor, conversation))
    held.let_go()  # for the step in which the queue is announced
    visitor, conversation = waiting[1]
    feeds = app.extensions["webchat"].answerer.feeds
    changed = threading.Event()
    with feeds.watch(conversation, changed) as feed:
        (run,) = feed.runs().values()
        while run.queued is None:
            assert changed.wait(60)
            changed.clear()
    held.hold()
    assert "前面还有 1 人" in text_of(visitor.get(f"/c/{conversation}"))


# ---- other pages' business -----------------------------------------------------------------------


def test_a_database_row_is_never_another_visitors(site, alice, bob):
    """The id in an address is looked up together with its visitor: two are never mixed up by their numbers."""
    mine, theirs = alice.ask(FAQ), bob.ask(FAQ)
    with site.extensions["webchat"].database.read() as rows:
        assert conversations.by_public_id(rows, mine).visitor_id != conversations.by_public_id(rows, theirs).visitor_id
    answer = bob.said(theirs)[1]["id"]
    assert alice.post(f"/c/{mine}/messages/{answer}/retry").status_code == 409
