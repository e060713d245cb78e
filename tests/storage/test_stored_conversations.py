"""Conversations: opened once, found by their owner, listed by when they were last spoken in."""

import pytest

from webchat.storage import conversations
from webchat.storage.database import Conflict


def open_for(session, visitor_id, title="问题", client_id=None, channel="page"):
    return conversations.open_conversation(
        session, visitor_id=visitor_id, channel=channel, language="zh", title=title, client_id=client_id
    )


def test_its_public_id_cannot_be_guessed_and_fits_an_address(database):
    with database.write() as session:
        ids = {open_for(session, "alice").public_id for _ in range(50)}
    assert len(ids) == 50
    for public_id in ids:
        assert len(public_id) == 24  # 18 random bytes, 144 bits
        assert public_id.replace("-", "").replace("_", "").isalnum()


def test_it_is_found_by_its_public_id(database, conversation):
    with database.read() as session:
        found = conversations.by_public_id(session, conversation.public_id)
    assert (found.id, found.visitor_id, found.channel, found.language) == (
        conversation.id,
        "alice",
        "page",
        "zh",
    )
    assert found.status == "open"


@pytest.mark.parametrize("address", ["", "nobody", "\0", "\ud83d", "％", "' OR 1=1 --", "x" * 100_000])
def test_an_address_of_no_conversation_finds_none(database, conversation, address):
    with database.read() as session:
        assert conversations.by_public_id(session, address) is None


def test_its_title_is_the_beginning_of_the_first_question_on_one_line(database):
    with database.write() as session:
        assert open_for(session, "alice", title=" 你好，\n\n请问   几天到货？ ").title == "你好， 请问 几天到货？"
        assert open_for(session, "alice", title="长" * 2000).title == "长" * 60
        assert open_for(session, "alice", title="").title == ""


def test_the_same_first_question_of_a_visitor_opens_one(database, conversation):
    with pytest.raises(Conflict), database.write() as session:
        open_for(session, "alice", client_id="c0")
    with database.write() as session:
        assert conversations.opened_with(session, "alice", "c0").id == conversation.id
        assert conversations.opened_with(session, "bob", "c0") is None
        assert open_for(session, "bob", client_id="c0").id != conversation.id


def test_a_visitor_may_open_many_without_a_client_id(database):
    with database.write() as session:
        open_for(session, "alice")
        open_for(session, "alice")
        open_for(session, None, client_id="c0", channel="api")
        open_for(session, None, client_id="c0", channel="api")


def test_the_one_last_spoken_in_comes_first_and_strangers_see_none(database):
    with database.write() as session:
        first, second, third = (open_for(session, "alice") for _ in range(3))
        open_for(session, "bob")
        open_for(session, None, channel="api")
    with database.write() as session:
        conversations.touch(session, first.id)
    with database.read() as session:
        listed = [found.id for found in conversations.recent_of_visitor(session, "alice")]
        assert listed == [first.id, third.id, second.id]
        assert len(conversations.recent_of_visitor(session, "alice", limit=2)) == 2
        assert conversations.recent_of_visitor(session, "charlie") == []
