"""What a column takes and gives back: texts, JSON, times, and numbers of rows."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from webchat.storage import faq, messages, operators, settings


@pytest.mark.parametrize("bad", ["NUL \0 inside", "half a character \ud83d"], ids=["nul", "surrogate"])
def test_text_that_cannot_be_stored_is_a_value_error(database, conversation, bad):
    """Cleaning is the web's work; here such a text only must not pass, nor look like a broken database."""
    with pytest.raises(ValueError, match=r"NUL character|surrogates"), database.write() as session:
        messages.add_question(session, conversation.id, bad, "c1")
    with pytest.raises(ValueError, match=r"NUL character|surrogates"), database.write() as session:
        operators.add(session, bad, "hash")
    with database.read() as session:
        assert messages.thread(session, conversation.id) == []


def test_json_that_cannot_be_stored_is_a_value_error(database):
    for bad in (float("nan"), "half a character \ud83d"):
        with pytest.raises(ValueError, match=r"JSON|surrogates"), database.write() as session:
            settings.put(session, "key", bad)


@pytest.mark.postgres
def test_text_too_long_for_its_index_is_a_value_error(postgres_database):
    phrasing = "".join(chr(0x4E00 + n * 7 % 20000) for n in range(3000))  # does not compress
    with pytest.raises(ValueError, match="too long"), postgres_database.write() as session:
        faq.create(session, phrasings=[phrasing], answer="a")


def test_any_other_text_comes_back_as_it_was(database, conversation):
    texts = [
        "",
        " 空格 ",
        "emoji 👩‍👩‍👧",
        "'; DROP TABLE messages; --",
        "%_\\/",
        "\u202e\ufeff\ufffd",
        "长" * 100_000,
    ]
    with database.write() as session:
        for number, said in enumerate(texts):
            messages.add_question(session, conversation.id, said, f"t{number}")
    with database.read() as session:
        assert [message.text for message in messages.thread(session, conversation.id)] == texts


def test_times_are_utc_on_both_sides(database, conversation):
    noon_in_shanghai = datetime(2026, 1, 2, 12, 0, 0, 123456, tzinfo=timezone(timedelta(hours=8)))
    with database.write() as session:
        entry = faq.create(session, phrasings=["q"], answer="a", valid_from=noon_in_shanghai)
    with database.read() as session:
        found = faq.get(session, entry.id).valid_from
    assert (found, found.tzinfo) == (noon_in_shanghai, UTC)


def test_a_time_without_a_zone_is_refused(database):
    naive = datetime(2026, 1, 2)  # noqa: DTZ001  # the mistake under test
    with pytest.raises(ValueError, match="without a zone"), database.write() as session:
        faq.create(session, phrasings=["q"], answer="a", valid_from=naive)


@pytest.mark.parametrize("number", [-1, 0, 2**31, 2**63, 10**30])
def test_a_number_no_row_can_have_meets_no_row(database, conversation, number):
    with database.read() as session:
        assert messages.get(session, conversation.id, number) is None
        assert messages.get(session, number, 1) is None
        assert faq.get(session, number) is None
        assert operators.by_id(session, number) is None


def test_numbers_of_removed_rows_are_not_used_again(database):
    with database.write() as session:
        removed = faq.create(session, phrasings=["q"], answer="a")
        faq.remove(session, removed)
    with database.write() as session:
        assert faq.create(session, phrasings=["q"], answer="a").id > removed.id
