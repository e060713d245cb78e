"""``WS /ws`` on the real server: what pages are sent, and who may watch."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager

import pytest
import websocket
from support.live_page import content_of
from support.page import Page
from support.visitor import HTMX, let_finish

from webchat.answering import hands
from webchat.storage import conversations, messages, operators
from webchat.web.socket import _Watcher


@contextmanager
def watching(app, visitor, public_id):
    """What a socket's thread does with a conversation, done here step by step."""
    parts = app.extensions["webchat"]
    with parts.database.read() as rows:
        conversation = conversations.by_public_id(rows, public_id)
    with (
        parts.answerer.feeds.watch(public_id, threading.Event()) as feed,
        app.test_request_context(headers={"Cookie": visitor.cookie}),
    ):
        yield _Watcher(conversation, feed)


def ask_as_htmx_does(page, visitor, text, conversation):
    response = visitor.send(text, conversation, headers=HTMX)
    assert response.status_code == 200, response.text
    page.apply(response.text)


# ---- what a page is sent -------------------------------------------------------------------------


def test_the_first_frame_is_the_thread_as_it_stands(server):
    alice = server.visitor()
    conversation = alice.ask("怎么退货？")
    with server.opened_socket(alice, conversation) as connection:
        first = connection.recv()
    page = Page('<main><ol id="thread"><li id="m-0" class="message">something old</li></ol></main>')
    page.receive(first)
    assert page.thread() == alice.page(conversation).thread()


def test_a_conversation_that_is_deleted_in_another_tab_is_gone_from_the_page(server, open_page):
    alice = server.visitor()
    conversation = alice.ask("怎么退货？")
    page = open_page(server, alice, conversation)
    page.wait(lambda page: len(page.messages) == 2)
    alice.post(f"/c/{conversation}/delete")
    assert page.wait_for_close() == 1000
    page.wait(lambda page: not page.messages and "已被删除" in page.notice)


def test_twenty_conversations_at_once_each_get_their_own_answers_whole(server, open_page):
    start = threading.Barrier(20)

    def visit(number):
        visitor = server.visitor()
        conversation = visitor.ask("怎么退货？")
        page = open_page(server, visitor, conversation)
        start.wait(60)
        for turn in range(2):
            ask_as_htmx_does(page, visitor, f"请讲第 {number} 号故事的第 {turn} 段", conversation)
            page.wait(lambda page, count=4 + 2 * turn: len(page.messages) == count)
            page.wait_for_status("done")
        return visitor, conversation, page

    with ThreadPoolExecutor(20) as visitors:
        visits = list(visitors.map(visit, range(20)))
    for number, (visitor, conversation, page) in enumerate(visits):
        said = visitor.said(conversation)
        assert [message["text"] for message in said if message["role"] == "visitor"] == [
            "怎么退货？",
            *(f"请讲第 {number} 号故事的第 {turn} 段" for turn in range(2)),
        ]
        assert [message["status"] for message in said] == ["done"] * 6
        assert page.thread() == visitor.page(conversation).thread()
        stored = {message["id"]: message["text"] for message in said}
        for answer, texts in page.growing.items():
            for text in texts:  # HTML knows no carriage return
                assert stored[answer].replace("\r", "\n").startswith(text.replace("\r", "\n"))


def test_an_answer_that_ended_at_its_limit_says_so_at_once_and_in_the_first_frame(server, open_page):
    alice = server.visitor()
    conversation = alice.ask("随便说点什么吧，英语也行")
    pages = [open_page(server, alice, conversation)]
    pages[0].wait_for_status("done")
    pages.append(open_page(server, alice, conversation))
    for page in pages:
        assert "回答较长，到这里为止。" in page.wait_for_status("done").element.text
        assert page.thread() == alice.page(conversation).thread()


def test_a_second_tab_sees_the_same(server, open_page):
    alice = server.visitor()
    conversation = alice.ask("怎么退货？")
    first, second = (open_page(server, alice, conversation) for _ in range(2))
    ask_as_htmx_does(first, alice, "随便说点什么吧，英语也行", conversation)
    for page in (first, second):
        page.wait(lambda page: len(page.messages) == 4)
        page.wait_for_status("done")
    assert first.thread() == second.thread() == alice.page(conversation).thread()


