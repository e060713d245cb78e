"""What speaks against an entry that fits: each guard by itself, and what it does to the band."""

import pytest

from webchat.answering.faq.guards import Guards
from webchat.answering.faq.matcher import Matcher
from webchat.answering.faq.rows import Hit, Phrasing


def against(text, *phrasings, previous="", denied=False):
    hit = Hit(1.0, Phrasing(1, phrasings[0]), phrasings[0], phrasings, denied)
    return set(Guards(phrasings, [1] * len(phrasings)).against(text, previous, hit))


def test_another_number_speaks_against_it():
    assert against("30天能退吗", "7天能退吗") == {"number"}
    assert against("7天能退吗", "7天能退吗") == set()
    assert against("能退吗", "7天能退吗") == set()
    assert against("30天能退吗", "7天能退吗", "15天能退吗") == set(), "it is about no number in particular"


def test_a_negative_that_fits_better_and_the_other_polarity_speak_against_it():
    assert against("怎么退款", "怎么退款", denied=True) == {"negative"}
    assert against("不能退款", "退款") == {"polarity"}


def test_what_the_question_before_denied_counts():
    assert against("为什么", "怎么退款", previous="不能退款") == {"polarity"}


@pytest.fixture(scope="module")
def shop():
    texts = ["怎么申请退款", "什么时候发货", "可以开发票吗", "门店在哪里", "会员有什么好处", "怎么修改地址"]
    return Matcher([Phrasing(number, text) for number, text in enumerate(texts)])


def test_a_guarded_entry_never_answers_but_stays_first_and_is_offered(shop):
    assert shop.match("怎么样申请退款").band == "answer"
    guarded = shop.match("怎么不申请退款")
    assert guarded.candidates[0].entry == 0
    assert guarded.candidates[0].guards == ("polarity",)
    assert guarded.candidates[0].score < shop.match("怎么样申请退款").candidates[0].score
    assert guarded.band == "suggest"


def test_each_clause_of_a_long_message_is_asked():
    texts = ["怎么申请退款", "什么时候发货", "可以开发票吗", "门店在哪里", "会员有什么好处", "怎么修改地址"]
    shop = Matcher([Phrasing(number, text) for number, text in enumerate(texts)])
    long = "你好呀，我上个星期在你们这里买了一个很好看的蓝色杯子送给朋友，怎么申请退款，她说颜色和图片上看到的不太一样"
    assert shop.match(long).candidates[0].entry == 0
    assert shop.match(long).band != "abstain"
