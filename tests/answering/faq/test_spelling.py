"""What a question is compared by."""

from __future__ import annotations

import pypinyin
import pytest

from webchat.answering.faq.spelling import clauses, content, grams, is_pinyin, numbers, plain, sounds, spelt_out


@pytest.mark.parametrize(
    ("typed", "compared"),
    [
        ("七天內可以換貨嗎？", "7天内可以换货"),
        ("十五天", "15天"),
        ("一百二十元", "120元"),
        ("第一天", "第一天"),
        ("一直没货", "一直没货"),
        ("ＡＢＣ　１２", "abc 12"),
    ],
)
def test_one_text_for_all_ways_to_type_it(typed, compared):
    assert plain(typed) == compared


def test_a_long_message_is_asked_by_those_of_its_clauses_that_say_most():
    assert clauses("怎么退货") == []
    assert clauses("你好，我昨天买的鞋子，今天到了，能退货吗") == ["我昨天买的鞋子", "今天到了", "能退货吗"]
    assert clauses("怎么退货，怎么退货，怎么退货") == []
    many = clauses("，".join(f"第{number:03}个问题是什么" for number in range(250)))
    assert len(many) == 5


def test_numbers_keep_their_points_and_sentences_end_at_theirs():
    assert clauses("3.5 折可以吗。7天内退吗") == ["3.5 折可以吗", "7天内退吗"]
    assert numbers("满 99.5 元减 10 元") == {"99.5", "10"}


@pytest.mark.parametrize(
    ("typed", "pinyin"),
    [
        ("tuikuan", True),
        ("zenme tuikuan", True),
        ("refund please", False),
        ("app", False),
        ("do you like tea", False),
        ("are you open late", False),
        ("ni men ke zi yao duo shao qian", True),
        ("退款", False),
        ("", False),
    ],
)
def test_pinyin_is_known_from_other_words(typed, pinyin):
    assert is_pinyin(typed) is pinyin


def test_what_sounds_alike_has_the_same_syllables():
    assert sounds("退款") == sounds("tuikuan")
    assert spelt_out("xian") == ["xian"]


def test_pieces_are_characters_their_pairs_and_thirds_of_words():
    assert grams("退款") == {"退": 1, "款": 1, "退款": 1}
    assert grams("vip 12") == {"vip": 1, "^vi": 1, "ip$": 1, "12": 1} | {"vip": 2}


def test_a_character_says_twice_what_a_letter_says():
    assert (content("退款"), content("abc"), content("？ 👍"), content("退a")) == (4, 3, 0, 3)


@pytest.mark.parametrize(
    ("typed", "written"),
    [
        ("huankuan", "还款"),
        ("yinhangka", "银行卡"),
        ("chongzhimima", "重置密码"),
        ("duochangshijian", "多长时间"),
        ("pianyidian", "便宜点"),
        ("haiyouma", "还有吗"),
        ("zhongliang", "重量"),
    ],
)
def test_words_are_read_as_they_are_said(typed, written):
    assert sounds(typed) == sounds(written)


def test_no_large_list_of_words_is_kept():
    assert len(pypinyin.constants.PHRASES_DICT) < 1000
