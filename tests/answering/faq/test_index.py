"""The FAQ in memory: it answers with what the database says now."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event

from webchat.answering.faq.index import FaqIndex
from webchat.storage import faq

HOUR = timedelta(hours=1)


def add(database, *phrasings, answer="七天内可以退货。", **more):
    with database.write() as session:
        return faq.create(session, phrasings=phrasings, answer=answer, **more)


def change(database, entry, **more):
    with database.write() as session:
        stored = faq.get(session, entry.id)
        texts = [phrasing.text for phrasing in stored.phrasings]
        faq.update(session, stored, **{"phrasings": texts, "answer": stored.answer, "group_name": ""} | more)


def answer_to(index, question):
    found = index.find(question).answer
    return found and found.answer


@pytest.fixture
def index(database):
    index = FaqIndex(database)
    yield index
    index.close()


def test_a_question_meets_its_entry_however_it_is_typed(database, index):
    entry = add(database, "怎么退货？", "如何退货", "How do I return it?")
    for question, phrasing in (
        ("请问怎么退货呢", "怎么退货？"),
        ("如何退货!", "如何退货"),
        ("HOW DO I RETURN IT", "How do I return it?"),
    ):
        match = index.find(question).answer
        assert (match.entry_id, match.answer, match.phrasing) == (entry.id, "七天内可以退货。", phrasing)
        assert match.question == "怎么退货？"


@pytest.mark.parametrize("question", ["怎么换货", "不怎么退货", "", "？", "星期几"])
def test_any_other_question_meets_nothing(database, index, question):
    add(database, "怎么退货", "！")
    assert index.find(question).answer is None


def test_two_questions_in_one_message_are_both_offered(database, index):
    entries = [add(database, text) for text in ("什么时候发货", "怎么开发票", "门店在哪里", "怎么修改地址")]
    found = index.find("什么时候发货呀，另外怎么开发票呢")
    assert found.band == "suggest"
    assert [each.entry_id for each in found.suggestions] == [entries[0].id, entries[1].id]
    assert index.find("什么时候发货呀，怎么样才能学会游泳").answer.entry_id == entries[0].id


def test_an_empty_faq_answers_nothing(index):
    assert index.find("怎么退货").band == "abstain"


def test_every_change_is_live_at_the_next_question(database, index):
    entry = add(database, "怎么退货")
    assert answer_to(index, "怎么退货") == "七天内可以退货。"
    change(database, entry, answer="八天。")
    assert answer_to(index, "怎么退货") == "八天。"
    change(database, entry, phrasings=["如何退货"])
    assert answer_to(index, "怎么退货") is None
    with database.write() as session:
        faq.set_status(session, faq.get(session, entry.id), "disabled")
    assert answer_to(index, "如何退货") is None
    with database.write() as session:
        faq.set_status(session, faq.get(session, entry.id), "published")
    assert answer_to(index, "如何退货")
    with database.write() as session:
        faq.remove(session, faq.get(session, entry.id))
    assert answer_to(index, "如何退货") is None


def test_a_draft_does_not_answer(database, index):
    add(database, "怎么退货", status="draft")
    assert index.find("怎么退货").band == "abstain"


def test_an_entry_answers_only_while_it_is_valid(database, index):
    now = datetime.now(UTC)
    add(database, "以前", valid_until=now - HOUR)
    add(database, "以后", valid_from=now + HOUR)
    add(database, "现在", valid_from=now - HOUR, valid_until=now + HOUR)
    add(database, "一直")
    assert [bool(index.find(question).answer) for question in ("以前", "以后", "现在", "一直")] == [
        False,
        False,
        True,
        True,
    ]


def test_an_entry_that_begins_or_runs_out_needs_no_change_to_do_so(database, index, monkeypatch):
    """The index is loaded before the moment and not again: validity is looked at when a question comes."""
    autumn = datetime(2030, 9, 1, tzinfo=UTC)
    add(database, "怎么退货", answer="夏天：七天。", valid_until=autumn)
    add(database, "怎么退货", answer="秋天：十天。", valid_from=autumn)
    for moment, answer in ((autumn - timedelta(microseconds=1), "夏天：七天。"), (autumn, "秋天：十天。")):
        monkeypatch.setattr("webchat.storage.faq.utc_now", lambda at=moment: at)
        assert answer_to(index, "怎么退货") == answer


def test_of_two_entries_with_one_phrasing_the_oldest_valid_answers(database, index):
    now = datetime.now(UTC)
    add(database, "怎么退货", answer="过期", valid_until=now - HOUR)
    add(database, "怎么退货", answer="第一")
    add(database, "怎么退货", answer="第二")
    assert answer_to(index, "怎么退货") == "第一"


def test_an_unchanged_faq_is_asked_for_its_version_only(database, index):
    add(database, "怎么退货")
    index.find("怎么退货")
    assert index.settle()
    statements = []
    event.listen(database._engine, "before_cursor_execute", lambda *arguments: statements.append(arguments[2]))
    assert index.find("今天星期几").band == "abstain"
    read = [statement for statement in statements if statement.startswith("SELECT")]
    assert len(read) == 1
    assert "faq_entries" not in read[0]


def test_questions_and_edits_at_the_same_moment_never_see_an_older_answer_than_before(database, index):
    entry = add(database, "怎么退货", answer="0")

    def ask(_number):
        seen = [int(answer_to(index, "怎么退货")) for _ in range(60)]
        return seen == sorted(seen)

    def edit(_number):
        for number in range(1, 25):
            change(database, entry, answer=str(number))
        return True

    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(ask, number) for number in range(3)]
        assert pool.submit(edit, 0).result()
        assert all(future.result() for future in asked)
    assert answer_to(index, "怎么退货") == "24"
