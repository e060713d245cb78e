"""The matcher by letters and sounds: what it finds, what an edit changes, and that no text breaks it."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from webchat.answering.faq.matcher import EXACT, TOP, Match, Matcher
from webchat.answering.faq.rows import Phrasing

SHOP = [
    Phrasing(1, "七天内可以换货吗"),
    Phrasing(1, "怎么换货"),
    Phrasing(2, "什么时候发货"),
    Phrasing(3, "可以开发票吗"),
    Phrasing(3, "没有发票怎么办", negative=True),
    Phrasing(4, "Where is your shop?"),
]
QUESTIONS = ["換貨怎麼辦", "fahuo", "没有发票怎么办", "where's the shop", "发票", "😀", ""]


@pytest.fixture(scope="module")
def shop() -> Matcher:
    return Matcher(SHOP)


def test_a_phrasing_is_answered_however_it_is_spelt(shop: Matcher) -> None:
    match = shop.match("七天內可以換貨嗎？")
    assert match.exact
    assert match.band == "answer"
    assert [(found.entry, found.score) for found in match.candidates] == [(1, EXACT)]


def test_a_negative_is_not_answered_by_its_entry(shop: Matcher) -> None:
    match = shop.match("没有发票怎么办")
    assert match.band != "answer"
    assert 3 not in [found.entry for found in match.candidates], "nor is it offered"
    similar = shop.match("没有发票该怎么办")
    assert similar.band != "answer"
    assert all("negative" in found.guards for found in similar.candidates if found.entry == 3)


def test_two_entries_with_one_phrasing_are_both_told() -> None:
    match = Matcher([Phrasing(1, "怎么退款"), Phrasing(2, "怎么退款？")]).match("怎么退款")
    assert [found.entry for found in match.candidates] == [1, 2]


@pytest.mark.parametrize("question", ["", "😀😀😀", "？？？", "a", "\0"])
def test_what_says_nothing_is_not_answered(shop: Matcher, question: str) -> None:
    assert shop.match(question) == Match("abstain", ())


def test_an_empty_faq_answers_nothing() -> None:
    assert Matcher([]).match("什么时候发货") == Match("abstain", ())


def test_edits_that_change_nothing_change_nothing(shop: Matcher) -> None:
    edited = shop.edited({1}, [phrasing for phrasing in SHOP if phrasing.entry == 1])
    for question in QUESTIONS:
        before, after = shop.match(question), edited.match(question)
        assert after.band == before.band
        assert {found.entry: found.score for found in after.candidates} == pytest.approx(
            {found.entry: found.score for found in before.candidates}
        )


def test_a_removed_entry_is_gone_and_the_older_matcher_keeps_it(shop: Matcher) -> None:
    assert not shop.edited({2}, []).match("什么时候发货").exact
    assert shop.match("什么时候发货").exact


@given(st.text(max_size=200), st.none() | st.text(max_size=50))
def test_no_text_breaks_it(shop: Matcher, question: str, previous: str | None) -> None:
    match = shop.match(question, previous)
    scores = [found.score + 0.4 * bool(found.guards) for found in match.candidates]
    assert len(scores) <= TOP
    assert match.exact or scores == sorted(scores, reverse=True)


def test_a_question_as_long_as_they_come(shop: Matcher) -> None:
    assert len(shop.match("什么时候发货，" * 285).candidates) <= TOP


@lru_cache(None)
def _vector(char, size):
    return np.random.default_rng(ord(char) * size).standard_normal(size)


class SpeltVectors:
    """An encoder whose vectors are sums of one for each character: alike texts have alike vectors, in two parts."""

    name, parts = "spelt", (300, 320)

    def encode(self, texts, *, urgent=True):
        rows = [[self._of(text, part) for part in self.parts] for text in texts]
        return np.array([np.concatenate(row) for row in rows], np.float32)

    def _of(self, text, size):
        total = sum(_vector(char, size) for char in text)
        return total / np.linalg.norm(total)


def test_a_large_faq_finds_what_it_would_find_by_comparing_everything(monkeypatch):
    things = [f"{a}{b}{c}" for a in "甲乙丙丁戊己庚辛壬癸" for b in "东南西北上下左右前后" for c in "春夏秋冬风花雪月"]
    phrasings = [Phrasing(number, f"{thing}怎么办") for number, thing in enumerate(things)]
    phrasings += [Phrasing(number, f"{thing}多少钱", negative=True) for number, thing in enumerate(things)]
    phrasings += [Phrasing(number, f"如何处理{thing}") for number, thing in enumerate(things)]
    coarse = Matcher(phrasings, SpeltVectors())
    monkeypatch.setattr("webchat.answering.faq.rows._LARGE", len(phrasings))
    full = Matcher(phrasings, SpeltVectors())
    assert coarse._built._coarse is not None
    assert full._built._coarse is None
    for thing in things[::40]:
        for question in (f"请问{thing}应该怎么办", f"{thing}多少钱啊", f"处理{thing}吗"):
            by_coarse, by_full = coarse.match(question), full.match(question)
            assert by_coarse.band == by_full.band
            assert by_coarse.candidates[0].entry == by_full.candidates[0].entry
            assert by_coarse.candidates[0].score == pytest.approx(by_full.candidates[0].score, abs=1e-5)
