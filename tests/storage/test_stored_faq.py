"""FAQ entries: what answers now, searching, changing, and a version that counts every change."""

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event

from webchat.storage import faq
from webchat.storage.faq import NewEntry

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
NOW = datetime.now(UTC)


def add(database, *phrasings, answer="答案", **more):
    with database.write() as session:
        return faq.create(session, phrasings=phrasings, answer=answer, **more)


def texts(entry):
    return [phrasing.text for phrasing in entry.phrasings]


@contextmanager
def version_grows_by(database, changes):
    with database.read() as session:
        before = faq.version(session)
    yield
    with database.read() as session:
        assert faq.version(session) - before == changes


def test_a_new_database_was_never_used(database):
    with database.read() as session:
        assert not faq.ever_used(session)
        assert faq.published_phrasings(session) == []
        assert faq.top(session, 5) == []
        assert faq.search(session, "") == ([], 0)


def test_a_database_stays_used_when_everything_was_removed(database):
    entry = add(database, "q")
    with database.write() as session:
        faq.remove(session, faq.get(session, entry.id))
    with database.read() as session:
        assert faq.ever_used(session)
        assert faq.search(session, "") == ([], 0)


def test_phrasings_keep_their_order_and_the_first_is_the_question(database):
    entry = add(database, "几天到货", "什么时候到", "发货多久")
    with database.read() as session:
        found = faq.get(session, entry.id)
    assert found.question == "几天到货"
    assert texts(found) == ["几天到货", "什么时候到", "发货多久"]
    assert [phrasing.position for phrasing in found.phrasings] == [0, 1, 2]


def test_a_phrasing_said_twice_is_stored_once(database):
    assert texts(add(database, "a", "b", "a")) == ["a", "b"]


def test_an_entry_needs_a_phrasing(database):
    entry = add(database, "q")
    with pytest.raises(ValueError, match="at least one phrasing"):
        add(database)
    with pytest.raises(ValueError, match="at least one phrasing"), database.write() as session:
        faq.update(session, faq.get(session, entry.id), phrasings=[], answer="a", group_name="")


@pytest.mark.parametrize(
    ("valid_from", "valid_until", "suggested"),
    [
        (None, None, True),
        (NOW - HOUR, None, True),
        (None, NOW + HOUR, True),
        (NOW + HOUR, None, False),
        (None, NOW - HOUR, False),
    ],
    ids=["always", "begun", "not yet over", "not yet begun", "over"],
)
def test_an_entry_is_suggested_while_it_is_valid(database, valid_from, valid_until, suggested):
    entry = add(database, "q", valid_from=valid_from, valid_until=valid_until)
    with database.read() as session:
        assert bool(faq.top(session, 5)) is suggested
        assert {found for found, _ in faq.published_phrasings(session)} == {entry.id}


def test_drafts_and_disabled_entries_do_not_answer(database):
    add(database, "draft", status="draft")
    add(database, "disabled", status="disabled")
    live = add(database, "live")
    with database.read() as session:
        assert {entry for entry, _ in faq.published_phrasings(session)} == {live.id}
        assert [entry.id for entry in faq.top(session, 5)] == [live.id]
        assert faq.top_questions(session, 5) == ["live"]


def test_the_most_hit_entries_are_suggested_first_then_the_oldest(database):
    first, second, third = add(database, "1"), add(database, "2"), add(database, "3")
    with database.write() as session:
        faq.count_hit(session, third.id)
        faq.count_hit(session, third.id)
    with database.read() as session:
        assert [entry.id for entry in faq.top(session, 5)] == [third.id, first.id, second.id]
        assert len(faq.top(session, 2)) == 2
        assert faq.top_questions(session, 5) == ["3", "1", "2"]
        assert faq.top_questions(session, 2) == ["3", "1"]
        assert faq.get(session, third.id).hits == 2


def test_a_search_looks_into_answers_and_every_phrasing(database):
    shipping = add(database, "几天到货", "What about Shipping", answer="三天。")
    returns = add(database, "怎么退货", answer="联系客服，**七天**内。")
    with database.read() as session:
        assert found_by(session, "到货") == [shipping.id]
        assert found_by(session, "shipping") == [shipping.id]
        assert found_by(session, "七天") == [returns.id]
        assert found_by(session, "货") == [returns.id, shipping.id]
        assert found_by(session, "没有") == []


def found_by(session, searched):
    entries, total = faq.search(session, searched)
    assert total == len(entries)
    return [entry.id for entry in entries]


def test_a_search_wants_every_word_and_puts_questions_before_answers(database):
    asked = add(database, "red shoes", "big size", answer="yes")
    said = add(database, "shoes", answer="They are big and red.")
    add(database, "red", answer="no")
    with database.read() as session:
        assert found_by(session, "red big") == found_by(session, " BIG\u3000red  red") == [asked.id, said.id]
        assert found_by(session, "shoes yes") == [asked.id]
        assert found_by(session, "shoes % red") == []


@pytest.mark.parametrize("wildcard", ["%", "_", "\\", "/", "'", '"', "[", "*", "%%"])
def test_a_search_takes_wildcards_as_they_are(database, wildcard):
    literal = add(database, f"满减{wildcard}折扣")
    add(database, "满减的折扣")
    with database.read() as session:
        assert found_by(session, wildcard) == [literal.id]
        assert found_by(session, f"减{wildcard}折") == [literal.id]


def test_a_search_keeps_to_a_status(database):
    draft = add(database, "q1", status="draft")
    add(database, "q2")
    with database.read() as session:
        entries, total = faq.search(session, "q", status="draft")
    assert ([entry.id for entry in entries], total) == ([draft.id], 1)


