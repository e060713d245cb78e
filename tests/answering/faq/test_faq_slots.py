"""Slots: entries that differ in one short span, and questions with another value there."""

from webchat.answering.faq.slots import Slots


def learned(*entries):
    texts = [text for phrasings in entries for text in phrasings]
    owners = [number for number, phrasings in enumerate(entries) for _ in phrasings]
    return Slots(texts, owners)


PHONES = learned(["is the iphone 14 in stock"], ["is the iphone 15 in stock"], ["where are you"])


def test_another_value_in_the_frame_is_another_question():
    assert PHONES.differs("is the iphone 15 in stock", "", "is the iphone 14 in stock")
    assert PHONES.differs("is the iphone 16 in stock", "", "is the iphone 14 in stock")
    assert not PHONES.differs("is the iphone 14 in stock now", "", "is the iphone 14 in stock")
    assert not PHONES.differs("where is the nearest shop", "", "is the iphone 14 in stock")
    assert not PHONES.differs("where are you", "", "where are you")


def test_the_frame_may_be_that_of_the_question_before():
    towns = learned(["上海门店的营业时间"], ["北京门店的营业时间"])
    assert towns.differs("北京呢", "上海门店的营业时间", "上海门店的营业时间")
    assert not towns.differs("上海呢", "北京门店的营业时间", "上海门店的营业时间")


def test_words_that_tell_no_entries_apart_make_no_slot():
    polite = learned(["can i return my order today"], ["can you return the order today"])
    assert not polite.differs("can we return an order today", "", "can i return my order today")


def test_an_entry_whose_other_phrasings_do_without_a_value_is_not_about_it():
    loose = learned(["小米手环怎么充电", "手环怎么充电", "给手环充电", "充电的办法"], ["华为手环怎么充电"])
    strict = learned(["小米手环怎么充电"], ["华为手环怎么充电"])
    assert strict.differs("华为手环怎么充电呢", "", "小米手环怎么充电")
    assert not loose.differs("华为手环怎么充电呢", "", "小米手环怎么充电")


def test_values_of_one_entry_do_not_stand_against_each_other():
    same = learned(["小米手环怎么充电", "华为手环怎么充电"], ["什么时候发货"])
    assert not same.differs("华为手环怎么充电", "", "小米手环怎么充电")
