"""The inbox's page, without JavaScript: what waits, what an operator makes of it, and the way back."""

import pytest
from admin_cast import actions, text_of
from sqlalchemy import select
from support.said import REFUSED, chose, not_what_was_asked, said

from webchat.storage import faq, inbox
from webchat.storage.tables import Case, Conversation, InboxGroup


@pytest.fixture
def learn(app):
    """Bring the inbox up to date now."""
    return app.extensions["webchat"].learner.catch_up


def group(database, status="open"):
    """The only group of this status."""
    with database.read() as session:
        ((found,), _) = inbox.listed(session, status)
    return found


def entry_of(database, entry_id):
    with database.read() as session:
        stored = faq.get(session, entry_id)
        return stored and ([phrasing.text for phrasing in stored.phrasings], stored.answer, stored.status)


def negatives_of(database, entry_id):
    with database.read() as session:
        return [negative.text for negative in faq.get(session, entry_id).negatives]


def act(browser, found, action, **fields):
    return browser.post(f"/admin/inbox/{found.group.id}/{action}", **fields)


def test_an_empty_inbox_says_so_and_a_stranger_signs_in_first(lin, stranger):
    assert "Nothing waits here" in text_of(lin.get("/admin/inbox"))
    assert "There is nothing here yet" in text_of(lin.get("/admin/inbox?status=dismissed"))
    assert stranger.get("/admin/inbox").status_code == 303
    assert stranger.post("/admin/inbox/1/dismiss").status_code in (302, 303, 401)


def test_what_visitors_asked_waits_with_a_number_in_the_navigation(database, lin, learn):
    for visitor in "ab":
        said(database, "能不能开发票", visitor=visitor)
    said(database, "<script>alert(1)</script>", **REFUSED)
    learn()
    page = lin.get("/admin/inbox")
    assert "<script>alert" not in page.text
    text = text_of(page)
    for expected in (
        "能不能开发票",
        "asked 2 times",
        "in 2 conversations",
        "answered by the AI: 2",
        "left to a person: 1",
    ):
        assert expected in text
    assert '<span class="count">2<' in lin.get("/admin/faq").text
    assert "2 groups" in text
    assert "1 group" in text_of(lin.get("/admin/inbox?q=发票"))
    assert "Nothing was found" in text_of(lin.get("/admin/inbox?q=退货"))
    assert lin.get("/admin/inbox?q=%00&page=99999999999&status=nonsense").status_code == 200


def test_an_answer_is_written_and_answers_at_once(app, database, lin, learn):
    said(database, "能不能开发票", "可以，电话13812345678。")
    said(database, "能不能开发票啊")
    learn()
    found = group(database)
    wording = ["能不能开发票", "能不能开发票啊", "不是问过的"]
    form = act(lin, found, "write", wording=wording)
    entry_id = int(form.location.split("/admin/faq/")[1].split("?")[0])
    assert entry_of(database, entry_id) == (wording[:2], "可以的。", "draft")
    assert act(lin, found, "write").location == form.location, "a second draft"
    assert "Go on with the draft" in text_of(lin.get("/admin/inbox"))
    saved = lin.edit(entry_id, "\n".join(wording[:2]), "可以开电子发票。", seen=lin.seen(entry_id), publish="1")
    assert saved.status_code == 303
    assert "可以开电子发票" in lin.ask("能不能开发票")
    assert group(database, "answered").group.id == found.group.id
    assert ("lin", "inbox.write") in actions(database)


def test_an_entry_without_an_answer_is_not_published(database, lin, learn):
    said(database, "几点关门", "请问店员。", **REFUSED)
    learn()
    location = act(lin, group(database), "write").location
    entry_id = int(location.split("/admin/faq/")[1].split("?")[0])
    refused = lin.post(f"/admin/faq/{entry_id}/status", status="published")
    assert "Write the answer first" in lin.follow(refused)
    assert entry_of(database, entry_id)[2] == "draft"


def test_an_entry_takes_the_wordings_and_gives_them_back(database, lin, learn, entry):
    answer = said(database, "东西不要了怎么弄", suggested=(entry.id,))
    chose(database, answer, entry.id)
    learn()
    found = group(database)
    assert "1 visitor chose “怎么退货？”" in text_of(lin.get("/admin/inbox"))
    page = lin.follow(act(lin, found, "join", entry=str(entry.id), wording=["东西不要了怎么弄"]))
    assert "From now on “怎么退货？” answers this" in page
    assert entry_of(database, entry.id)[0] == ["怎么退货？", "退货流程", "东西不要了怎么弄"]
    assert "七天内可以 退货" in lin.ask("东西不要了怎么弄")
    assert group(database, "answered").group.entry_id == entry.id
    assert "is as it was before" in lin.follow(lin.post("/admin/inbox/undo"))
    assert entry_of(database, entry.id)[0] == ["怎么退货？", "退货流程"]
    assert group(database).group.entry_id is None
    assert "nothing to undo" in lin.follow(lin.post("/admin/inbox/undo"))


