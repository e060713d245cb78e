"""Vectors are made once, kept by encoder and text, and found again; on encoders of random weights."""

from __future__ import annotations

from contextlib import closing

import numpy as np
import pytest
from support.tiny_encoders import unpack_wheels, write_tiny_bert, write_wheels

from webchat.answering.faq import vectors
from webchat.answering.faq.index import FaqIndex
from webchat.answering.faq.vectors import OutOfTime, Remembering, forget_unused, vectors_of
from webchat.config import load_settings
from webchat.engine.encoders import open_encoder
from webchat.engine.generation import EngineUnavailable
from webchat.storage import faq
from webchat.storage import vectors as stored

TEXTS = ["怎么退货", "几天发货", "怎么退货", "how do I return it"]


class Listening:
    """An encoder that says what it was asked, and may be told to fail after so many calls."""

    def __init__(self, encoder, calls=None):
        self._encoder, self._calls = encoder, calls
        self.name, self.parts = encoder.name, encoder.parts
        self.asked = []

    def encode(self, texts, *, urgent=True):
        if self._calls is not None and len(self.asked) >= self._calls:
            raise EngineUnavailable("closed")
        self.asked.append(list(texts))
        return self._encoder.encode(texts, urgent=urgent)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoders")
    write_wheels(folder / "wheels")
    unpack_wheels(folder / "wheels", folder / "data")
    with closing(open_encoder(load_settings(data_dir=folder / "data"))) as encoder:
        yield encoder


def test_each_text_is_encoded_once_and_found_again(database, encoder):
    listening = Listening(encoder)
    rows = vectors_of(TEXTS, listening, database)
    assert listening.asked == [["怎么退货", "几天发货", "how do I return it"]]
    assert np.array_equal(rows[0], rows[2])
    assert np.abs(rows - encoder.encode(TEXTS)).max() < 1e-3
    assert np.array_equal(vectors_of([*TEXTS, "怎么退货\u200d"], listening, database)[:4], rows)
    assert len(listening.asked) == 1


def test_another_encoders_vectors_are_not_taken_for_ours(database, encoder, tmp_path):
    vectors_of(TEXTS, encoder, database)
    other = tmp_path / "bert.gguf"
    write_tiny_bert(other)
    with closing(open_encoder(load_settings(data_dir=tmp_path, encoder=str(other)))) as bert:
        listening = Listening(bert)
        assert vectors_of(TEXTS, listening, database).shape == (4, sum(bert.parts))
        assert len(listening.asked) == 1
        forget_unused(TEXTS, bert, database)
    with database.read() as session:
        assert len(stored.digests(session, bert.name)) == 3
        assert stored.digests(session, encoder.name) == set()


def test_who_is_interrupted_goes_on_where_it_stopped(database, encoder):
    texts = [f"第{number}件多少钱" for number in range(35)]
    shown = []
    with pytest.raises(EngineUnavailable):
        vectors_of(texts, Listening(encoder, calls=2), database, lambda *done: shown.append(done), together=10)
    assert shown == [(10, 35), (20, 35)]
    listening = Listening(encoder)
    assert vectors_of(texts, listening, database, together=10).shape[0] == 35
    assert sum(map(len, listening.asked)) == 15


def test_what_is_not_encoded_in_time_is_said_and_the_next_try_comes_further(database, encoder):
    texts, listening = [f"第{number}个说法" for number in range(9)], Listening(encoder)
    remembering = Remembering(listening, database)
    for _ in range(2):
        with pytest.raises(OutOfTime):
            remembering.encode_until(0, texts)
    assert remembering.encode_until(0, texts).shape[0] == 9
    assert [len(each) for each in listening.asked] == [4, 4, 1]


def test_what_a_rehearsal_asked_is_still_known_after_a_build(database, encoder):
    remembering = Remembering(encoder, database)
    remembering.encode([f"第{number}个问题" for number in range(20)])
    forget_unused(["一"], encoder, database)
    listening = Listening(encoder)
    Remembering(listening, database).encode(["第7个问题"])
    assert listening.asked == []


def test_what_nothing_needs_is_kept_for_an_undo_until_it_is_more_than_what_is_needed(database, encoder, monkeypatch):
    monkeypatch.setattr(vectors, "_SPARE", 0)
    vectors_of(["一", "二", "三"], encoder, database)
    for texts, left in ((["一", "二"], 3), (["一"], 1)):
        forget_unused(texts, encoder, database)
        with database.read() as session:
            assert len(stored.digests(session, encoder.name)) == left


def test_an_index_answers_by_letters_first_and_has_vectors_when_it_is_built(database, encoder):
    with database.write() as session:
        for question in ("怎么退货", "几天发货", "怎么开发票", "支持哪些付款方式"):
            faq.create(session, phrasings=[question], answer=f"关于{question}")
    with closing(FaqIndex(database, encoder)) as index:
        assert index.find("请问怎么退货呢").answer.how == "exact"
        assert index.settle()
        assert index._loaded.matcher._frame.space is not None
        with database.write() as session:
            faq.create(session, phrasings=["有实体店吗"], answer="没有")
        assert index.find("有实体店吗").answer.answer == "没有"
        assert index.settle()
        assert index._loaded.edited == frozenset()
    with database.read() as session:
        assert len(stored.digests(session, encoder.name)) == 5


def test_a_closed_encoder_costs_the_meaning_and_not_the_answer(database, encoder):
    with database.write() as session:
        faq.create(session, phrasings=["怎么退货"], answer="七天")
        faq.create(session, phrasings=["几天发货"], answer="两天")
    with closing(FaqIndex(database, Listening(encoder, calls=1))) as index:
        assert index.find("怎么退货").answer
        assert index.settle()
        assert index.find("怎么退货").answer.answer == "七天"
        assert index.find("我想把东西退货").band == "abstain"
