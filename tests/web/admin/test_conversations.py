"""A person in the conversation: one operator takes it, the assistant is silent until it is handed back."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from admin_cast import HTMX, actions, text_of
from sqlalchemy import update

from webchat.answering import hands
from webchat.storage import conversations, messages, operators, tickets
from webchat.storage.tables import Conversation, utc_now

FAQ = "怎么退货？"


@pytest.fixture
def asked(stranger, entry, database):
    """A visitor has asked; the conversation."""
    address = stranger.post("/c/new/messages", text=FAQ, client_id="question-1").location
    with database.read() as rows:
        return conversations.by_public_id(rows, address.rpartition("/")[2])


def said(database, conversation):
    with database.read() as rows:
        return [(each.role, each.reason, each.text) for each in messages.everything(rows, conversation.id)]


def ask(browser, conversation, text, client_id, **options):
    return browser.post(f"/c/{conversation.public_id}/messages", text=text, client_id=client_id, **options)


def at(conversation, action=""):
    return f"/admin/conversations/{conversation.id}{action}"


def test_from_taking_to_handing_back(lin, stranger, asked, database):
    assert "The assistant answers" in text_of(lin.get(at(asked)))
    assert "is with you" in lin.follow(lin.post(at(asked, "/take")))
    page = stranger.get(f"/c/{asked.public_id}")
    assert "A member of staff has taken over" in text_of(page)
    assert "Let the assistant answer again" in text_of(page)

    before = len(said(database, asked))
    assert ask(stranger, asked, FAQ, "question-2").status_code == 303
    assert said(database, asked)[before:] == [("visitor", hands.TO_PERSON, FAQ)], "not even the FAQ answers"
    assert ask(stranger, asked, FAQ, "question-2").status_code == 303
    assert len(said(database, asked)) == before + 1, "sent twice it is there once"
    turn = ask(stranger, asked, "在吗？", "question-3", headers=HTMX).text
    assert "在吗？" in turn
    assert 'data-role="assistant"' not in turn

    assert "在吗？" in text_of(lin.get(at(asked, "/live")))
    assert "您好，我是小林。" in lin.follow(lin.post(at(asked, "/say"), text="您好，我是小林。"))
    page = text_of(stranger.get(f"/c/{asked.public_id}"))
    assert "您好，我是小林。" in page
    assert "Staff" in page

    assert "The assistant answers" in lin.follow(lin.post(at(asked, "/hand-back")))
    page = text_of(stranger.get(f"/c/{asked.public_id}"))
    assert "has handed back" in page
    assert "Let the assistant answer again" not in page, "it does"
    assert "Did our staff help you?" in page
    ask(stranger, asked, FAQ, "question-4")
    assert said(database, asked)[-1][0] == "assistant"
    assert {("lin", "conversation.take"), ("lin", "conversation.hand_back")} <= set(actions(database))


def test_the_visitor_says_how_it_was_and_operators_read_it(lin, stranger, asked, database):
    lin.post(at(asked, "/take"))
    lin.post(at(asked, "/hand-back"))
    with database.read() as rows:
        ended = messages.thread(rows, asked.id)[-1]
    where = f"/c/{asked.public_id}/messages/{ended.id}/vote"
    assert stranger.post(where, vote="down", reason="other", comment="等了很久").status_code == 303
    assert "Not helpful · 等了很久" in text_of(lin.get(at(asked)))
    stranger.post(where, vote="up")
    read = text_of(lin.get(at(asked)))
    assert "The visitor: Helpful" in read
    assert "等了很久" not in read
    assert "Not what I asked" not in text_of(stranger.get(f"/c/{asked.public_id}"))


def test_a_request_is_not_answered_past_who_has_taken_its_conversation(lin, wei, stranger, asked, database):
    wish = {"what": "杯子碎了", "contact": "138", "consent": "1", "client_id": "request-1"}
    stranger.post(f"/c/{asked.public_id}/person", **wish)
    wei.post(at(asked, "/take"))
    with database.read() as rows:
        ((ticket, _),) = tickets.listed(rows, "open", limit=5)[0]
    refused = lin.follow(lin.post(f"/admin/tickets/{ticket.id}/reply", text="我来处理"))
    assert "Somebody else has taken this conversation. Not sent: 我来处理" in refused
    assert "我来处理" not in [text for *_, text in said(database, asked)]
    wei.post(f"/admin/tickets/{ticket.id}/reply", text="我在处理")
    assert "我在处理" in [text for *_, text in said(database, asked)]


def test_the_visitor_may_ask_for_the_assistant_again(lin, stranger, asked, database):
    lin.post(at(asked, "/take"))
    page = stranger.follow(stranger.post(f"/c/{asked.public_id}/assistant"))
    assert "as you asked" in page
    stranger.post(f"/c/{asked.public_id}/assistant")
    assert [reason for _, reason, _ in said(database, asked)].count("hands: asked back") == 1, (
        "clicked twice, said once"
    )
    response = lin.post(at(asked, "/say"), text="等一下")
    assert response.status_code == 409
    assert "等一下" in text_of(response), "nothing that was typed is lost"


def test_of_two_operators_one_takes_it(app, database, lin, wei, asked):
    with database.read() as rows:
        people = operators.all_operators(rows)
    answerer, start = app.extensions["webchat"].answerer, threading.Barrier(2)

    def take(operator):
        start.wait()
        try:
            answerer.take(asked, operator)
        except hands.TakenByAnother:
            return None
        return operator.name

    with ThreadPoolExecutor(2) as pool:
        took = list(pool.map(take, people))
    assert took.count(None) == 1
    assert [reason for _, reason, _ in said(database, asked)].count("hands: taken") == 1
    first, second = (lin, wei) if "lin" in took else (wei, lin)
    assert "Somebody else has taken" in second.follow(second.post(at(asked, "/take")))
    assert second.post(at(asked, "/say"), text="我来").status_code == 409
    assert first.post(at(asked, "/say"), text="我来").status_code == 303
    assert first.follow(first.post(at(asked, "/take"))).count("A member of staff has taken over") == 1


def test_an_operator_who_is_gone_leaves_it_to_the_assistant(lin, wei, stranger, asked, database):
    lin.post(at(asked, "/take"))
    _away(database, asked, hands.PATIENCE - timedelta(seconds=30))
    ask(stranger, asked, FAQ, "question-2")
    assert said(database, asked)[-1][0] == "visitor", "not gone yet"
    lin.get(at(asked, "/live"))
    with database.read() as rows:
        seen = conversations.held_by(rows, asked.id)[1]
    assert utc_now() - seen < timedelta(seconds=30), "an open page shows that they are there"
    _away(database, asked, hands.PATIENCE + timedelta(seconds=1))
    ask(stranger, asked, FAQ, "question-3")
    assert [role for role, _, _ in said(database, asked)][-3:] == ["assistant", "visitor", "assistant"]
    assert "has been away for a while" in text_of(stranger.get(f"/c/{asked.public_id}"))


def _away(database, conversation, since):
    with database.write() as rows:
        rows.execute(
            update(Conversation).where(Conversation.id == conversation.id).values(operator_seen_at=utc_now() - since)
        )


def test_another_takes_what_an_operator_has_left(lin, wei, asked, database):
    lin.post(at(asked, "/take"))
    _away(database, asked, hands.PATIENCE + timedelta(seconds=1))
    assert "is with you" in wei.follow(wei.post(at(asked, "/take")))
    assert [reason for _, reason, _ in said(database, asked)][-2:] == ["hands: gone", "hands: taken"]


def test_what_would_make_the_assistant_speak_is_refused(lin, stranger, asked, database):
    with database.read() as rows:
        question, answer = messages.everything(rows, asked.id)
    lin.post(at(asked, "/take"))
    before = said(database, asked)
    for path in (f"{answer.id}/again", f"{answer.id}/retry", f"{answer.id}/choose", f"{question.id}/edit"):
        sent = stranger.post(f"/c/{asked.public_id}/messages/{path}", text="改", client_id="another-1", entry="1")
        assert sent.status_code == 409, path
    assert said(database, asked) == before


def test_programs_are_answered_by_the_person_too(app, lin, database, entry):
    client = app.test_client()
    session = client.post("/chat", json={"message": FAQ}).text.rpartition('"session_id": "')[2].partition('"')[0]
    with database.read() as rows:
        conversation = conversations.by_public_id(rows, session)
    lin.post(at(conversation, "/take"))
    stream = client.post("/chat", json={"message": FAQ, "session_id": session}).text
    assert stream.count("data:") == 1
    assert '"source": "human"' in stream
    lin.post(at(conversation, "/say"), text="我是真人。")
    told = client.get(f"/api/v1/conversations/{session}/messages").json["messages"]
    assert (told[-1]["role"], told[-1]["source"], told[-1]["text"]) == ("operator", "human", "我是真人。")


def test_strangers_and_bad_input(lin, stranger, asked):
    assert stranger.get(at(asked)).status_code == 303
    assert stranger.post(at(asked, "/take")).status_code in (401, 303, 403)
    assert lin.get("/admin/conversations/99999").status_code == 404
    lin.post(at(asked, "/take"))
    assert lin.post(at(asked, "/say"), text=" ").status_code == 400
    assert "<b>x" not in lin.post(at(asked, "/say"), text="<b>x").text
    assert "<b>x" not in lin.get(at(asked)).text


# ---- what goes on now ----------------------------------------------------------------------------


def test_the_list_shows_who_talks_and_who_waits_for_an_answer(lin, wei, stranger, asked, database):
    listed = text_of(lin.get("/admin/conversations"))
    assert FAQ in listed
    assert "Official answer" in listed
    assert "No conversation is with a person" in text_of(lin.get("/admin/conversations?who=person"))

    wei.post(at(asked, "/take"))
    row = text_of(lin.get("/admin/conversations/now?who=person"))
    assert "With wei" in row
    assert "Waits for an answer" not in row, "nothing was asked yet"
    ask(stranger, asked, "在吗？", "question-2")
    page = lin.get("/admin/conversations?who=person")
    assert "Waits for an answer" in text_of(page)
    assert "Conversations 1 waiting" in " ".join(text_of(page).split())
    wei.post(at(asked, "/say"), text="在的。")
    assert "Waits for an answer" not in text_of(lin.get("/admin/conversations"))
    _away(database, asked, hands.PATIENCE)
    assert "With wei, who is away" in text_of(lin.get("/admin/conversations"))


def test_the_list_is_read_page_by_page(lin, database):
    with database.write() as rows:
        for number in range(31):
            conversations.open_conversation(rows, visitor_id="x", channel="page", language="zh", title=f"Q{number}")
    first, second = (lin.get(f"/admin/conversations?page={number}") for number in (1, 2))
    assert first.text.count('class="entry"') == 30
    assert second.text.count('class="entry"') == 1
    assert 'rel="next"' in first.text
    assert 'rel="next"' not in second.text
    assert 'rel="prev"' in second.text
    for odd in ("0", "-1", "x", "9" * 30):
        assert lin.get(f"/admin/conversations?page={odd}").status_code == 200


def test_an_empty_site_says_so(lin):
    assert "Nobody has asked anything yet" in text_of(lin.get("/admin/conversations"))


def test_each_sees_that_the_other_is_there_and_typing(app, lin, wei, stranger, asked):
    feeds, changed = app.extensions["webchat"].answerer.feeds, threading.Event()
    assert "not on the page" in text_of(lin.get(at(asked)))
    with feeds.watch(asked.public_id, changed) as feed:
        assert "The visitor is here" in text_of(lin.get("/admin/conversations"))
        assert stranger.post(f"/c/{asked.public_id}/typing").status_code == 204
        for path in (at(asked), "/admin/conversations"):
            assert "The visitor is typing" in text_of(lin.get(path))
        lin.post(at(asked, "/take"))
        ask(stranger, asked, "在吗？", "question-2")
        assert "The visitor is typing" not in text_of(lin.get(at(asked))), "sent"

        assert wei.post(at(asked, "/typing")).status_code == 204
        assert not feed.typing("operator"), "it is not hers"
        changed.clear()
        assert lin.post(at(asked, "/typing")).status_code == 204
        assert feed.typing("operator")
        assert changed.is_set(), "the page is told at once"
        lin.post(at(asked, "/say"), text="在的。")
        assert not feed.typing("operator")


def test_the_title_of_an_open_conversation_counts_what_waits(lin, wei, stranger, asked):
    lin.post(at(asked, "/take"))
    assert "<title>怎么退货" in lin.get(at(asked, "/live")).text
    for number in (2, 3):
        ask(stranger, asked, "在吗？", f"question-{number}")
    assert "<title>(2) 怎么退货" in lin.get(at(asked, "/live")).text
    assert "<title>怎么退货" in wei.get(at(asked, "/live")).text, "they wait for lin"
    assert "<title>" not in lin.get(at(asked)).text.partition("<body")[2]


def test_strangers_neither_list_nor_type(stranger, wei, asked):
    for path in ("/admin/conversations", "/admin/conversations/now"):
        assert stranger.get(path).status_code == 303
    assert stranger.post(at(asked, "/typing")).status_code == 303
    assert wei.post(f"/c/{asked.public_id}/typing").status_code == 404
