"""The inbox, on both databases: what comes into it, what a page shows of it, and what leaves it."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import delete, select
from support.said import REFUSED, chose, not_what_was_asked, said

from webchat.storage import faq, feedback, inbox, messages
from webchat.storage.database import Conflict
from webchat.storage.tables import Conversation, InboxGroup, InboxQuestion, utc_now


@pytest.fixture
def entry(database):
    with database.write() as session:
        return faq.create(session, phrasings=["怎么退货", "退货"], answer="七天内。")


def news_of(database):
    with database.read() as session:
        return inbox.news(session)


def put(database, *groups):
    """Everything that is new, in these groups of questions."""
    with database.write() as session:
        known, news = inbox.seen(session), inbox.news(session)
        assert inbox.begin_placing(session, news, known)
        for questions in groups:
            group = None
            for question in questions:
                found = next(each for each in news.questions if each.question == question)
                group = inbox.place(session, found, question, group)
                news.questions.remove(found)


def listed(database, status="open", **options):
    with database.read() as session:
        return inbox.listed(session, status, **options)


def test_what_no_entry_has_settled_is_new_and_the_rest_is_not(database, entry):
    said(database, "能开发票吗")
    said(database, "退货要钱吗", suggested=(entry.id,))
    said(database, "几点关门", "请问店员。", **REFUSED)
    said(database, "停下", status="stopped")
    said(database, "怎么退货", "七天内。", source="faq", entry=entry.id)
    said(database, "你好", "您好！", source="rule", reason="rule: greeting")
    said(database, "坏了", "", status="failed")
    assert [(new.question, new.outcome) for new in news_of(database).questions] == [
        ("能开发票吗", "model"),
        ("退货要钱吗", "suggested"),
        ("几点关门", "refused"),
        ("停下", "model"),
    ]


def test_an_answer_that_is_still_written_holds_up_what_came_after_it(database):
    said(database, "一")
    running = said(database, "二", status="streaming", owner="me", lease_until=utc_now()).id
    said(database, "三")
    assert [new.question for new in news_of(database).questions] == ["一"]
    with database.write() as session:
        messages.finish(session, running, "me", status="done", finish_reason="stop", stats=None, text="好")
    assert [new.question for new in news_of(database).questions] == ["一", "二", "三"]


def test_a_vote_against_an_official_answer_comes_in_when_it_is_given(database, entry):
    answer = said(database, "退货要多久到账", "七天内。", source="faq", entry=entry.id)
    put(database)
    assert not news_of(database).questions
    not_what_was_asked(database, answer)
    (new,) = news_of(database).questions
    assert (new.message_id, new.outcome) == (answer.id, "voted_down")
    put(database, ["退货要多久到账"])
    assert not news_of(database).questions


def test_what_was_placed_is_not_new_again_and_only_one_process_places_it(database):
    said(database, "能开发票吗")
    with database.read() as session:
        known, news = inbox.seen(session), inbox.news(session)

    def place(_process):
        try:
            with database.write() as session:
                if not inbox.begin_placing(session, news, known):
                    return 0
                inbox.place(session, news.questions[0], "能开发票吗", None)
                return 1
        except Conflict:
            return 0

    with ThreadPoolExecutor(4) as processes:
        assert sum(processes.map(place, range(4))) == 1
    assert not news_of(database).questions
    assert listed(database)[1] == 1


def test_a_page_shows_what_visitors_did_with_the_answers(database, entry):
    for visitor in "abc":
        answer = said(database, "退货要钱吗", visitor=visitor, suggested=(entry.id,))
    chose(database, answer, entry.id)
    with database.write() as session:
        feedback.give(session, answer, "c", "up")
    said(database, "退货收费吗", "要的。")
    wrong = said(database, "退货费", "七天内。", source="faq", entry=entry.id)
    not_what_was_asked(database, wrong)
    said(database, "能开发票吗")
    put(database, ["退货要钱吗"] * 3 + ["退货收费吗", "退货费"], ["能开发票吗"])
    (first, second), total = listed(database)
    assert (total, first.asked, first.visitors, second.asked) == (2, 5, 5, 1)
    assert first.outcomes == {"suggested": 3, "model": 1, "voted_down": 1}
    assert [(wording.text, wording.times) for wording in first.wordings] == [
        ("退货要钱吗", 3),
        ("退货收费吗", 1),
        ("退货费", 1),
    ]
    assert [tuple(met) for met in first.chosen] == [(entry.id, "怎么退货", 1)]
    assert [tuple(met) for met in first.suggested] == [(entry.id, "怎么退货", 3)]
    assert [tuple(met) for met in first.denied] == [(entry.id, "怎么退货", 1)]
    assert first.votes == {"up": 1, "down": 1}
    assert first.answer == "要的。"
    assert not second.chosen
    assert not second.denied


def test_a_negative_that_was_taken_is_not_offered_again(database, entry):
    answer = said(database, "退货费", "七天内。", source="faq", entry=entry.id)
    not_what_was_asked(database, answer)
    put(database, ["退货费"])
    ((group,), _) = listed(database)
    with database.write() as session:
        assert inbox.denied(session, group.group.id, entry.id) == ["退货费"]
        faq.add_negative(session, faq.get(session, entry.id), "退货费")
    assert not listed(database)[0][0].denied
    with database.read() as session:
        assert inbox.denied(session, group.group.id, entry.id) == []


def test_groups_are_found_by_words_of_any_of_their_questions(database):
    for question in ("能开发票吗", "发票抬头能改吗", "几点关门", "100%棉吗"):
        said(database, question)
    put(database, ["能开发票吗", "发票抬头能改吗"], ["几点关门"], ["100%棉吗"])
    assert [each.group.question for each in listed(database, text="抬头 改")[0]] == ["能开发票吗"]
    assert [each.group.question for each in listed(database, text="%")[0]] == ["100%棉吗"]
    assert listed(database, text="关门 发票")[1] == 0
    assert [each.group.question for each in listed(database, limit=1, offset=1)[0]] == ["100%棉吗"]
    assert listed(database, "dismissed") == ([], 0)


def test_a_deleted_conversation_takes_its_questions_along_and_an_empty_group_its_draft(database):
    answer = said(database, "能开发票吗")
    said(database, "几点关门")
    put(database, ["能开发票吗"], ["几点关门"])
    with database.write() as session:
        draft = faq.create(session, phrasings=["能开发票吗"], answer="能。", status="draft", origin="learned")
        session.scalars(select(InboxGroup).where(InboxGroup.question == "能开发票吗")).one().entry_id = draft.id
    with database.write() as session:
        session.execute(delete(Conversation).where(Conversation.id == answer.conversation_id))
    assert [each.group.question for each in listed(database)[0]] == ["几点关门"]
    with database.read() as session:
        assert inbox.open_groups(session) == 1
    with database.write() as session:
        assert [orphan.id for orphan in inbox.tidy(session)] == [draft.id]
    with database.read() as session:
        assert session.scalars(select(InboxGroup.question)).all() == ["几点关门"]


def test_only_so_many_questions_are_kept(database, monkeypatch):
    monkeypatch.setattr(inbox, "KEPT", 2)
    for question in ("一", "二", "三"):
        said(database, question)
    put(database, ["一"], ["二"], ["三"])
    with database.write() as session:
        inbox.tidy(session)
    with database.read() as session:
        assert session.scalars(select(InboxQuestion.question).order_by(InboxQuestion.id)).all() == ["二", "三"]


def test_publishing_settles_and_another_such_question_opens_again(database, entry):
    said(database, "能开发票吗")
    put(database, ["能开发票吗"])
    with database.write() as session:
        group = session.scalars(select(InboxGroup)).one()
        group.entry_id = entry.id
        session.flush()
        inbox.settle(session, entry.id)
    assert listed(database, "answered")[1] == 1
    said(database, "开票吗")
    with database.write() as session:
        (new,) = inbox.news(session).questions
        inbox.place(session, new, "开票吗", inbox.locked(session, group.id))
    assert listed(database)[0][0].asked == 2
