"""What a change of the FAQ would do is what it does."""

from contextlib import closing
from datetime import timedelta

import pytest
from support.said import REFUSED, said

from webchat.answering.faq import rehearsal
from webchat.answering.faq.index import FaqIndex
from webchat.answering.faq.rows import Phrasing
from webchat.answering.faq.vectors import Remembering
from webchat.engine.encoders import open_encoder
from webchat.storage import conversations, faq, messages, replays
from webchat.storage.replays import Required
from webchat.storage.tables import utc_now

QUESTIONS = ("怎么退货", "运费多少钱", "什么时候发货", "可以用微信支付吗", "保修期多长", "有实体店吗")


@pytest.fixture
def entries(database):
    """The ids of some entries, by their questions."""
    with database.write() as session:
        return {text: faq.create(session, phrasings=[text], answer=f"{text}：好。").id for text in QUESTIONS}


@pytest.fixture
def index(database, entries):
    index = FaqIndex(database)
    index.start()
    assert index.settle()
    yield index
    index.close()


def rehearsed(database, index, entry, *phrasings, required=()):
    phrasings = [each if isinstance(each, Phrasing) else Phrasing(entry, each) for each in phrasings]
    return rehearsal.of_edit(index, database, None, entry, phrasings=phrasings, required=required)


def changes(report, kind):
    return [(change.question, change.times, change.before, change.after) for change in report.of_kind(kind)]


def test_a_new_entry_answers_what_was_left_to_a_person(database, index):
    for visitor in "ab":
        said(database, "能开发票吗", visitor=visitor, **REFUSED)
    said(database, "写一首诗")
    report = rehearsed(database, index, rehearsal.NEW, "能不能开发票", "能开发票吗")
    assert changes(report, "new") == [("能开发票吗", 2, "", "能不能开发票")]
    assert not report.takes_something_away
    assert (report.asked, report.of) == (2, 2)
    assert index.find("能开发票吗").answer is None, "the rehearsal was the performance"


def test_phrasings_that_are_taken_away_or_denied_are_missed(database, index, entries):
    number = entries["怎么退货"]
    said(database, "怎么退货", source="faq", entry=number, matched={"question": "怎么退货"})
    report = rehearsed(database, index, number, "如何把东西寄回来")
    assert changes(report, "stopped") == [("怎么退货", 1, "怎么退货", "")]
    assert report.takes_something_away
    denied = rehearsed(database, index, number, "退货", Phrasing(number, "怎么退货", negative=True))
    assert len(denied.of_kind("stopped")) == 1
    gone = rehearsed(database, index, number)
    assert len(gone.of_kind("stopped")) == 1


def test_the_better_phrasing_of_another_entry_is_a_change(database, index, entries):
    said(database, "运费多少钱呢", source="faq", entry=entries["运费多少钱"])
    report = rehearsed(database, index, entries["保修期多长"], "保修期多长", "运费多少钱呢")
    assert report.changes == []  # the older of two entries with one spelling answers
    with database.write() as session:
        faq.set_status(session, faq.get(session, entries["运费多少钱"]), "disabled")
    report = rehearsed(database, index, entries["保修期多长"], "保修期多长", "运费多少钱呢")
    assert changes(report, "new") == [("运费多少钱呢", 1, "", "保修期多长")]


def test_an_entry_takes_its_own_words_back_without_a_warning(database, index, entries):
    number = entries["保修期多长"]
    said(database, "运费多少钱的保修", source="faq", entry=entries["运费多少钱"])
    report = rehearsed(database, index, number, "保修期多长", "运费多少钱的保修")
    (change,) = report.changes
    assert (change.after, change.meant) == ("保修期多长", True)
    assert not report.takes_something_away


def test_what_was_asked_after_different_questions_and_ends_alike_is_one_line(database, index):
    for before in ("你好呀你好", "在吗在吗在吗"):
        said(database, before, visitor=before)
        said(database, "能开发票吗", visitor=before, **REFUSED)
    report = rehearsed(database, index, rehearsal.NEW, "能不能开发票", "能开发票吗")
    assert changes(report, "new") == [("能开发票吗", 2, "", "能不能开发票")]