def test_a_search_gives_pages_last_changed_first(database):
    ids = [add(database, f"q{number}", f"another q{number}").id for number in range(7)]
    with database.write() as session:
        faq.set_status(session, faq.get(session, ids[0]), "disabled")
    newest_first = [ids[0], *reversed(ids[1:])]
    with database.read() as session:
        pages = [faq.search(session, "q", limit=3, offset=offset) for offset in (0, 3, 6, 9)]
    assert [entry.id for entries, _ in pages for entry in entries] == newest_first
    assert [total for _, total in pages] == [7, 7, 7, 7]


def test_lists_take_the_same_number_of_queries_however_long_they_are(database):
    def queries():
        seen = []
        event.listen(database._engine, "before_cursor_execute", note := lambda *args: seen.append(args[2]))
        with database.read() as session:
            for entries in (faq.search(session, "")[0], faq.top(session, 50)):
                for entry in entries:
                    texts(entry)
        event.remove(database._engine, "before_cursor_execute", note)
        return len(seen)

    add(database, "q")
    few = queries()
    with database.write() as session:
        faq.add_batch(session, [NewEntry([f"q{n}", f"r{n}"], "a") for n in range(40)], "many")
    assert queries() == few


def test_an_entry_is_replaced_as_a_whole(database):
    entry = add(database, "a", "b", "c", answer="old", group_name="g")
    with database.write() as session:
        found = faq.get(session, entry.id)
        kept = {phrasing.text: phrasing.id for phrasing in found.phrasings}
        faq.update(session, found, phrasings=["c", "new", "a"], answer="new", group_name="h", valid_until=NOON)
    with database.read() as session:
        changed = faq.get(session, entry.id)
    assert texts(changed) == ["c", "new", "a"]
    assert [phrasing.position for phrasing in changed.phrasings] == [0, 1, 2]
    assert (changed.phrasings[0].id, changed.phrasings[2].id) == (kept["c"], kept["a"])
    assert (changed.answer, changed.group_name, changed.valid_until) == ("new", "h", NOON)
    assert changed.updated_at > changed.created_at


def test_every_change_counts_up_the_version_once(database):
    with version_grows_by(database, 1):
        entry_id = add(database, "a", "b").id
    with version_grows_by(database, 1), database.write() as session:
        faq.update(session, faq.get(session, entry_id), phrasings=["b"], answer="x", group_name="")
    with version_grows_by(database, 1), database.write() as session:
        faq.set_status(session, faq.get(session, entry_id), "disabled")
    with version_grows_by(database, 1), database.write() as session:
        faq.remove(session, faq.get(session, entry_id))
    with version_grows_by(database, 1), database.write() as session:
        assert faq.add_batch(session, [NewEntry([f"q{n}"], "a") for n in range(5)], "example") == 5
    with version_grows_by(database, 1), database.write() as session:
        assert faq.remove_batch(session, "example") == 5


def test_changes_of_one_transaction_are_each_counted(database):
    with version_grows_by(database, 3), database.write() as session:
        entry = faq.create(session, phrasings=["a"], answer="x")
        faq.set_status(session, entry, "disabled")
        faq.remove(session, entry)


def test_what_changes_nothing_leaves_the_version(database):
    entry = add(database, "a")
    with version_grows_by(database, 0), database.write() as session:
        faq.count_hit(session, entry.id)
        faq.set_status(session, faq.get(session, entry.id), "published")
        assert faq.remove_batch(session, "nothing") == 0
        assert faq.add_batch(session, [], "nothing") == 0
        faq.search(session, "a")
        faq.published_phrasings(session)


def test_a_change_that_is_rolled_back_leaves_the_version(database):
    def create_badly():
        with database.write() as session:
            faq.create(session, phrasings=["a"], answer="x")
            raise LookupError

    with version_grows_by(database, 0), pytest.raises(LookupError):
        create_badly()


def test_a_hit_does_not_move_an_entry_to_the_top_of_the_list(database):
    older, newer = add(database, "1"), add(database, "2")
    with database.write() as session:
        faq.count_hit(session, older.id)
        assert found_by(session, "") == [newer.id, older.id]


def test_a_batch_is_added_counted_and_removed_by_its_name(database):
    own = add(database, "own")
    rows = [
        NewEntry(["几天到货", "多久到"], "三天。", "物流", origin="curated"),
        NewEntry(["草稿"], "答", status="draft"),
    ]
    with database.write() as session:
        faq.add_batch(session, rows, "example")
    with database.read() as session:
        assert faq.batch_size(session, "example") == 2
        assert faq.batch_size(session, "other") == 0
        (found, draft), _ = faq.search(session, "", limit=2)
        newest = {found.question: found, draft.question: draft}
    imported = newest["几天到货"]
    assert (texts(imported), imported.group_name, imported.origin) == (
        ["几天到货", "多久到"],
        "物流",
        "curated",
    )
    assert (newest["草稿"].status, newest["草稿"].origin, newest["草稿"].batch) == (
        "draft",
        "imported",
        "example",
    )
    with database.write() as session:
        assert faq.remove_batch(session, "example") == 2
        assert faq.batch_size(session, "example") == 0
        assert found_by(session, "") == [own.id]
        assert found_by(session, "几天") == []


def test_a_batch_with_one_bad_entry_adds_nothing(database):
    with pytest.raises(ValueError, match="at least one phrasing"), database.write() as session:
        faq.add_batch(session, [NewEntry(["fine"], "a"), NewEntry([], "a")], "bad")
    with database.read() as session:
        assert faq.search(session, "") == ([], 0)
        assert not faq.ever_used(session)