def test_an_official_answer_reaches_every_tab(server, open_page):
    alice = server.visitor()
    conversation = alice.ask("随便说点什么吧，英语也行")
    pages = [open_page(server, alice, conversation) for _ in range(3)]
    alice.ask("怎么退货？", conversation)
    for page in pages:
        page.wait(lambda page: len(page.messages) == 4)
        page.wait(lambda page: page.messages[1].status == "done")
        assert page.thread() == alice.page(conversation).thread()


def test_joining_in_the_middle_shows_everything_from_the_beginning(slow, open_page):
    alice = slow.visitor()
    conversation = alice.ask("请写一篇很长的文章")
    early = open_page(slow, alice, conversation)
    early.wait_for_text()
    late = open_page(slow, alice, conversation)
    seen = late.wait_for_text()
    late.wait(lambda page: len(page.messages[1].text) > len(seen) + 20)
    alice.post(f"/c/{conversation}/stop")
    for page in (early, late):
        page.wait_for_status("stopped")
    assert early.thread() == late.thread() == alice.page(conversation).thread()
    text = alice.said(conversation)[1]["text"].replace("\r", "\n")
    for page in (early, late):
        assert all(text.startswith(part.replace("\r", "\n")) for parts in page.growing.values() for part in parts)


def test_a_stopped_answer_is_made_anew_on_every_tab(slow, open_page):
    alice = slow.visitor()
    conversation = alice.ask("请写一篇很长的文章")
    pages = [open_page(slow, alice, conversation) for _ in range(2)]
    for page in pages:
        page.wait_for_text()
    alice.post(f"/c/{conversation}/stop")
    for page in pages:
        assert page.wait_for_status("stopped").can_retry
    answer = pages[0].messages[1].id
    response = alice.post(f"/c/{conversation}/messages/{answer}/retry", headers=HTMX)
    pages[0].apply(response.text)
    for page in pages:
        page.wait_for_status("queued", "streaming")
        page.wait_for_text()
    alice.post(f"/c/{conversation}/stop")
    for page in pages:
        page.wait_for_status("stopped")
    assert pages[0].thread() == pages[1].thread() == alice.page(conversation).thread()


def test_who_waits_is_told_how_many_go_first(slow, open_page):
    visitors = [slow.visitor() for _ in range(10)]  # eight answers are written at once
    conversations = [visitor.ask("请写一篇很长的文章") for visitor in visitors]
    last = open_page(slow, visitors[9], conversations[9])
    last.wait(lambda page: "前面还有" in page.messages[1].element.text)
    for visitor, conversation in zip(visitors, conversations, strict=True):
        visitor.post(f"/c/{conversation}/stop")
    last.wait_for_status("stopped")


def test_a_turn_that_was_faster_than_its_own_fragment_shows_once_and_finished(server, open_page):
    """The answer to the POST and the socket race each other to the page; either may be first."""
    alice = server.visitor()
    conversation = alice.ask("怎么退货？")
    for number in range(3):
        page = open_page(server, alice, conversation)
        fragment = alice.send(f"随便说点什么吧，英语也行 {number}", conversation, headers=HTMX).text
        if number:
            page.wait(lambda page, count=4 + 2 * number: len(page.messages) == count)
        if number == 2:
            page.wait_for_status("done")
        page.apply(fragment)
        page.wait(lambda page, count=4 + 2 * number: len(page.messages) == count)
        page.wait_for_status("done")
        assert page.thread() == alice.page(conversation).thread()


@pytest.mark.parametrize("first", ["fragment", "frames"])
@pytest.mark.parametrize("look", ["early and late", "late"])
def test_fragment_and_frames_come_to_the_same_in_either_order(site, alice, first, look):
    """Also when the socket's thread was slow and the answer is complete before it looks."""
    public_id = alice.ask("怎么退货？")
    page = alice.page(public_id)
    with watching(site, alice, public_id) as watcher:
        page.apply("".join(watcher.whole_thread()))
        fragment = alice.send("随便说点什么吧，英语也行", public_id, headers=HTMX).text
        frames = watcher.catch_up() if look == "early and late" else []
        let_finish(site, public_id)
        frames += watcher.catch_up()
    for content in [fragment, *frames] if first == "fragment" else [*frames, fragment]:
        page.apply(content)
    assert page.thread() == alice.page(public_id).thread()
    assert page.messages[-1].status == "done"