def test_what_entries_must_and_must_not_answer_is_asked_of_all_of_them(database, index, entries):
    with database.write() as session:
        shop = faq.get(session, entries["有实体店吗"])
        faq.update(
            session,
            shop,
            phrasings=["有实体店吗"],
            answer="有。",
            group_name="",
            must_hit=["请问有实体店吗"],
            must_not_hit=["有网店吗"],
        )
    fine = rehearsed(
        database, index, rehearsal.NEW, "能开发票吗", required=[Required(rehearsal.NEW, "能开发票吗", must_hit=True)]
    )
    assert (fine.broken, fine.checked, fine.of_required) == ([], 3, 3)
    broken = rehearsed(
        database,
        index,
        rehearsal.NEW,
        "能开发票吗",
        required=[
            Required(rehearsal.NEW, "几点关门", must_hit=True),
            Required(rehearsal.NEW, "能开发票吗？", must_hit=False),
        ],
    )
    assert [(each.entry, each.question, each.must_hit) for each in broken.broken] == [
        ("能开发票吗", "几点关门", True),
        ("能开发票吗", "能开发票吗？", False),
    ]
    taken = rehearsed(database, index, shop.id, "门店地址")
    assert [each.question for each in taken.broken] == []  # its own lists are those of the form
    report = rehearsed(database, index, entries["怎么退货"], "怎么退货", "有实体店吗", "请问有实体店吗")
    assert [(each.question, each.answered_by) for each in report.broken] == [("请问有实体店吗", "怎么退货")]
    report = rehearsed(database, index, entries["怎么退货"], "怎么退货", "有网店吗", required=())
    assert report.broken == []  # another entry may answer what this one must not
    with database.write() as session:
        faq.update(
            session,
            faq.get(session, shop.id),
            phrasings=["门店地址"],
            answer="有。",
            group_name="",
            must_hit=["有实体店吗"],
            must_not_hit=[],
        )
    report = rehearsed(database, index, entries["怎么退货"], "怎么退货", "有实体店吗")
    assert [(each.question, each.answered_by) for each in report.broken] == [("有实体店吗", "怎么退货")]


def test_what_was_broken_before_or_has_expired_stops_no_other_save(database, index, entries):
    with database.write() as session:
        for text, until in (("运费多少钱", None), ("保修期多长", utc_now() - timedelta(days=1))):
            faq.update(
                session,
                faq.get(session, entries[text]),
                phrasings=[text],
                answer="好。",
                group_name="",
                valid_until=until,
                must_hit=[text, "今天天气怎么样"],
                must_not_hit=[],
            )
    report = rehearsed(database, index, rehearsal.NEW, "能开发票吗")
    assert (report.broken, report.of_required) == ([], 2)
    report = rehearsed(database, index, rehearsal.NEW, "能开发票吗", "今天天气怎么样")
    assert [each.answered_by for each in report.broken] == ["能开发票吗"]  # broken in another way
    everything = rehearsal.rehearse(database, None, 10, lambda _: None)
    assert [(each.entry, each.question) for each in everything.broken] == [("运费多少钱", "今天天气怎么样")]


def test_an_expired_entry_answers_nothing_in_a_rehearsal_either(database, index, entries):
    said(database, "怎么退货", source="faq", entry=entries["怎么退货"])
    with database.write() as session:
        faq.get(session, entries["怎么退货"]).valid_until = utc_now() - timedelta(minutes=1)
    report = rehearsed(database, index, rehearsal.NEW, "能开发票吗")
    assert report.changes == []
    report = rehearsed(database, index, entries["怎么退货"], "怎么退货")
    assert [change.question for change in report.of_kind("new")] == ["怎么退货"]


def test_no_operator_waits_long(database, index, monkeypatch):
    for number in range(40):
        said(database, f"第{number}个问题是什么")
    monkeypatch.setattr(rehearsal, "_PATIENCE", 0.0)
    report = rehearsed(
        database, index, rehearsal.NEW, "能开发票吗", required=[Required(rehearsal.NEW, "几点", must_hit=True)]
    )
    assert report.of == 40
    assert report.asked < 40
    assert report.of_required == 1


def test_the_site_is_compared_with_what_it_answered_then(database, entries):
    said(database, "怎么退货", source="faq", entry=entries["怎么退货"], matched={"question": "怎么退货"})
    said(database, "能开发票吗", **REFUSED)
    said(database, "保修期多长", source="faq", entry=entries["运费多少钱"], matched={"question": "运费多少钱"})
    said(database, "送货上门吗", source="faq", matched={"question": "送货吗"})  # by an entry that is gone
    said(database, "你好", source="rule", reason="rule: greeting")
    with database.write() as session:
        entry = faq.get(session, entries["怎么退货"])
        faq.update(session, entry, phrasings=["退货怎么办", "怎么退货"], answer="好", group_name="")
        faq.create(session, phrasings=["能开发票吗"], answer="能。")
    report = rehearsal.rehearse(database, None, 100, lambda _: None)
    assert changes(report, "new") == [("能开发票吗", 1, "", "能开发票吗")]
    assert changes(report, "changed") == [("保修期多长", 1, "运费多少钱", "保修期多长")]
    assert changes(report, "stopped") == [("送货上门吗", 1, "送货吗", "")]
    assert report.of == 4


