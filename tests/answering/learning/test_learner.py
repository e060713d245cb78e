"""The inbox fills itself: questions that ask the same come together, repeated answers become drafts."""

import pytest
from support.said import REFUSED, said
from support.visitor import wait_until

from webchat.answering.faq.index import FaqIndex
from webchat.answering.learning.learner import Learner
from webchat.engine.encoders import open_encoder
from webchat.engine.generation import EngineUnavailable
from webchat.storage import faq, inbox
from webchat.storage.database import Database


@pytest.fixture
def learner(database):
    learner = Learner(database, None)
    yield learner
    learner.close()


def groups(database, status="open"):
    with database.read() as session:
        return [{wording.text for wording in each.wordings} for each in inbox.listed(session, status)[0]]


def test_questions_that_are_spelt_alike_come_together_in_one_round_and_in_two(database, learner):
    for question in ("能不能开发票", "你们几点关门？", "能不能开发票啊"):
        said(database, question)
    assert learner.catch_up() == 3
    said(database, "能不能开發票")
    said(database, "几点关门")
    assert learner.catch_up() == 2
    assert learner.catch_up() == 0
    assert groups(database) == [
        {"能不能开发票", "能不能开发票啊", "能不能开發票"},
        {"你们几点关门？", "几点关门"},
    ]


def test_another_process_goes_on_with_the_same_groups(database, learner):
    said(database, "能不能开发票")
    assert learner.catch_up() == 1
    said(database, "能不能开发票啊")
    other = Learner(database, None)
    assert other.catch_up() == 1
    said(database, "请问能不能开发票")
    assert learner.catch_up() == 1
    assert groups(database) == [{"能不能开发票", "能不能开发票啊", "请问能不能开发票"}]


def test_what_holds_no_word_is_no_question(database, learner):
    said(database, "？？？")
    said(database, "😀")
    assert learner.catch_up() == 0
    assert learner.catch_up() == 0
    assert groups(database) == []


def test_hostile_questions_are_placed_like_others(database, learner):
    for question in ("{phone}" * 3, "\u202e反了", "a" * 2000, "，" * 1000 + "退", "';DROP TABLE faq_entries;--"):
        said(database, question)
    assert learner.catch_up() == 5
    assert learner.catch_up() == 0


def test_a_question_is_kept_as_a_line_that_an_entry_can_have(database, learner):
    said(database, "  能不能\n\n开发票\r\n谢谢 ")
    said(database, "很长的问题" * 100)
    learner.catch_up()
    kept = {text for group in groups(database) for text in group}
    assert kept == {"能不能 开发票 谢谢", "很长的问题" * 40}


def test_personal_numbers_are_kept_nowhere_but_in_the_conversation(database, learner):
    for visitor in "abc":
        said(database, "我的手机13812345678收不到验证码", "请检查13812345678的信号。", visitor=visitor)
    learner.catch_up()
    with database.read() as session:
        ((group,), _) = inbox.listed(session, "open")
        draft = faq.get(session, group.group.entry_id)
        texts = [wording.text for wording in group.wordings]
        stored = [group.group.question, *texts, draft.answer, *(phrasing.text for phrasing in draft.phrasings)]
    assert not [text for text in stored if "138" in text]
    assert "{phone}" in draft.answer


def test_an_answer_that_was_given_three_times_becomes_a_draft_that_answers_nobody(database, learner):
    said(database, "能不能开发票", "可以开电子发票。", visitor="a")
    said(database, "能不能开发票", "不清楚。", visitor="b")
    learner.catch_up()
    with database.read() as session:
        assert inbox.listed(session, "open")[0][0].group.entry_id is None
    said(database, "能不能开发票啊", "可以，开电子发票。", visitor="c")
    learner.catch_up()
    with database.read() as session:
        draft = faq.get(session, inbox.listed(session, "open")[0][0].group.entry_id)
    assert (draft.status, draft.origin) == ("draft", "learned")
    assert "电子发票" in draft.answer
    assert {phrasing.text for phrasing in draft.phrasings} == {"能不能开发票", "能不能开发票啊"}
    assert FaqIndex(database).find("能不能开发票").answer is None
    with database.write() as session:
        faq.remove(session, faq.get(session, draft.id))
    said(database, "能不能开发票", "可以。", visitor="d")
    learner.catch_up()
    with database.read() as session:
        assert inbox.listed(session, "open")[0][0].group.entry_id is None, "a draft that was thrown away is back"


def test_what_was_refused_makes_no_draft(database, learner):
    for visitor in "abc":
        said(database, "几点关门", "请问店员。", visitor=visitor, **REFUSED)
    learner.catch_up()
    with database.read() as session:
        assert inbox.listed(session, "open")[0][0].group.entry_id is None


def test_a_group_that_was_put_away_takes_what_asks_the_same(database, learner):
    said(database, "写一首诗")
    learner.catch_up()
    with database.write() as session:
        inbox.listed(session, "open")[0][0].group.status = "dismissed"
    said(database, "写一首诗吧")
    learner.catch_up()
    assert groups(database) == []
    assert groups(database, "dismissed") == [{"写一首诗", "写一首诗吧"}]


def test_a_group_that_was_deleted_meanwhile_begins_anew(database, learner):
    said(database, "能不能开发票")
    learner.catch_up()
    with database.write() as session:
        session.delete(inbox.locked(session, inbox.listed(session, "open")[0][0].group.id))
    said(database, "能不能开发票啊")
    said(database, "请问能不能开发票")
    learner.catch_up()
    said(database, "能不能开发票呢")
    learner.catch_up()
    assert groups(database) == [{"能不能开发票啊", "请问能不能开发票", "能不能开发票呢"}]


@pytest.mark.model
def test_questions_that_mean_the_same_come_together(settings, database, real_encoders):
    encoder = open_encoder(real_encoders)
    with database.write() as session:
        for question in ("怎么退货", "运费多少钱", "什么时候发货", "可以用微信支付吗", "保修期多长", "有实体店吗"):
            faq.create(session, phrasings=[question], answer="好。")
    for question in ("可以开增值税发票吗", "发票能开专票吗", "周末营业吗", "星期天开不开门"):
        said(database, question)
    learner = Learner(database, encoder)
    learner.catch_up()
    encoder.close()
    assert {"可以开增值税发票吗", "发票能开专票吗"} in groups(database)
    assert not [group for group in groups(database) if {"可以开增值税发票吗", "周末营业吗"} <= group]
    said(database, "营业时间")
    with pytest.raises(EngineUnavailable):
        learner.catch_up()
    with database.read() as session:
        assert [new.question for new in inbox.news(session).questions] == ["营业时间"], "it is lost"


def test_a_learner_without_a_database_says_so_and_goes_on(tmp_path, monkeypatch, capsys, caplog):
    monkeypatch.setattr("webchat.answering.learning.learner._EVERY", 0.01)
    learner = Learner(Database(f"sqlite:///{tmp_path}/none.db"), None)
    learner.start()
    wait_until(
        lambda: "will be tried again" in caplog.text + capsys.readouterr().out
    )  # before and after it was configured
    assert learner._thread.is_alive()
    learner.close()