def test_questions_announced_in_the_wrong_order_are_shown_in_the_right_one(site, alice):
    """Two tabs ask at once: what is stored first may be announced last, or even be seen last."""
    public_id = alice.ask("怎么退货？")
    page = alice.page(public_id)
    with watching(site, alice, public_id) as watcher:
        watcher.whole_thread()
        alice.ask("你是谁？", public_id)
        alice.ask("今天天气怎么样？", public_id)
        _, _, *earlier, question, answer = (message["id"] for message in alice.said(public_id))
        appended = "".join(watcher._changed_messages((question, answer)))
        watcher._shown.difference_update(earlier)  # as if they had not been visible yet
        whole = "".join(watcher._changed_messages(tuple(earlier)))
    page.apply(appended)
    assert page.thread() == alice.page(public_id).thread()
    assert "#thread" not in appended
    assert "#thread" in whole


def test_the_words_of_an_operator_on_another_process_are_found(site, alice):
    public_id = alice.ask("怎么退货？")
    page = alice.page(public_id)
    database = site.extensions["webchat"].database
    with watching(site, alice, public_id) as watcher:
        page.apply("".join(watcher.whole_thread()))
        assert not watcher.look_elsewhere()
        assert not watcher.is_awaited
        with database.write() as rows:  # as another process does: nobody is told
            conversation = conversations.by_public_id(rows, public_id)
            hands.take(rows, conversation, operators.add(rows, "lin", "unused"))
        page.apply("".join(watcher.look_elsewhere()))
        assert watcher.is_awaited
        assert watcher.patience < 5
        with database.write() as rows:
            messages.say_as_person(rows, conversation.id, "您好，我是小林。")
        page.apply("".join(watcher.look_elsewhere()))
        assert not watcher.look_elsewhere()
        with database.write() as rows:
            hands.give_back(rows, conversation, "hands: back")
        page.apply("".join(watcher.look_elsewhere()))
        assert not watcher.is_awaited
        assert watcher.patience > 5
    assert page.thread() == alice.page(public_id).thread()
    assert "您好，我是小林。" in page.messages[-2].text


def test_that_staff_are_typing_is_shown_and_taken_away(site, alice):
    public_id = alice.ask("怎么退货？")
    feeds = site.extensions["webchat"].answerer.feeds
    with watching(site, alice, public_id) as watcher:
        assert "hidden" in watcher.whole_thread()[-1]
        assert not watcher.catch_up()
        feeds.note_typing(public_id, "operator")
        (shown,) = watcher.catch_up()
        assert "工作人员正在输入…" in shown
        assert "hidden" not in shown
        assert not watcher.catch_up(), "once"
        assert 0 < watcher.patience < 10
        assert "hidden" not in watcher.whole_thread()[-1], "also for a page that connects meanwhile"
        feeds.note_typing(public_id, "operator", typing=False)
        (gone,) = watcher.catch_up()
        assert "hidden" in gone


def test_silence_is_filled_with_frames_that_change_nothing(slow, open_page):
    alice = slow.visitor()
    page = open_page(slow, alice, alice.ask("怎么退货？"))
    before = page.thread()
    page.wait(lambda _: page.frames.count("{}") >= 2)
    assert page.thread() == before


def test_frames_are_json_and_aim_at_what_they_change(server, open_page):
    alice = server.visitor()
    conversation = alice.ask("怎么退货？")
    page = open_page(server, alice, conversation)
    ask_as_htmx_does(page, alice, "随便说点什么吧，英语也行", conversation)
    page.wait_for_status("done")
    for frame in page.frames:
        assert set(json.loads(frame)) <= {"content"}
        assert content_of(frame) == "" or content_of(frame).startswith("<hx-partial hx-target=")


# ---- who may watch -------------------------------------------------------------------------------


def refusal(server, visitor, conversation, **options):
    with pytest.raises(websocket.WebSocketBadStatusException) as refused:
        server.open_socket(visitor, conversation, **options)
    return refused.value.status_code


def test_only_the_visitor_may_watch(server):
    alice, bob = server.visitor(), server.visitor()
    conversation = alice.ask("怎么退货？")
    bob.ask("怎么退货？")
    assert refusal(server, bob, conversation) == 404
    assert refusal(server, alice, conversation, cookie=None) == 404
    assert refusal(server, alice, conversation, cookie="webchat=forged") == 404
    assert refusal(server, alice, "unknown") == 404
    assert refusal(server, alice, "") == 404
    assert refusal(server, alice, "%00%ff") == 404


