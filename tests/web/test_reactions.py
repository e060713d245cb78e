"""Choosing what was suggested, and voting on answers: with HTMX, with a plain form, and over every transport."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from support.visitor import HTMX, Visitor, let_finish, text_of

from webchat.storage import answer_policy, conversations, faq, faq_hits, feedback, messages
from webchat.storage.answer_policy import AnswerPolicy

RETURN = "怎么退货？"
UNSURE = "退货要怎么办理"
SURE = "怎么才能退货呢"  # another wording of the same


def rows_of(app, conversation):
    """The stored messages of a conversation."""
    with app.extensions["webchat"].database.read() as rows:
        return messages.everything(rows, conversations.by_public_id(rows, conversation).id)


def hits_of(app, message_id):
    with app.extensions["webchat"].database.read() as rows:
        return faq_hits.of_message(rows, message_id)


def vote_of(app, conversation, message_id):
    with app.extensions["webchat"].database.read() as rows:
        owner = conversations.by_public_id(rows, conversation).visitor_id
        return feedback.of_messages(rows, owner, [message_id]).get(message_id)


def choose(visitor, conversation, message_id, entry, **options):
    return visitor.post(f"/c/{conversation}/messages/{message_id}/choose", entry=str(entry), **options)


def vote(visitor, conversation, message_id, given, headers=None, **fields):
    return visitor.post(f"/c/{conversation}/messages/{message_id}/vote", headers=headers, vote=given, **fields)


@pytest.fixture
def asked(site, alice):
    """Alice's unclear question: the conversation, the model's answer, and the entry it suggests."""
    conversation = alice.ask(UNSURE)
    answer = rows_of(site, conversation)[-1]
    assert answer.suggested, "nothing was suggested"
    return conversation, answer.id, answer.suggested[0]["entry"]


@pytest.fixture
def official(site, alice):
    """An official answer to Alice: the conversation and the message."""
    conversation = alice.ask(RETURN)
    return conversation, rows_of(site, conversation)[-1].id


# ---- suggestions ---------------------------------------------------------------------------------------


def test_the_page_offers_what_may_be_meant_over_the_models_answer(alice, asked):
    conversation, answer, entry = asked
    page = alice.page(conversation)
    form = page.root.by_id(f"m-{answer}-suggested")
    assert form.attributes["action"] == f"/c/{conversation}/messages/{answer}/choose"
    assert page.root.by_id(f"m-{answer}-entry-{entry}").text == RETURN
    message = page.root.by_id(f"m-{answer}")
    assert message.children.index(form) < message.children.index(message.by_class("meta")[0])  # it is not the model's


def test_without_javascript_a_click_is_the_next_turn(site, alice, asked):
    conversation, answer, entry = asked
    response = choose(alice, conversation, answer, entry)
    assert (response.status_code, response.headers["Location"]) == (303, f"/c/{conversation}")
    said = rows_of(site, conversation)
    assert [(m.role, m.text, m.source) for m in said[2:]] == [
        ("visitor", RETURN, None),
        ("assistant", "七天内可以**退货**。", "faq"),
    ]
    assert said[3].matched["how"] == "chosen"
    page = alice.page(conversation)
    assert "选自推荐的问题" in page.root.by_id(f"m-{said[2].id}").text


def test_a_click_says_that_the_question_asks_for_the_entry(site, alice, asked):
    conversation, answer, entry = asked
    assert [(hit.entry_id, hit.question, hit.band, hit.chosen) for hit in hits_of(site, answer)] == [
        (entry, UNSURE, "suggest", False)
    ]
    choose(alice, conversation, answer, entry)
    assert [(hit.entry_id, hit.question, hit.chosen) for hit in hits_of(site, answer)] == [(entry, UNSURE, True)]


def test_a_second_click_changes_nothing(site, alice, asked):
    conversation, answer, entry = asked
    for _ in range(2):
        assert choose(alice, conversation, answer, entry, headers=HTMX).status_code == 200
    assert len(rows_of(site, conversation)) == 4


def test_htmx_gets_the_turn_behind_the_answer(alice, asked):
    conversation, answer, entry = asked
    page = alice.page(conversation)
    page.apply(choose(alice, conversation, answer, entry, headers=HTMX).text)
    assert [message.text.strip() for message in page.messages[2:]] == [RETURN, "七天内可以退货。"]


def test_a_click_stops_the_model_whose_answer_nobody_waits_for(new_app, held):
    app = new_app(held.engine())
    parts = app.extensions["webchat"]
    with parts.database.write() as rows:
        entry = faq.create(rows, phrasings=[RETURN], answer="七天内。").id
        answer_policy.save(rows, AnswerPolicy(mode="open"))
    alice = Visitor.of(app)
    parts.engine.wait_until_ready(60)
    held.hold()
    conversation = alice.ask(UNSURE)
    answer = rows_of(app, conversation)[-1]
    assert answer.status == "queued"
    choose(alice, conversation, answer.id, entry)
    held.let_go()
    let_finish(app, conversation)
    stopped = rows_of(app, conversation)[1]
    assert (stopped.status, stopped.finish_reason) == ("stopped", "stopped")
    assert "您选择的问题在下面回答" in alice.page(conversation).root.by_id(f"m-{answer.id}").text


@pytest.mark.parametrize("entry", ["", "abc", "999999", "-1", "9" * 5000])
def test_what_was_not_suggested_cannot_be_chosen(site, alice, asked, entry):
    conversation, answer, _ = asked
    assert choose(alice, conversation, answer, entry).status_code == 404
    assert len(rows_of(site, conversation)) == 2


def test_strangers_and_forged_forms_choose_nothing(site, bob, alice, asked):
    conversation, answer, entry = asked
    assert choose(bob, conversation, answer, entry).status_code == 404
    assert choose(alice, conversation, answer + 1, entry).status_code == 404
    assert choose(alice, conversation, answer, entry, csrf_token="wrong").status_code == 400
    assert len(rows_of(site, conversation)) == 2


@pytest.mark.parametrize("change", ["disabled", "expired", "about something else", "removed"])
def test_an_entry_that_has_changed_meanwhile_is_not_answered_with(new_app, data_dir, change):
    app = new_app()
    database = app.extensions["webchat"].database
    with database.write() as rows:
        entry = faq.create(rows, phrasings=[RETURN], answer="七天内。").id
    alice = Visitor.of(app)
    conversation = alice.ask(UNSURE)
    answer = rows_of(app, conversation)[-1].id
    with database.write() as rows:
        found = faq.get(rows, entry)
        same = {"phrasings": [RETURN], "answer": "七天内。", "group_name": ""}
        match change:
            case "disabled":
                faq.set_status(rows, found, "disabled")
            case "expired":
                faq.update(rows, found, **same, valid_until=datetime.now(UTC) - timedelta(seconds=1))
            case "about something else":
                faq.update(rows, found, **same | {"phrasings": ["怎么换货？"]})
            case "removed":
                faq.remove(rows, found)
    response = choose(alice, conversation, answer, entry)
    assert response.status_code == 409
    assert "商家刚刚更改了这条回答" in text_of(response)
    refused = choose(alice, conversation, answer, entry, headers=HTMX)
    assert refused.status_code == 409
    assert "商家刚刚更改了这条回答" in refused.text
    assert len(rows_of(app, conversation)) == 2


def test_programs_are_told_what_may_be_meant(alice):
    response = alice.http.post("/chat", json={"message": UNSURE})
    last = json.loads(response.text.split("\n\n")[-2].removeprefix("data: "))
    assert last["suggestions"] == [RETURN]
    said = alice.said(last["session_id"])
    assert said[1]["suggestions"] == [RETURN]
    assert "suggestions" not in said[0]


def test_the_last_event_stays_small_however_long_the_suggestions_are(new_app):
    app = new_app()
    with app.extensions["webchat"].database.write() as rows:
        for number in "甲乙丙":
            faq.create(rows, phrasings=[f"退货怎么办理{number}" + "细则" * 80], answer="七天内。")
    response = Visitor.of(app).http.post("/chat", json={"message": "退货怎么办理细则"})
    events = response.text.split("\n\n")[:-1]
    assert all(len(event.encode()) + 2 <= 1000 for event in events)
    assert 1 <= len(json.loads(events[-1].removeprefix("data: "))["suggestions"]) < 3


# ---- votes -----------------------------------------------------------------------------------------------


def test_a_vote_is_kept_with_what_it_is_about(site, alice, official):
    conversation, answer = official
    response = vote(alice, conversation, answer, "down", reason="off_topic", comment="  我问的是<换货>\r\n ")
    assert (response.status_code, response.headers["Location"]) == (303, f"/c/{conversation}#m-{answer}")
    kept = vote_of(site, conversation, answer)
    entry = rows_of(site, conversation)[-1].entry_id
    assert (kept.vote, kept.reason, kept.comment) == ("down", "off_topic", "我问的是<换货>")
    assert (kept.entry_id, kept.question) == (entry, RETURN)


def test_a_vote_can_be_changed_and_taken_back(site, alice, official):
    conversation, answer = official
    vote(alice, conversation, answer, "down", reason="wrong", comment="过时了")
    vote(alice, conversation, answer, "up")
    kept = vote_of(site, conversation, answer)
    assert (kept.vote, kept.reason, kept.comment) == ("up", None, "")
    vote(alice, conversation, answer, "none")
    assert vote_of(site, conversation, answer) is None
    assert vote(alice, conversation, answer, "none").status_code == 303


def test_htmx_gets_the_message_with_its_reasons(alice, official):
    conversation, answer = official
    page = alice.page(conversation)
    assert page.root.by_id(f"m-{answer}-reasons") is None
    page.apply(vote(alice, conversation, answer, "down", headers=HTMX).text)
    assert page.root.by_id(f"m-{answer}-reasons") is not None
    assert page.thread() == alice.page(conversation).thread()


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"vote": "sideways"}, 400),
        ({"vote": "down", "reason": "made up"}, 400),
        ({"vote": "up", "reason": "wrong"}, 400),
        ({"vote": "down", "reason": "other", "comment": "长" * 501}, 413),
        ({"vote": "down", "reason": "other", "comment": "长" * 400_000}, 413),
    ],
)
def test_a_vote_that_makes_no_sense_is_refused(site, alice, official, fields, status):
    conversation, answer = official
    response = alice.post(f"/c/{conversation}/messages/{answer}/vote", **fields)
    assert response.status_code == status
    assert vote_of(site, conversation, answer) is None


def test_a_comment_of_the_longest_length_and_with_odd_characters_is_kept(site, alice, official):
    conversation, answer = official
    vote(alice, conversation, answer, "down", reason="other", comment="\0😀" * 500)
    assert vote_of(site, conversation, answer).comment == "😀" * 500


def test_only_the_owner_votes_and_only_on_answers(site, alice, bob, official):
    conversation, answer = official
    assert vote(bob, conversation, answer, "up").status_code == 404
    assert vote(alice, conversation, answer - 1, "up").status_code == 404  # the question
    assert vote(alice, conversation, 2**40, "up").status_code == 404
    assert vote(alice, conversation, answer, "up", csrf_token="wrong").status_code == 400
    assert vote_of(site, conversation, answer) is None


def test_what_is_still_being_written_has_no_votes(new_app, held):
    app = new_app(held.engine())
    app.extensions["webchat"].engine.wait_until_ready(60)
    held.hold()
    alice = Visitor.of(app)
    conversation = alice.ask("讲一个故事")
    answer = rows_of(app, conversation)[-1].id
    assert alice.page(conversation).root.by_id(f"m-{answer}-votes") is None
    assert vote(alice, conversation, answer, "up").status_code == 409


def test_an_answer_to_another_wording_says_which_question_it_answers(site, alice):
    conversation = alice.ask(SURE)
    answer = rows_of(site, conversation)[-1]
    assert (answer.source, answer.matched["how"]) == ("faq", "matched")
    assert f"匹配的问题：{RETURN}" in alice.page(conversation).root.by_id(f"m-{answer.id}").text


def test_an_exact_answer_says_no_such_thing(alice, official):
    conversation, answer = official
    shown = alice.page(conversation).root.by_id(f"m-{answer}")
    assert not shown.by_class("matched")
    assert alice.page(conversation).root.by_id(f"m-{answer}-escape") is None


def test_not_what_i_asked_offers_the_next_best(new_app):
    app = new_app()
    with app.extensions["webchat"].database.write() as rows:
        faq.create(rows, phrasings=["支持哪些付款方式？"], answer="微信和支付宝。")
        other = faq.create(rows, phrasings=["支持货到付款吗？"], answer="不支持。").id
        for question in ("怎么退货？", "几天发货？", "有实体店吗？"):
            faq.create(rows, phrasings=[question], answer="请看说明。")
    alice = Visitor.of(app)
    conversation = alice.ask("请问你们支持哪些付款方式")
    answer = rows_of(app, conversation)[-1]
    assert answer.source == "faq"
    assert alice.page(conversation).root.by_id(f"m-{answer.id}-suggested") is None
    vote(alice, conversation, answer.id, "down", reason="off_topic")
    assert alice.page(conversation).root.by_id(f"m-{answer.id}-entry-{other}") is not None
    choose(alice, conversation, answer.id, other)
    assert rows_of(app, conversation)[-1].text == "不支持。"


# ---- what other tabs see -------------------------------------------------------------------------------------


def test_every_open_page_shows_suggestions_choices_and_votes(server, open_page):
    alice = server.visitor()
    conversation = alice.ask(UNSURE)
    page = open_page(server, alice, conversation)
    page.wait(lambda page: page.root.by_class("suggested"))
    entry = int(page._page.root.by_class("suggested")[0].by_class("chip")[0].attributes["value"])
    answer = page.messages[1].id
    choose(alice, conversation, answer, entry)
    page.wait(lambda page: len(page.messages) == 4 and page.messages[1].status not in ("queued", "streaming"))
    vote(alice, conversation, page.messages[-1].id, "up")
    page.wait(lambda page: "谢谢反馈" in page.messages[-1].element.text)
    assert page.thread() == alice.page(conversation).thread()