def test_drafts_and_other_faqs_are_tried_without_touching_the_site(database, entries):
    said(database, "能开发票吗", **REFUSED)
    said(database, "怎么退货", source="faq", entry=entries["怎么退货"])
    with database.write() as session:
        faq.create(
            session, phrasings=["能开发票吗"], answer="能。", status="draft", must_hit=["能开发票吗", "几点开门"]
        )
        version = faq.version(session)
    report = rehearsal.rehearse(database, None, 100, lambda _: None, drafts=True)
    assert changes(report, "new") == [("能开发票吗", 1, "", "能开发票吗")]
    assert [broken.question for broken in report.broken] == ["几点开门"]
    other = [("a", "能开发票吗"), ("a", "开票"), ("b", "怎么退货？")]
    report = rehearsal.rehearse(database, None, 100, lambda _: None, entries=other)
    assert changes(report, "new") == [("能开发票吗", 1, "", "能开发票吗")]
    assert report.of_kind("stopped") == report.of_kind("changed") == []
    with database.read() as session:
        assert faq.version(session) == version


def test_another_faq_must_answer_what_the_site_must(database, entries):
    said(database, "怎么退货", source="faq", entry=entries["怎么退货"])
    with database.write() as session:
        for text in ("怎么退货", "有实体店吗"):
            faq.update(
                session,
                faq.get(session, entries[text]),
                phrasings=[text],
                answer="好。",
                group_name="",
                must_hit=[text],
                must_not_hit=["几点关门"],
            )
    reworded = [("a", "退货流程"), ("a", "怎么退货？"), ("b", "几点关门")]
    report = rehearsal.rehearse(database, None, 100, lambda _: None, entries=reworded)
    assert report.changes == []  # the same entry under another title
    assert (report.of_required, [(each.entry, each.question) for each in report.broken]) == (
        4,
        [("有实体店吗", "有实体店吗")],  # an entry that is gone
    )
    theft = [("a", "怎么退货"), ("a", "几点关门"), ("b", "有实体店吗")]
    report = rehearsal.rehearse(database, None, 100, lambda _: None, entries=theft)
    assert [(each.entry, each.question, each.must_hit) for each in report.broken] == [("怎么退货", "几点关门", False)]


@pytest.mark.model
def test_an_edit_that_takes_too_long_to_encode_is_not_rehearsed_and_says_so(
    database, real_encoders, entries, monkeypatch
):
    monkeypatch.setattr(rehearsal, "_PATIENCE", 0.0)
    said(database, "怎么退货")
    encoder = open_encoder(real_encoders)
    with closing(encoder), closing(FaqIndex(database, encoder)) as index:
        index.start()
        assert index.settle()
        phrasings = [Phrasing(rehearsal.NEW, f"第{number}种说法") for number in range(9)]
        report = rehearsal.of_edit(
            index,
            database,
            encoder,
            rehearsal.NEW,
            phrasings=phrasings,
            required=[Required(rehearsal.NEW, "一", must_hit=True)],
        )
    assert (report.asked, report.of, report.checked, report.of_required) == (0, 1, 0, 1)


def test_a_question_is_asked_again_with_the_one_before_it(database, entries):
    with database.write() as session:
        conversation = conversations.open_conversation(
            session, visitor_id="a", channel="page", language="zh", title="一"
        )
        for number, text in enumerate(("怎么退货", "要多久", "要多久")):
            question = messages.add_question(session, conversation.id, text, f"c{number}")
            messages.add_answer(
                session, conversation_id=conversation.id, question_id=question.id, source="model", status="done"
            )
    with database.read() as session:
        found = replays.real_questions(session, 10)
    assert [(each.text, each.previous) for each in found] == [
        ("要多久", "要多久"),
        ("要多久", "怎么退货"),
        ("怎么退货", None),
    ]


@pytest.mark.model
def test_a_second_rehearsal_asks_the_encoder_nothing(database, real_encoders):
    encoder = open_encoder(real_encoders)
    remembering = Remembering(encoder, database)
    first = remembering.encode(["怎么退货", "运费多少钱"])
    encoder.close()
    assert (remembering.encode(["运费多少钱", "怎么退货"])[::-1] == first).all()
