"""One spelling for all the ways a question is typed, and never the same for two that differ."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webchat.answering.normalise import has_han, normalise


@pytest.mark.parametrize(
    "spellings",
    [
        (
            "可以退货",
            "可以退货吗？",
            "请问，可以退货吗",
            "您好！可以退货么？？",
            "你好，请问可以退货呢",
            "亲，可以退货嘛~",
        ),
        ("几天到货", "请问一下 几天到货啊", "我想问一下：几天到货呀", "几 天 到 货 ？", "【几天到货】", "几天到货😀"),
        ("iPhone 15 有货", "ＩＰＨＯＮＥ　１５有货吗", "iphone 15有货", "IPhone  15  有货！"),
        ("你叫什么", "你叫什么？", "你叫什么呢"),
        ("会下雨", "會下雨", "會下雨嗎", "会下雨么", "會下雨麼"),
        ("订单什么时候发货", "訂單什麼時候發貨", "訂單甚麼時候發貨？"),
        ("软件怎么下载", "軟體怎麼下載"),
        ("Where is my order?", "where is my order", "  WHERE is\nmy order!!"),
        ("What's new", "what’s new?", "what s new"),
        ("3.5寸", "３．５寸", "3.5 寸。"),
    ],
    ids=lambda spellings: spellings[0],
)
def test_these_are_the_same_question(spellings):
    assert len({normalise(spelling) for spelling in spellings}) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("可以退货", "不可以退货"),
        ("能开发票吗", "不能开发票吗"),
        ("没收到货", "收到货"),
        ("会员是什么", "会员"),
        ("你叫什么", "你叫"),
        ("3.5寸", "35寸"),
        ("满100减20", "满10减20"),
        ("C++", "C"),
        ("C#", "C"),
        ("打9折", "打9%"),
        ("iphone 15", "iphone 1 5"),
        ("can I return it", "can I not return it"),
    ],
)
def test_these_are_not(one, other):
    assert normalise(one) != normalise(other)


@pytest.mark.parametrize("text", ["程序文件在哪", "皇后的后天", "么么哒是什么", "著名"])
def test_simplified_words_stay_as_they_are(text):
    assert normalise(text) == text


def test_a_particle_that_is_part_of_a_word_stays():
    assert normalise("你叫什么？") == "你叫什么"
    assert normalise("怎么办么") == "怎么办"


@pytest.mark.parametrize("greeting", ["你好", "您好", "你好！", "你好吗", "Hi", "在吗", "请问"])
def test_a_greeting_alone_keeps_its_word(greeting):
    assert normalise(greeting) in {"你好", "您好", "hi", "在吗", "请问"}


@pytest.mark.parametrize("nothing", ["", "？？？", "  \n", "😀", "。", "_"])
def test_what_holds_no_word_has_no_key(nothing):
    assert normalise(nothing) == ""


words = st.lists(
    st.sampled_from(
        ["请问", "你好", "亲", "问一下", "什么", "吗", "么", "呢", "退货", "3", ".", "5", "%", " ", "，", "A", "é", "ﬀ"]
    ),
    max_size=10,
).map("".join)


@given(st.one_of(words, st.text(max_size=30)))
def test_a_key_is_its_own_key(text):
    assert normalise(normalise(text)) == normalise(text)


def test_chinese_is_told_from_other_languages():
    assert has_han("Hello 你")
    assert not has_han("Hello, ¿qué tal? こんにちは")
