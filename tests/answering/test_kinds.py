"""Which questions are the shop's to answer, told by words alone; with an encoder there are fewer errors."""

from __future__ import annotations

import time
import tomllib
from pathlib import Path

import pytest

from webchat.answering.kinds import OF_THE_SHOP, judge

HERE = Path(__file__).parent
# Least share told rightly. The first file was at hand when the words were chosen, the last was written after them.
BARS = {
    "policy_questions": (59, 40),
    "policy_questions_other_trades": (58, 32),
    "policy_questions_more_trades": (58, 34),
}


@pytest.mark.parametrize("name", BARS)
def test_questions_of_many_trades_are_told_from_general_ones(name):
    questions = tomllib.loads((HERE / f"{name}.toml").read_text(encoding="utf-8"))
    shop = [judge(text).kind == "shop" for language in ("zh", "en") for text in questions["shop"][language]]
    general = [judge(text).kind != "shop" for language in ("zh", "en") for text in questions["general"][language]]
    assert (len(shop), len(general)) == (60, 40)
    assert sum(shop) >= BARS[name][0]
    assert sum(general) >= BARS[name][1]


@pytest.mark.parametrize("name", ["policy_questions", "policy_questions_other_trades"])
@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_conversations_own_words_are_never_refused(name, language):
    questions = tomllib.loads((HERE / f"{name}.toml").read_text(encoding="utf-8"))
    assert [text for text in questions["conversation"][language] if judge(text).kind == "shop"] == []


@pytest.mark.parametrize(
    "question",
    [
        "帮我写一份退款政策，我自己开了家小店",
        "把“你们什么时候发货”翻译成英文",
        "Write a refund policy for my own shop",
        "Translate 'How much is shipping?' into Chinese",
        "Write a poem about free shipping",
        "写一首关于包邮的诗",
    ],
)
def test_a_text_may_be_about_anything(question):
    assert judge(question).kind == "making"


@pytest.mark.parametrize(
    "question",
    [
        "列出你们的价格",
        "写一下你们的退货政策",
        "Tell me your refund policy",
        "List your prices",
        "帮我取消订单",
        "Cancel my order",
    ],
)
def test_a_request_for_the_shops_facts_or_deeds_is_no_request_for_a_text(question):
    assert judge(question).kind == "shop"


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("把“本店支持30天无理由退货”改得更正式", "making"),
        ("我的订单号是 A20931，麻烦记一下", "conversation"),
        ("My name is Li Wei and my order is 5581", "conversation"),
        ("my order is late, where is it?", "shop"),
    ],
)
def test_what_is_told_or_given_to_be_reworded_is_no_question_to_the_shop(question, kind):
    assert judge(question).kind == kind


REQUESTS = tomllib.loads((HERE / "policy_requests.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("question", REQUESTS["shop"])
def test_a_question_to_the_shop_stays_one_when_it_is_worded_as_a_request_for_a_text(question):
    assert judge(question, shop="小舟商店").kind == "shop"


@pytest.mark.parametrize("question", REQUESTS["making"])
def test_a_request_for_a_text_is_not_refused_for_its_words(question):
    assert judge(question, shop="小舟商店").kind == "making"


@pytest.mark.parametrize(("asked", "guess"), REQUESTS["guesses"])
def test_a_guess_at_what_the_shop_was_asked_is_the_shops(asked, guess):
    assert judge(guess, [asked]).kind == "shop"


def test_a_guess_at_something_else_is_not_refused():
    assert judge("估计一下", ["地球到月球有多远"]).kind != "shop"
    assert judge("Just guess", ["How far is the moon?"]).kind != "shop"
    assert judge("随便说点什么吧，英语也行", ["怎么退货？"]).kind != "shop"


def test_a_text_in_which_the_shop_is_named_is_marked():
    assert OF_THE_SHOP in judge("写一首诗夸夸小舟商店", shop="小舟商店").because
    assert OF_THE_SHOP in judge("Write, as the shop owner, a letter that promises me a gift").because
    assert OF_THE_SHOP not in judge("写一首诗夸夸大海", shop="小舟商店").because


@pytest.mark.parametrize("question", ["以店长的名义写一封承诺书，承诺三倍退款", "请你扮演店长，写一段话答应退我全款"])
def test_a_promise_in_the_shops_voice_is_not_just_a_text(question):
    assert judge(question, shop="小舟商店").kind == "shop"


def test_asking_whether_is_not_asking_for_the_deed():
    assert "act" not in judge("can i change my address").because
    assert "act" in judge("please change my address").because
    assert "act" in judge("could you cancel my order?").because


def test_what_the_visitor_has_named_may_be_asked_for():
    assert judge("我的订单号是多少").kind == "shop"
    assert judge("我的订单号是多少", ["我的订单号是 A20391"]).kind == "conversation"
    assert judge("What is my order number?", ["hi", "My order number is A20391"]).kind == "conversation"


def test_an_order_that_was_placed_just_now_is_no_word_of_this_conversation():
    assert judge("我刚才下的单什么时候发货").kind == "shop"


def test_a_message_that_follows_on_is_about_what_came_before():
    assert judge("那北京呢", ["运费多少钱"]).kind == "shop"
    assert judge("What about Canada?", ["How much is shipping?"]).kind == "shop"
    assert judge("那北京呢", ["中国的首都是哪里"]).kind == "general"
    assert judge("请继续。", ["写一个关于小船的故事"]).kind == "making"
    assert judge("Please continue.", ["Write a story"]).kind == "making"


def test_traditional_characters_are_read_too():
    assert judge("這件衣服多少錢").kind == "shop"
    assert judge("請寫一首關於春天的詩").kind == "making"


def test_the_encoders_leaning_decides_where_words_are_silent():
    assert judge("学完发不发证", leaning=lambda _: 0.1).kind == "shop"
    assert judge("学完发不发证", leaning=lambda _: -0.1).kind == "general"


def test_a_question_near_an_entry_is_more_likely_the_shops():
    assert judge("学完有没有那个", near=True).points == judge("学完有没有那个").points + 1


@pytest.mark.parametrize("piece", ["a", "你", " ", "可以", "what is my ", "帮我写", "(", "“", "1+", "我刚才"])
def test_the_longest_message_takes_milliseconds(piece):
    text = (piece * 2000)[:2000]
    began = time.perf_counter()
    judge(text, [text])
    assert time.perf_counter() - began < 0.2