def test_what_another_entry_answers_is_not_given_twice(database, lin, learn, entry):
    with database.write() as session:
        other = faq.create(session, phrasings=["东西不要了怎么弄"], answer="找店员。", status="draft")
    said(database, "东西不要了怎么弄")
    learn()
    with database.write() as session:
        faq.set_status(session, faq.get(session, other.id), "published")
    refused = act(lin, group(database), "join", entry=str(entry.id), anyway="1")
    assert "answered by “东西不要了怎么弄” already" in lin.follow(refused)
    assert entry_of(database, entry.id)[0] == ["怎么退货？", "退货流程"]
    assert group(database).group.status == "open"


def test_a_complaint_becomes_a_negative_and_the_entry_is_silent_at_once(app, database, lin, learn, entry):
    index = app.extensions["webchat"].index
    question = "怎么退货退货"
    before = index.find(question)
    assert before.answer, "the entry does not answer this in the first place"
    answer = said(database, question, "七天内。", source="faq", entry=entry.id)
    not_what_was_asked(database, answer)
    learn()
    found = group(database)
    assert "1 visitor says that “怎么退货？” is not what was asked" in text_of(lin.get("/admin/inbox"))
    page = lin.follow(act(lin, found, "deny", entry=str(entry.id)))
    assert "does not answer this any more" in page
    assert negatives_of(database, entry.id) == [question]
    assert index.find(question).answer is None
    assert "must not answer" not in text_of(lin.get("/admin/inbox"))
    lin.post("/admin/inbox/undo")
    assert negatives_of(database, entry.id) == []
    assert index.find(question).answer


def test_who_would_silence_more_than_the_complaint_is_told_first(database, lin, learn, entry):
    with database.write() as session:
        whole = faq.whole(session, entry.id)
        whole.cases.append(Case(text="怎么退货退货呢", must_hit=True))
    answer = said(database, "怎么退货退货", "七天内。", source="faq", entry=entry.id)
    not_what_was_asked(database, answer)
    learn()
    asked = act(lin, group(database), "deny", entry=str(entry.id))
    assert asked.status_code == 409
    assert "怎么退货退货呢" in text_of(asked)
    assert negatives_of(database, entry.id) == []
    act(lin, group(database), "deny", entry=str(entry.id), anyway="1")
    assert negatives_of(database, entry.id) == ["怎么退货退货"]


def test_a_complaint_about_the_entrys_own_words_changes_nothing(database, lin, learn, entry):
    answer = said(database, "怎么退货?", "七天内。", source="faq", entry=entry.id)
    not_what_was_asked(database, answer)
    learn()
    assert "in these very words" in lin.follow(act(lin, group(database), "deny", entry=str(entry.id)))
    assert negatives_of(database, entry.id) == []


def test_a_group_is_put_away_and_comes_back(database, lin, learn):
    said(database, "写一首诗")
    learn()
    found = group(database)
    assert "was put away" in lin.follow(act(lin, found, "dismiss"))
    assert '<span class="count">' not in lin.get("/admin/faq").text
    assert "写一首诗" in text_of(lin.get("/admin/inbox?status=dismissed"))
    assert "waits in the inbox again" in lin.follow(act(lin, found, "reopen"))
    lin.follow(act(lin, found, "dismiss"))
    lin.follow(lin.post("/admin/inbox/undo"))
    assert group(database).group.id == found.group.id


def test_an_entry_never_gets_more_wordings_than_its_form_takes(database, lin, learn, entry):
    with database.write() as session:
        many = [f"第 {number} 种问法" for number in range(50)]
        faq.update(session, faq.get(session, entry.id), phrasings=many, answer="七天内可以", group_name="")
    said(database, "东西不要了怎么弄")
    learn()
    assert "at most 50 questions" in lin.follow(act(lin, group(database), "join", entry=str(entry.id)))
    assert entry_of(database, entry.id)[0] == many
    assert group(database).group.status == "open"


def test_what_was_undone_is_named_even_when_the_group_is_gone(database, lin, learn, entry):
    said(database, "东西不要了怎么弄")
    learn()
    found = group(database)
    act(lin, found, "join", entry=str(entry.id))
    with database.write() as session:
        session.delete(session.get(InboxGroup, found.group.id))
    assert "“东西不要了怎么弄” is as it was before" in lin.follow(lin.post("/admin/inbox/undo"))
    assert entry_of(database, entry.id)[0] == ["怎么退货？", "退货流程"]