def test_a_programs_conversation_has_no_socket(server):
    bob = server.visitor()
    answer = bob.http.post("/chat", json={"message": "怎么退货？"}).text
    assert refusal(server, bob, answer.rpartition('"session_id": "')[2].partition('"')[0]) == 404


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://127.0.0.1", "http://127.0.0.1:1", "null", "http://["]
)
def test_other_sites_may_not_watch_with_our_visitors_cookie(server, origin):
    alice = server.visitor()
    assert refusal(server, alice, alice.ask("怎么退货？"), origin=origin) == 403


def test_a_client_that_is_no_browser_sends_no_origin(server):
    alice = server.visitor()
    with server.opened_socket(alice, alice.ask("怎么退货？"), suppress_origin=True) as connection:
        assert connection.recv()


def test_a_plain_request_is_no_socket(server):
    alice = server.visitor()
    conversation = alice.ask("怎么退货？")
    assert alice.get(f"/ws?conversation={conversation}").status_code == 400
    assert alice.http.post(f"/ws?conversation={conversation}").status_code in (400, 405)


@pytest.mark.parametrize(
    "changes",
    [
        {"Sec-WebSocket-Key": None},
        {"Sec-WebSocket-Version": None},
        {"Sec-WebSocket-Version": "12"},
        {"Upgrade": "h2c"},
        {"Connection": "keep-alive"},
    ],
    ids=str,
)
def test_half_a_handshake_is_refused(server, changes):
    alice = server.visitor()
    headers = {
        "Host": f"127.0.0.1:{server.port}",
        "Cookie": alice.cookie,
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
    }
    conversation = alice.ask("怎么退货？")
    headers = {name: value for name, value in (headers | {"Cookie": alice.cookie} | changes).items() if value}
    lines = [f"GET /ws?conversation={conversation} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    with closing(server.connect()) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 400 ")


def test_compression_is_not_taken_up(server):
    alice = server.visitor()
    offer = ["Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"]
    with server.opened_socket(alice, alice.ask("怎么退货？"), header=offer) as connection:
        assert "sec-websocket-extensions" not in connection.headers
        assert "thread" in connection.recv()


def test_the_socket_that_was_quiet_for_longest_gives_way(new_server):
    server = new_server(wsgi="support.restless_wsgi:app", max_sockets=2).start()
    server.wait_until(lambda: server.status("/healthz") == 200, "it answers")
    alice, bob = server.visitor(), server.visitor()
    conversation, other = alice.ask("你是谁？"), bob.ask("你是谁？")
    with ExitStack() as sockets:
        first = settled_socket(sockets, server, alice, conversation)
        settled_socket(sockets, server, bob, other)
        settled_socket(sockets, server, bob, other)
        code, _ = closing_of(first)
        assert code == 4000
        with server.opened_socket(alice, conversation) as again:
            assert "你是谁" in again.recv(), "what it missed is there when it comes back"


def settled_socket(sockets, server, visitor, conversation):
    """A socket that has its place and its thread: before that, it is not yet the quietest of all."""
    connection = sockets.enter_context(server.opened_socket(visitor, conversation))
    assert "thread" in connection.recv()
    return connection


def closing_of(connection):
    """The code and the reason with which the other side closes."""
    while True:
        kind, data = connection.recv_data(control_frame=True)
        if kind == websocket.ABNF.OPCODE_CLOSE:
            return int.from_bytes(data[:2], "big"), data[2:]


def test_one_socket_too_many_is_asked_to_come_back(new_server):
    server = new_server(max_sockets=3).start()
    server.wait_until(lambda: server.status("/healthz") == 200, "it answers")
    alice = server.visitor()
    conversation = alice.ask("你是谁？")
    with ExitStack() as sockets:
        for _ in range(3):
            sockets.enter_context(server.opened_socket(alice, conversation)).recv()
        with pytest.raises(websocket.WebSocketBadStatusException) as refused:
            server.open_socket(alice, conversation)
        assert refused.value.status_code == 503
        assert int(refused.value.resp_headers["retry-after"]) > 0
        assert alice.get("/").status_code == 200  # pages still come
    server.wait_until(lambda: server.metric("webchat_sockets_open") == 0, "they are gone")
    with server.opened_socket(alice, conversation) as connection:
        assert connection.recv()
