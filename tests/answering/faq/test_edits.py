"""Edits while visitors ask: every answer is what some committed version says, and no edit is answered late."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from webchat.answering.faq.index import FaqIndex
from webchat.answering.faq.matcher import Matcher
from webchat.answering.faq.rows import Phrasing
from webchat.storage import faq

TOPICS = "退货 换货 发票 运费 会员 积分 优惠券 保修 地址 电话 密码 订单 物流 赠品 预售 团购 尺码 颜色 材质 清洗".split()
EDITS, VISITORS = 1000, 20


@pytest.fixture
def index(database):
    index = FaqIndex(database)
    yield index
    index.close()


def test_a_thousand_edits_under_twenty_visitors(answerer, database):
    """Each edit is of one entry and its number goes up; what is read must lie between what was committed before the
    question and what was committed when its answer came."""
    with database.write() as session:
        ids = [faq.create(session, phrasings=[f"怎么处理{topic}"], answer="0").id for topic in TOPICS]
    committed = [0] * len(TOPICS)
    over = threading.Event()

    def edit():
        for number in range(1, EDITS + 1):
            which = number % len(TOPICS)
            with database.write() as session:
                entry = faq.get(session, ids[which])
                phrasings = [f"怎么处理{TOPICS[which]}", f"第{number}种{TOPICS[which]}问法"]
                faq.update(session, entry, phrasings=phrasings, answer=str(number), group_name="")
            committed[which] = number
        over.set()

    def visit(visitor):
        asked = 0
        while not over.is_set() or not asked:
            which = (visitor + asked) % len(TOPICS)
            before = committed[which]
            verdict = answerer.verdict(f"请问怎么处理{TOPICS[which]}？", "zh", ())
            assert verdict.known["source"] == "faq"
            told = int(verdict.known["text"])
            assert told == 0 or told % len(TOPICS) == which
            # One edit may be committed and not yet noted.
            assert before <= told <= committed[which] + len(TOPICS)
            asked += 1
        return asked

    with ThreadPoolExecutor(VISITORS + 1) as pool:
        visits = [pool.submit(visit, visitor) for visitor in range(VISITORS)]
        pool.submit(edit).result(120)
        assert sum(each.result(60) for each in visits) >= VISITORS


def test_an_entry_that_is_gone_never_answers_again_whatever_the_index_thinks(database, index):
    with database.write() as session:
        entry = faq.create(session, phrasings=["怎么退货", "退货流程是什么"], answer="七天。")
    assert index.find("怎么退货").answer
    stale = index._loaded.matcher
    with database.write() as session:
        faq.update(session, faq.get(session, entry.id), phrasings=["怎么换货"], answer="七天。", group_name="")
    index._up_to_date = lambda _version: stale  # an index that has not heard of it
    assert index.find("怎么退货").answer is None
    with database.write() as session:
        faq.remove(session, faq.get(session, entry.id))
    assert index.find("怎么换货").answer is None


def test_an_import_after_a_single_edit_is_found_too(database, index):
    with database.write() as session:
        faq.add_batch(session, [faq.NewEntry([f"第一批问题 {n}"], f"甲{n}") for n in range(1000)], "first")
    index.find("x")
    assert index.settle()
    with database.write() as session:
        faq.create(session, phrasings=["单独的一个"], answer="丙")
    assert index.find("单独的一个").answer.answer == "丙"
    assert index.settle()
    with database.write() as session:
        faq.add_batch(session, [faq.NewEntry([f"第二批问题 {n}"], f"乙{n}") for n in range(600)], "second")
    index.find("x")
    assert index.settle()
    assert index.find("第二批问题 7").answer.answer == "乙7"


def test_an_import_is_found_and_its_removal_too(database, index):
    assert index.find("第5件商品多少钱").band == "abstain"
    entries = [faq.NewEntry([f"第{number}件商品多少钱"], f"{number} 元") for number in range(2000)]
    with database.write() as session:
        faq.add_batch(session, entries, "import")
    index.find("第5件商品多少钱")
    assert index.settle()
    assert index.find("第5件商品多少钱").answer.answer == "5 元"
    with database.write() as session:
        faq.remove_batch(session, "import")
    assert index.find("第5件商品多少钱").answer is None
    assert index.settle()
    assert index.find("第5件商品多少钱").band == "abstain"


def test_a_negative_keeps_its_entry_from_answering_that_question(database, index):
    with database.write() as session:
        entry = faq.create(session, phrasings=["怎么退货", "如何退货"], answer="七天。")
        faq.create(session, phrasings=["怎么开发票"], answer="下单时。")
        faq.add_negative(session, entry, "怎么退货到海外")
        faq.add_negative(session, entry, "怎么退货到海外")
    assert index.find("怎么退货").answer.entry_id == entry.id
    assert index.find("怎么退货到海外").answer is None
    with database.write() as session:
        faq.remove_negative(session, faq.get(session, entry.id), "怎么退货到海外")
    assert index.settle()
    assert [negative.negative for negative in faq_rows(database)] == [False] * 3


def faq_rows(database):
    with database.read() as session:
        return faq.asked(session)


def test_who_is_too_far_behind_reads_everything(database, monkeypatch):
    monkeypatch.setattr(faq, "_REMEMBERED", 2)
    with database.write() as session:
        entry = faq.create(session, phrasings=["怎么退货"], answer="0")
    with database.read() as session:
        seen = faq.version(session)
    for number in range(1, 3):
        with database.write() as session:
            faq.update(session, faq.get(session, entry.id), phrasings=["怎么退货"], answer=str(number), group_name="")
    with database.read() as session:
        assert faq.changes_since(session, seen) == {entry.id}
        assert faq.changes_since(session, seen - 1) is None
        assert faq.changes_since(session, faq.version(session)) == set()


def test_an_edited_matcher_says_what_a_new_one_says_of_its_entries():
    phrasings = [Phrasing(number, f"怎么处理{topic}") for number, topic in enumerate(TOPICS)]
    old = Matcher(phrasings)
    edited = old.edited([3], [Phrasing(3, "运费谁来出"), Phrasing(3, "邮费怎么算")])
    assert [candidate.entry for candidate in edited.match("邮费怎么算").candidates] == [3]
    assert edited.match("怎么处理运费").candidates[0].phrasing != "怎么处理运费"
    assert edited.match("怎么处理退货") == old.match("怎么处理退货")
    assert [candidate.entry for candidate in old.match("怎么处理运费").candidates] == [3]
    gone = old.edited([3], [])
    assert 3 not in [candidate.entry for candidate in gone.match("怎么处理运费").candidates]
