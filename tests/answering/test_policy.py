"""Who answers what the FAQ does not, from the question to the row."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from support.askers import somebody
from support.backends import DEADLINE

from webchat.answering.events import Delta, Finished
from webchat.answering.pipeline import Opening
from webchat.answering.policy import PolicyDesk
from webchat.answering.prototypes import Prototypes, read_prototypes
from webchat.engine.generation import EngineUnavailable
from webchat.storage import answer_policy, faq, messages
from webchat.storage.answer_policy import AnswerPolicy

ALICE = Opening("alice", "page", "zh")
client_ids = (f"policy-{number}" for number in itertools.count())


def choose(database, **policy):
    with database.write() as session:
        answer_policy.save(session, AnswerPolicy(**policy))


def ask(answerer, text, where=ALICE):
    return answerer.answer(where, text, next(client_ids), somebody())


def ended(answerer, database, turn):
    """The stored answer, when it is complete, and what a follower has read of it."""
    events = list(answerer.follow(turn.conversation, turn.answer.id, heartbeat=DEADLINE))
    assert isinstance(events[-1], Finished)
    with database.read() as session:
        row = messages.get(session, turn.conversation.id, turn.answer.id)
    assert "".join(event.text for event in events if isinstance(event, Delta)) == row.text
    return row


def test_careful_is_the_default_and_leaves_the_shops_facts_to_a_person(answerer, database):
    row = ended(answerer, database, ask(answerer, "礼品包装要多少钱？"))
    assert (row.source, row.status, row.reason) == ("rule", "done", "policy: careful")
    assert "人工客服" in row.text


def test_a_refusal_is_in_the_questions_language_and_says_how_to_reach_a_person(answerer, database):
    choose(database, contact_zh="请打电话给我们。", contact_en="Ring the bell.")
    assert ended(answerer, database, ask(answerer, "Do you offer student discounts?")).text.endswith("Ring the bell.")
    assert ended(answerer, database, ask(answerer, "帮我取消订单")).reason == "policy: no action"


def test_who_is_offered_entries_is_not_told_that_there_are_none(answerer, database):
    with database.write() as session:
        for question in ("退货的运费谁出", "什么时候发货", "可以开发票吗", "门店在哪里"):
            faq.create(session, phrasings=[question], answer="好的。")
    turn = ask(answerer, "那个退货的时候运费该怎么算呢")
    assert turn.answer.reason == "policy: careful"
    assert turn.answer.suggested
    assert "列出的这几个问题" in turn.answer.text
    nothing = ask(answerer, "你们卖游艇吗多少钱一艘")
    assert not nothing.answer.suggested
    assert "官方答案里暂时没有" in nothing.answer.text


def test_pinyin_in_a_chinese_conversation_is_answered_in_chinese():
    decision = PolicyDesk().decide(AnswerPolicy(), "yunfei duoshao", "zh")
    assert decision.language == "zh"
    assert PolicyDesk().decide(AnswerPolicy(), "how much is shipping", "zh").language == "en"
    assert PolicyDesk().decide(AnswerPolicy(), "yunfei duoshao", "en").language == "en"


def test_pinyin_near_an_entry_is_a_question_to_the_shop():
    question = "ni men ke zi yao duo shao qian"
    assert PolicyDesk().decide(AnswerPolicy(), question, "zh", offered=True).refusal
    assert PolicyDesk().decide(AnswerPolicy(), "jintian xinqing hen hao", "zh").refusal is None


@pytest.mark.parametrize(
    ("mode", "question", "source"),
    [
        ("careful", "写一首诗", "model"),
        ("open", "礼品包装要多少钱？", "model"),
        ("open", "写一首诗", "model"),
        ("faq_only", "写一首诗", "rule"),
        ("faq_only", "我刚才说了什么", "rule"),
    ],
)
def test_the_operators_choice_decides(answerer, database, mode, question, source):
    choose(database, mode=mode)
    assert ended(answerer, database, ask(answerer, question)).source == source


def test_a_choice_holds_from_the_very_next_question(answerer, database):
    first = ask(answerer, "写一首诗")
    assert ended(answerer, database, first).source == "model"
    choose(database, mode="faq_only")
    assert ended(answerer, database, ask(answerer, "写一首诗", first.conversation)).source == "rule"


def test_what_was_said_before_makes_a_question_one_about_the_conversation(answerer, database):
    first = ask(answerer, "你好呀，我的订单号是 A20391，写一首诗")
    ended(answerer, database, first)
    assert ended(answerer, database, ask(answerer, "我的订单号是多少", first.conversation)).source == "model"


def test_a_follow_up_on_a_refused_question_is_refused(answerer, database):
    first = ask(answerer, "礼品包装要多少钱？")
    assert ended(answerer, database, ask(answerer, "那台灯呢", first.conversation)).reason == "policy: careful"


def test_an_invented_deed_ends_the_answer_with_what_was_good_and_a_sentence(answerer, database, backend):
    backend.reply = lambda _prompt: "不客气。我已为您退款，请查收。".encode()
    row = ended(answerer, database, ask(answerer, "我今天有点累呀"))
    assert row.text.startswith("不客气。\n\n我不能替店里办事")
    assert (row.source, row.status, row.finish_reason, row.reason) == ("model", "done", "stop", "guard: promise")


def test_an_answer_of_which_nothing_is_left_is_no_answer_of_the_model(answerer, database, backend):
    backend.reply = lambda _prompt: "我已为您退款，请查收。".encode()
    assert ended(answerer, database, ask(answerer, "我今天有点累呀")).source == "rule"


def test_an_answer_in_another_language_is_asked_for_once_more(answerer, database, backend):
    prompts = []
    replies = iter(["Hello my friend, how are you doing today?", "您好呀。"])
    backend.reply = lambda prompt: (prompts.append(prompt), next(replies).encode())[1]
    row = ended(answerer, database, ask(answerer, "我今天有点累呀"))
    assert (row.text, row.reason) == ("您好呀。", "no entry")
    assert len(prompts) == 2


def test_twice_in_another_language_is_said_so(answerer, database, backend):
    backend.reply = lambda _prompt: b"Hello my friend, how are you doing today?"
    row = ended(answerer, database, ask(answerer, "我今天有点累呀"))
    assert (row.source, row.reason) == ("rule", "guard: language")
    assert "中文" in row.text


def test_a_banned_word_is_not_stored_either(answerer, database, backend):
    choose(database, banned=("贝壳",))
    backend.reply = lambda _prompt: "海边有贝 壳和沙。".encode()
    row = ended(answerer, database, ask(answerer, "写一首诗"))
    assert row.reason == "guard: banned"
    assert "贝" not in row.text


def test_a_question_that_was_stopped_is_refused_when_the_policy_has_changed(answerer, database, backend):
    backend.gate.hold()
    turn = ask(answerer, "写一首诗")
    backend.gate.wait_until_held()
    answerer.stop(turn.conversation)
    backend.gate.open()
    list(answerer.follow(turn.conversation, turn.answer.id, heartbeat=DEADLINE))
    choose(database, mode="faq_only")
    again = answerer.retry(turn.conversation, turn.answer.id, somebody())
    assert (again.source, again.status, again.reason) == ("rule", "done", "policy: faq only")


class Letters:
    """An encoder small enough to read: how often each letter occurs. It speaks of spelling, not of meaning."""

    parts = (64, 64)

    def encode(self, texts, *, urgent=True):
        vectors = np.zeros((len(texts), 128), dtype=np.float32)
        for row, text in enumerate(texts):
            for char in text:
                vectors[row, ord(char) % 128] += 1
        return vectors


class Closed(Letters):
    """An encoder that is gone."""

    def encode(self, texts, *, urgent=True):
        raise EngineUnavailable("closed")


def test_without_its_encoder_the_desk_goes_by_words():
    desk = PolicyDesk(Closed())
    desk.warm_up()
    assert desk.decide(AnswerPolicy(), "运费多少钱", "zh").refusal
    desk = PolicyDesk(Letters())
    desk.warm_up()
    desk._prototypes._encoder = Closed()  # it is closed while questions are still asked
    assert desk.decide(AnswerPolicy(), "运费多少钱", "zh").refusal


def test_a_prototype_leans_its_own_way_whatever_the_encoder():
    prototypes = Prototypes(Letters())
    sentences = read_prototypes()
    assert prototypes.leaning(sentences["shop"][0]) > 0 > prototypes.leaning(sentences["general"][0])


def test_no_question_of_the_evaluation_is_a_prototype():
    from test_kinds import BARS, HERE  # noqa: PLC0415 - the files' names are there

    known = {text for texts in read_prototypes().values() for text in texts}
    asked = "".join((HERE / f"{name}.toml").read_text(encoding="utf-8") for name in BARS)
    assert [text for text in known if f'"{text}"' in asked] == []
