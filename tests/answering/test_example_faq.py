"""The example FAQ: what its file holds, and when it is loaded."""

from __future__ import annotations

import shutil
from collections import Counter
from contextlib import closing

import pytest

from webchat.answering.example_faq import load_example_faq, load_into_new_database, read_example
from webchat.answering.faq.index import FaqIndex
from webchat.answering.normalise import normalise
from webchat.storage import faq
from webchat.storage.database import Database


@pytest.fixture
def database(migrated_file, tmp_path):
    shutil.copy(migrated_file, tmp_path / "webchat.db")
    with closing(Database(f"sqlite:///{tmp_path / 'webchat.db'}")) as database:
        yield database


def batch_size(database):
    with database.read() as session:
        return faq.batch_size(session, "example")


def test_every_question_of_the_example_gets_its_own_answer(database):
    entries = read_example()
    assert load_example_faq(database) == len(entries)
    index = FaqIndex(database)
    for entry in entries:
        for phrasing in entry.phrasings:
            assert index.find(phrasing).answer.answer == entry.answer


def test_no_two_questions_of_the_example_are_the_same_to_the_matcher():
    spellings = Counter(normalise(phrasing) for entry in read_example() for phrasing in set(entry.phrasings))
    assert [spelling for spelling, count in spellings.items() if count > 1] == []
    assert "" not in spellings


def test_the_example_is_about_the_size_of_a_small_shops_faq():
    entries = read_example()
    assert 60 <= len(entries) <= 100
    assert all(entry.answer and entry.group_name and entry.origin == "imported" for entry in entries)


def test_a_new_database_gets_the_example_once(database):
    assert load_into_new_database(database) > 0
    assert load_into_new_database(database) == 0
    assert batch_size(database) == len(read_example())


def test_a_database_that_was_used_is_left_alone(database):
    with database.write() as session:
        faq.remove(session, faq.create(session, phrasings=["问"], answer="答"))
    assert load_into_new_database(database) == 0
    assert batch_size(database) == 0


def test_an_example_that_was_removed_stays_away_until_it_is_wanted(database):
    load_into_new_database(database)
    with database.write() as session:
        faq.remove_batch(session, "example")
    assert load_into_new_database(database) == 0
    assert load_example_faq(database) == len(read_example())
    assert load_example_faq(database) == 0