def test_two_operators_do_not_undo_each_other(database, lin, wei, learn):
    said(database, "写一首诗")
    learn()
    act(lin, group(database), "dismiss")
    assert "nothing to undo" in wei.follow(wei.post("/admin/inbox/undo"))
    assert group(database, "dismissed")


def test_what_is_gone_meanwhile_is_said(database, lin, learn, entry):
    said(database, "写一首诗")
    learn()
    found = group(database)
    assert "not there any more" in lin.follow(act(lin, found, "join", entry="999"))
    assert "not there any more" in lin.follow(lin.post("/admin/inbox/999/dismiss"))
    assert "not there any more" in lin.follow(act(lin, found, "deny", entry="what"))


def test_an_entry_that_answers_nobody_settles_nothing(database, lin, learn, entry):
    with database.write() as session:
        faq.set_status(session, faq.get(session, entry.id), "disabled")
    said(database, "东西不要了怎么弄", suggested=(entry.id,))
    learn()
    assert "not there any more" in lin.follow(act(lin, group(database), "join", entry=str(entry.id)))
    assert entry_of(database, entry.id)[0] == ["怎么退货？", "退货流程"]
    assert group(database).group.status == "open"


def test_the_way_back_leads_to_the_same_page(database, lin, learn):
    said(database, "写一首诗")
    learn()
    response = act(lin, group(database), "dismiss", status="open", q="诗", page="1")
    assert response.location == "/admin/inbox?status=open&q=%E8%AF%97&page=1"
    assert act(lin, group(database, "dismissed"), "reopen", status="//evil", page="x").location == "/admin/inbox"


def test_wordings_that_take_an_answer_from_another_question_are_shown_first(database, lin, learn, entry):
    with database.write() as session:
        questions = ["邮费", "东西不要了怎么办呢"]
        other = faq.create(session, phrasings=questions, answer="十元。", must_hit=questions[1:])
    said(database, "东西不要了怎么办")
    learn()
    found = group(database)
    fields = {"entry": str(entry.id), "wording": ["东西不要了怎么办", "从来没有人问过"], "status": "open"}
    asked = act(lin, found, "join", **fields)
    assert asked.status_code == 409, asked.text
    assert "must get “邮费”" in text_of(asked)
    assert entry_of(database, entry.id)[0] == ["怎么退货？", "退货流程"]
    assert group(database).group.status == "open"
    with database.write() as session:
        faq.update(session, faq.get(session, other.id), phrasings=["邮费"], answer="十元。", group_name="")
    lin.follow(act(lin, found, "join", anyway="1", **fields))
    assert entry_of(database, entry.id)[0] == ["怎么退货？", "退货流程", "东西不要了怎么办"]


def test_a_group_given_without_a_tick_is_rehearsed_too(database, lin, learn, entry):
    with database.write() as session:
        faq.create(
            session, phrasings=["邮费", "东西不要了怎么弄呢"], answer="十元。", must_hit=["东西不要了怎么弄呢呀"]
        )
    said(database, "东西不要了怎么弄", suggested=(entry.id,))
    learn()
    found = group(database)
    with_tick = act(lin, found, "join", entry=str(entry.id), wording=["东西不要了怎么弄"])
    without = act(lin, found, "join", entry=str(entry.id))
    assert with_tick.status_code == without.status_code == 409
    assert entry_of(database, entry.id)[0] == ["怎么退货？", "退货流程"]


def test_undo_leaves_alone_what_someone_has_done_since(database, lin, wei, learn, entry):
    said(database, "东西不要了怎么弄")
    learn()
    found = group(database)
    act(lin, found, "dismiss")
    act(wei, found, "reopen")
    act(wei, found, "join", entry=str(entry.id), anyway="1")
    assert "stays as it is" in lin.follow(lin.post("/admin/inbox/undo"))
    assert group(database, "answered").group.entry_id == entry.id


def test_a_written_draft_outlives_the_questions_it_was_written_for(database, lin, learn):
    said(database, "可以货到付款吗")
    learn()
    where = act(lin, group(database), "write").location
    entry_id = int(where.split("?")[0].rpartition("/")[2])
    with database.write() as session:
        for conversation in session.scalars(select(Conversation)):
            session.delete(conversation)
    said(database, "再来一个问题")
    learn()
    assert entry_of(database, entry_id)[2] == "draft"


def test_a_settled_group_stays_settled_for_what_was_asked_before(database, lin, learn, entry):
    said(database, "东西不要了怎么弄")
    learn()
    earlier = said(database, "东西不要了怎么弄")
    act(lin, group(database), "join", entry=str(entry.id), anyway="1")
    learn()
    assert group(database, "answered").group.entry_id == entry.id
    said(database, "东西不要了怎么弄")
    learn()
    assert group(database).group.entry_id == entry.id, "asked after it: the entry does not catch it"
    assert earlier
