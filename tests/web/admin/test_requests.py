"""Requests for a person, as operators see them: who waits, what was said before, and that it is done."""

import threading

from admin_cast import actions, text_of

from webchat.storage import messages, tickets


def left(stranger, what):
    """Somebody asks, and then leaves word for the shop."""
    conversation = stranger.post("/c/new/messages", text="怎么退货？", client_id="question-1").location
    sent = {"what": what, "contact": "小周 138 0000 0000", "consent": "yes", "client_id": "request-1"}
    assert stranger.post(f"{conversation}/person", **sent).status_code == 303


def number_of(database, what):
    with database.read() as rows:
        return next(ticket.id for ticket, _ in tickets.listed(rows, "open", limit=50)[0] if ticket.what == what)


def test_nobody_waits_at_first_and_a_stranger_sees_nothing(lin, stranger):
    assert "Nobody waits" in text_of(lin.get("/admin/tickets"))
    assert stranger.get("/admin/tickets").status_code == 303


def test_who_waits_is_seen_with_what_was_said_and_can_be_done_with(lin, stranger, database):
    left(stranger, "请回电话")
    page = text_of(lin.get("/admin/tickets"))
    assert "请回电话" in page
    assert "小周 138 0000 0000" in page
    assert "怎么退货？" in page, "what was said before"
    assert "Requests 1 waiting" in page
    number = number_of(database, "请回电话")
    page = lin.follow(lin.post(f"/admin/tickets/{number}/close"))
    assert f"Request {number} is done" in page
    assert "请回电话" not in page
    assert "done by lin" in text_of(lin.get("/admin/tickets?status=closed"))
    assert "waits again" in lin.follow(lin.post(f"/admin/tickets/{number}/reopen"))
    assert "请回电话" in text_of(lin.get("/admin/tickets"))
    assert ("lin", "ticket.close") in actions(database)


def test_an_answer_of_the_operator_stands_in_the_visitors_chat_as_a_persons(app, lin, stranger, database):
    left(stranger, "请回电话")
    number = number_of(database, "请回电话")
    with database.read() as rows:
        public_id = tickets.with_conversation(rows, number)[1].public_id
    woken = threading.Event()
    with app.extensions["webchat"].answerer.feeds.watch(public_id, woken):
        lin.post(f"/admin/tickets/{number}/reply", text="这就办。")
        assert woken.is_set(), "open pages show it at once"
    assert "sees it in the chat" in lin.follow(
        lin.post(f"/admin/tickets/{number}/reply", text="您好，<b>马上</b>回电。")
    )
    with database.read() as rows:
        _, conversation = tickets.with_conversation(rows, number)
        said = messages.everything(rows, conversation.id)[-1]
    assert (said.role, said.source, said.status) == ("operator", "human", "done")
    page = stranger.get(f"/c/{conversation.public_id}")
    assert "Staff" in text_of(page)
    assert "<b>马上" not in page.text
    assert "您好，<b>马上</b>回电。" in text_of(lin.get("/admin/tickets"))
    assert "type a question" in lin.follow(lin.post(f"/admin/tickets/{number}/reply", text="  "))
    assert "not there any more" in lin.follow(lin.post("/admin/tickets/99999/reply", text="x"))
    assert ("lin", "ticket.reply") in actions(database)


def test_what_is_gone_or_unknown_is_said(lin):
    assert "not there any more" in lin.follow(lin.post("/admin/tickets/99999/close"))
    assert lin.post("/admin/tickets/1/destroy").status_code == 404


def test_a_page_of_many(lin, stranger, database):
    left(stranger, "第一件")
    with database.write() as rows:
        ((_, conversation),), _total = tickets.listed(rows, "open", limit=1)
        for number in range(25):
            tickets.add(rows, conversation.id, f"more-{number}", what=f"第 {number} 件事", contact="电话")
    assert "26 requests" in text_of(lin.get("/admin/tickets"))
    assert "第 24 件事" in text_of(lin.get("/admin/tickets?page=2"))
