"""The way to a person: a form without a script, stored once, and said in the conversation."""

import pytest
from support.visitor import text_of

from webchat.storage import tickets

FAQ = "怎么退货？"
FILLED = {"what": "杯子碎了，想换一个", "contact": "小周 138 0000 0000", "consent": "yes", "client_id": "ticket-1"}


@pytest.fixture
def database(site):
    return site.extensions["webchat"].database


def all_open(database):
    with database.read() as rows:
        return [(ticket.what, ticket.contact) for ticket, _ in tickets.listed(rows, "open", limit=50)[0]]


def test_the_way_to_a_person_is_on_every_page(alice):
    conversation = alice.ask(FAQ)
    for path, target in (("/", "/c/new/person"), (f"/c/{conversation}", f"/c/{conversation}/person")):
        assert f'href="{target}"' in alice.get(path).text
        assert "找人工" in text_of(alice.get(target))


def test_who_asks_for_a_person_is_shown_the_way(alice):
    conversation = alice.ask("转人工")
    answer = alice.get(f"/c/{conversation}").text.partition('data-role="assistant"')[2]
    assert f'href="/c/{conversation}/person"' in answer


def test_what_was_left_is_a_ticket_with_its_conversation(database, alice):
    conversation = alice.ask(FAQ)
    before = len(all_open(database))
    sent = FILLED | {"client_id": f"ticket-{conversation[:8]}"}
    response = alice.post(f"/c/{conversation}/person", **sent)
    assert (response.status_code, response.headers["Location"]) == (303, f"/c/{conversation}")
    page = alice.page(conversation)
    assert [message.role for message in page.messages] == ["visitor", "assistant"] * 2
    assert "已交给店家" in page.messages[-1].text
    assert "138 0000 0000" in page.messages[-1].text
    assert len(all_open(database)) == before + 1
    assert "/edit" not in alice.get(f"/c/{conversation}").text.rpartition("杯子碎了")[2], "it is no question"
    asked = page.messages[-2].id
    assert alice.post(f"/c/{conversation}/messages/{asked}/edit", text="x", client_id="edit-of-it").status_code == 409
    assert alice.post(f"/c/{conversation}/person", **sent).status_code == 303
    assert len(all_open(database)) == before + 1, "sent twice it is one"


def test_a_ticket_may_be_the_first_word(alice):
    response = alice.post("/c/new/person", **FILLED | {"client_id": "ticket-first"})
    page = alice.get(response.headers["Location"])
    assert "杯子碎了" in text_of(page)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"what": " "}, "请填写这一项"),
        ({"contact": ""}, "请填写这一项"),
        ({"consent": ""}, "没有您的同意"),
        ({"what": "长" * 1001}, "最多 1000 个字符"),
        ({"contact": "9" * 201}, "最多 200 个字符"),
        ({"what": "字\0符", "consent": ""}, "没有您的同意"),
    ],
)
def test_what_is_missing_is_said_and_nothing_typed_is_lost(database, alice, change, sentence):
    before = all_open(database)
    response = alice.post("/c/new/person", **FILLED | change)
    assert response.status_code == 422
    assert sentence in text_of(response)
    for name in {"what", "contact"} - set(change):
        assert FILLED[name] in response.text
    assert all_open(database) == before


def test_nobody_writes_into_another_visitors_conversation(alice, bob):
    conversation = alice.ask(FAQ)
    assert bob.get(f"/c/{conversation}/person").status_code == 404
    assert bob.post(f"/c/{conversation}/person", **FILLED).status_code == 404


def test_hostile_words_are_text(alice):
    response = alice.post("/c/new/person", **FILLED | {"what": "<script>x</script>", "consent": ""})
    assert "<script>x" not in response.text
