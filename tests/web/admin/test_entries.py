"""What operators do to the FAQ, and that visitors get it at once."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from html import escape, unescape
from threading import Barrier
from zoneinfo import ZoneInfo

import pytest
from admin_cast import HTMX, actions, all_entries, stamp_in, stored, text_of

from webchat.config import LARGEST_BODY
from webchat.storage import audit, faq
from webchat.web.admin.entries import MAX_QUESTIONS
from webchat.web.admin.forms import MAX_ANSWER_CHARS, MAX_PHRASING_CHARS


def test_a_new_entry_answers_the_next_visitor(lin, stranger, database):
    assert "Visitors get this answer from now on" in lin.follow(
        lin.add("能刻字吗？\r\n可以刻名字吗", "可以，**免费**刻字。", group="定制", publish="1")
    )
    assert "免费 刻字" in stranger.ask("请问可以刻名字吗")
    (entry,) = all_entries(database)
    assert [phrasing.text for phrasing in entry.phrasings] == ["能刻字吗？", "可以刻名字吗"]
    assert (entry.group_name, entry.origin, entry.status) == ("定制", "curated", "published")
    assert actions(database)[0] == ("lin", "faq.add")


def test_an_edit_answers_the_next_visitor(lin, stranger, entry, database):
    assert "七天内" in stranger.ask("怎么退货")
    lin.follow(lin.edit(entry.id, "怎么退货？", "三十天内可以退货。", seen=lin.seen(entry.id)))
    assert "三十天内" in stranger.ask("怎么退货")
    assert [phrasing.text for phrasing in stored(database, entry.id).phrasings] == ["怎么退货？"]


def test_the_record_keeps_what_an_edit_replaced(lin, entry, database):
    lin.edit(entry.id, "怎么退货？", "三十天内可以退货。", seen=lin.seen(entry.id))
    with database.read() as session:
        record = audit.recent(session, 1)[0]
    assert (record.operator_name, record.action, record.subject) == ("lin", "faq.edit", f"entry {entry.id}")
    assert record.detail["before"]["answer"] == "七天内可以**退货**。"


def test_an_edit_keeps_when_an_entry_is_valid(lin, database):
    with database.write() as session:
        began = faq.create(session, phrasings=["双十一"], answer="打折").created_at
        entry = faq.create(session, phrasings=["满减"], answer="满减", valid_from=began, valid_until=began)
    lin.follow(lin.edit(entry.id, "满减", "满一百减十", seen=lin.seen(entry.id)))
    now = stored(database, entry.id)
    assert (now.valid_from, now.valid_until) == (began, began)


def test_a_draft_answers_nobody_until_it_is_published(lin, stranger, database):
    assert "Saved as a draft" in lin.follow(lin.add("能刻字吗", "可以刻字。"))
    assert "可以刻字" not in stranger.ask("能刻字吗")
    (entry,) = all_entries(database)
    lin.follow(lin.edit(entry.id, "能刻字吗", "可以刻字。", seen=lin.seen(entry.id), publish="1"))
    assert "可以刻字" in stranger.ask("能刻字吗")


def test_a_disabled_entry_answers_nobody_until_it_is_published_again(lin, stranger, entry, database):
    path, back = f"/admin/faq/{entry.id}/status", "/admin/faq?q=%E9%80%80"
    response = lin.post(path, status="disabled", back=back)
    assert response.location == back
    assert "Visitors do not get this answer" in lin.follow(response)
    assert "七天内" not in stranger.ask("怎么退货")
    lin.follow(lin.post(path, status="published"))
    assert "七天内" in stranger.ask("怎么退货")
    assert actions(database)[:2] == [("lin", "faq.published"), ("lin", "faq.disabled")]


def test_who_silences_an_entry_is_told_which_other_answers_in_its_place(lin, stranger, entry, database):
    with database.write() as session:
        texts = ["退货流程是怎样的呢", "什么时候发货", "可以开发票吗", "门店在哪里", "会员有什么好处"]
        for text in texts:
            faq.create(session, phrasings=[text], answer="好的。")
    for question in ("退货流程", "怎么退货"):
        stranger.ask(question)
    answer = lin.follow(lin.post(f"/admin/faq/{entry.id}/status", status="disabled"))
    assert "“退货流程” is answered by “退货流程是怎样的呢” now." in answer


def test_a_save_says_when_an_entry_answers(lin, database):
    for dates, sentence in (
        ({"valid_until": "2020-01-01T00:00"}, "Its time is over"),
        ({"valid_from": "2090-01-01T00:00"}, "from the time on"),
    ):
        assert sentence in lin.follow(lin.add(f"问题 {sentence}", "好的。", publish="1", **dates))


def test_htmx_gets_the_changed_row_and_a_notice(lin, entry):
    response = lin.post(f"/admin/faq/{entry.id}/status", headers=HTMX, status="disabled", back="/admin/faq")
    assert response.status_code == 200
    assert response.text.lstrip().startswith(f'<li id="entry-{entry.id}"')
    assert '<hx-partial hx-target="#notice"' in response.text
    assert "Publish" in text_of(response)


def test_a_row_takes_no_other_status(lin, entry, database):
    for status in ("", "draft", "deleted"):
        assert lin.post(f"/admin/faq/{entry.id}/status", status=status).status_code == 400
    assert stored(database, entry.id).status == "published"


def test_an_entry_that_is_not_there_is_a_404(lin):
    assert 'href="/admin/faq"' in lin.get("/admin/nowhere").text
    for number in (404, 2**31, 2**63, 10**30):
        assert lin.get(f"/admin/faq/{number}").status_code == 404
        assert lin.post(f"/admin/faq/{number}/status", status="published").status_code == 404


def test_a_deleted_entry_comes_back_as_it_was(lin, stranger, entry, database):
    with database.write() as session:
        faq.count_hit(session, entry.id)
    deleted = lin.follow(lin.post(f"/admin/faq/{entry.id}/delete"))
    assert "“怎么退货？” was deleted." in deleted
    for _ in range(2):  # it stays on offer
        assert "what you deleted last: “怎么退货？”. Undo" in text_of(lin.get("/admin/faq"))
    assert "七天内" not in stranger.ask("怎么退货")

    after = lin.follow(lin.post("/admin/faq/undo"))
    assert "1 entry is back." in after
    assert "Undo" not in after
    assert "七天内" in stranger.ask("怎么退货")
    (back,) = all_entries(database)
    assert (back.answer, back.group_name, back.created_at) == (entry.answer, entry.group_name, entry.created_at)
    assert back.hits >= 1
    assert actions(database)[:2] == [("lin", "faq.restore"), ("lin", "faq.delete")]


def test_undo_works_once_and_for_who_deleted(lin, wei, entry, database):
    lin.post(f"/admin/faq/{entry.id}/delete")
    assert "Undo" not in text_of(wei.get("/admin/faq"))
    assert "nothing to undo" in wei.follow(wei.post("/admin/faq/undo"))
    lin.post("/admin/faq/undo")
    assert "nothing to undo" in lin.follow(lin.post("/admin/faq/undo"))
    assert len(all_entries(database)) == 1


def test_an_entry_deleted_twice_says_so(lin, wei, entry):
    lin.post(f"/admin/faq/{entry.id}/delete")
    assert "had been deleted before" in wei.follow(wei.post(f"/admin/faq/{entry.id}/delete"))


def test_what_others_answer_by_now_comes_back_as_a_draft(lin, entry, database):
    lin.post(f"/admin/faq/{entry.id}/delete")
    lin.add("退货流程", "请联系客服。", publish="1")
    assert "1 of them is a draft" in lin.follow(lin.post("/admin/faq/undo"))
    assert sorted(entry.status for entry in all_entries(database)) == ["draft", "published"]


# --- What cannot be saved ----------------------------------------------------------------------------------------


UNSAVEABLE = [
    ({"phrasings": ""}, "Write at least one question"),
    ({"phrasings": " \r\n\t\r\n"}, "Write at least one question"),
    ({"phrasings": "怎么退货\n？？！…"}, "Question 2: It needs at least one letter"),
    ({"phrasings": "🙂"}, "Question 1: It needs at least one letter"),
    ({"phrasings": "字" * 201}, "Question 1: 201 characters are too many; at most 200 fit"),
    ({"phrasings": "\n".join(f"问题 {n}" for n in range(51))}, "These are 51 questions; at most 50 fit"),
    ({"phrasings": "退\0货"}, "Question 1: Control characters"),
    ({"answer": " \n "}, "Write the answer"),
    ({"answer": "字" * 10_001}, "The answer has 10001 characters; at most 10000 fit"),
    ({"answer": "退\x1b货"}, "Control characters"),
    ({"group": "组" * 41}, "at most 40 characters"),
    ({"group": "a\0b"}, "Control characters"),
]


def test_what_cannot_be_saved_is_said_and_the_rest_stays_in_the_form(lin, database, subtests):
    good = {"phrasings": "怎么退货", "answer": "七天内可以退货。", "group": "退换货"}
    for bad, sentence in UNSAVEABLE:
        with subtests.test(sentence):
            refused = lin.add(**{**good, **bad}, publish="1")
            assert refused.status_code == 422
            assert sentence in text_of(refused)
            assert refused.text.count('aria-invalid="true"') == 1
            assert all(text in refused.text for name, text in good.items() if name not in bad)
    assert all_entries(database) == []


def test_the_largest_entry_is_saved_as_it_was_typed(lin, database):
    phrasings = [f"{n:02}" + "字" * 198 for n in range(50)]
    answer = "    code\n\n" + "字" * 9_990
    assert lin.add("\r\n".join(phrasings), answer.replace("\n", "\r\n"), group="组" * 40).status_code == 303
    (entry,) = all_entries(database)
    assert [phrasing.text for phrasing in entry.phrasings] == phrasings
    assert entry.answer == answer


def test_a_question_that_another_entry_answers_is_refused_with_a_link_to_it(lin, entry, database):
    refused = lin.add("换货\n请问怎么退货呢", "请联系客服。", publish="1")
    assert refused.status_code == 409
    assert "“请问怎么退货呢” is answered by 怎么退货？" in text_of(refused)
    assert f'href="/admin/faq/{entry.id}"' in refused.text
    assert "请联系客服。" in refused.text
    assert len(all_entries(database)) == 1


def test_a_draft_may_repeat_a_question_but_not_be_published(lin, entry, database):
    lin.add("退货流程", "请联系客服。")
    draft = next(found for found in all_entries(database) if found.status == "draft")
    path = f"/admin/faq/{draft.id}/status"

    refused = lin.post(path, status="published")
    assert refused.status_code == 409
    assert "请联系客服。" in refused.text

    refused = lin.post(path, headers=HTMX, status="published")
    assert refused.status_code == 409
    assert refused.text.lstrip().startswith('<hx-partial hx-target="#notice"')
    assert f'href="/admin/faq/{entry.id}"' in refused.text

    refused = lin.edit(draft.id, "退货流程", "请联系客服！", seen=lin.seen(draft.id), publish="1")
    assert refused.status_code == 409
    now = stored(database, draft.id)
    assert (now.status, now.answer) == ("draft", "请联系客服。")


def test_an_entry_does_not_stand_in_its_own_way(lin, entry):
    assert lin.edit(entry.id, "退货流程\n怎么退货？\n怎么退货", "新", seen=lin.seen(entry.id)).status_code == 303


# --- Two operators -----------------------------------------------------------------------------------------------


def test_the_second_to_save_sees_both_versions_and_decides(lin, wei, entry, database):
    seen_by_both = lin.seen(entry.id)
    lin.follow(lin.edit(entry.id, "怎么退货？", "Lin: 三十天。", seen=seen_by_both))

    refused = wei.edit(entry.id, "怎么退货？\n退款呢", "Wei: 六十天。", group="售后", seen=seen_by_both)
    assert refused.status_code == 409
    page = text_of(refused)
    assert "Someone else has changed this entry" in page
    assert "Lin: 三十天。" in page
    assert all(typed in page for typed in ("Wei: 六十天。", "退款呢"))
    assert 'value="售后"' in refused.text
    assert stored(database, entry.id).answer == "Lin: 三十天。"

    wei.follow(wei.edit(entry.id, "怎么退货？\n退款呢", "Wei: 六十天。", seen=stamp_in(refused)))
    assert stored(database, entry.id).answer == "Wei: 六十天。"


def test_of_two_who_save_at_once_one_is_told(lin, wei, entry, database):
    seen, start = lin.seen(entry.id), Barrier(2, timeout=30)

    def save(operator):
        fields = {"csrf_token": operator.csrf_token(), "phrasings": "怎么退货？", "answer": "新", "seen": seen}
        start.wait()
        return operator.client.post(f"/admin/faq/{entry.id}", data=fields).status_code

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(save, [lin, wei])) == [303, 409]
    assert [action for _, action in actions(database)].count("faq.edit") == 1


def test_an_entry_deleted_while_it_was_edited_can_be_saved_as_a_new_one(lin, wei, entry, database):
    seen = wei.seen(entry.id)
    lin.post(f"/admin/faq/{entry.id}/delete")
    refused = wei.edit(entry.id, "怎么退货？", "Wei: 六十天。", seen=seen)
    assert refused.status_code == 409
    assert "Someone has deleted this entry" in text_of(refused)
    assert "Wei: 六十天。" in refused.text
    assert 'action="/admin/faq/new"' in refused.text
    assert all_entries(database) == []


def test_a_form_without_a_valid_stamp_replaces_nothing(lin, entry, database):
    for seen in ("", "yesterday", "2020-01-01T00:00:00+00:00"):
        assert lin.edit(entry.id, "怎么退货？", "新", seen=seen).status_code == 409
    assert stored(database, entry.id).answer == entry.answer


# --- Preview and hostile text ------------------------------------------------------------------------------------


def test_a_preview_saves_nothing_and_keeps_what_was_typed(lin, database):
    page = lin.add("能刻字吗", "可以**刻字**。", preview="1")
    assert "<strong>刻字</strong>" in page.text
    assert "可以**刻字**。" in page.text
    fragment = lin.post("/admin/faq/new", headers=HTMX, phrasings="", answer="可以**刻字**。", preview="1")
    assert "<strong>刻字</strong>" in fragment.text
    assert "<html" not in fragment.text
    assert all_entries(database) == []


def test_a_preview_clears_the_marks_of_an_earlier_refusal(lin):
    fields = {"phrasings": "能刻字吗", "preview": "1"}
    refused = lin.add("能刻字吗", "", publish="1")
    assert 'aria-invalid="true"' in refused.text
    preview_button = re.search(r'<button[^>]*name="preview"[^>]*>', refused.text)[0]
    assert "hx-post" not in preview_button  # or the page with the marks would stay
    assert 'formaction="/admin/faq/new#preview"' in preview_button
    assert "aria-invalid" not in lin.add(answer="可以。", **fields).text


def test_hostile_text_is_shown_as_text(lin, stranger):
    attack = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    answer = f"{attack} [click](javascript:alert(1)) </textarea>"
    lin.add(f"刻字{attack}", answer, group=attack[:40], publish="1")
    pages = [lin.get("/admin/faq"), lin.get("/admin/faq/1"), lin.add("a", answer, preview="1")]
    for page in pages:
        assert page.status_code == 200
        assert "alert(1)" in page.text
        for harm in ("<script>alert", "<img src=x", 'href="javascript:', " </textarea></textarea>"):
            assert harm not in page.text
    sent = stranger.post("/c/new/messages", text=f"刻字{attack}", client_id="question-1")
    assert "<script>alert" not in stranger.get(sent.location).text


# --- The list ----------------------------------------------------------------------------------------------------


def add_all(database, *questions, status="published"):
    with database.write() as session:
        for question in questions:
            faq.create(session, phrasings=[question], answer=f"answer to {question}", status=status)


def listed(response):
    """The questions on a list page, or in its fragment."""
    return re.findall(r'<h2><a href="/admin/faq/\d+\?back=[^"]*">([^<]*)</a></h2>', response.text)


FOUND = {
    "%": ["100% cotton"], "_": ["size_m"], "\\": ["back\\slash"], "COTTON": ["100% cotton"],
    "  cotton ": ["100% cotton"], "answer to size": ["size_m"], "\0cot\x07ton": ["100% cotton"], "zzz": [],
    "x" * 100_000: [],
}  # fmt: skip


def test_search_takes_signs_literally(lin, database, subtests):
    add_all(database, "100% cotton", "size_m", "back\\slash", "plain")
    for text, found in FOUND.items():
        with subtests.test(text[:20]):
            response = lin.get("/admin/faq", query_string={"q": text})
            assert response.status_code == 200
            assert listed(response) == found
            assert found or "Nothing was found" in text_of(response)


def test_search_takes_words_in_any_order_and_questions_before_answers(lin, database):
    with database.write() as session:
        faq.create(session, phrasings=["怎么 退货", "refund please"], answer="七天内")
        faq.create(session, phrasings=["运费"], answer="please ask for a refund")
        faq.create(session, phrasings=["please"], answer="nothing")
    for text in ("refund please", "PLEASE  refund", "please\u3000refund please"):
        assert listed(lin.get("/admin/faq", query_string={"q": text})) == ["怎么 退货", "运费"]
    assert listed(lin.get("/admin/faq?q=七天内 refund")) == ["怎么 退货"]


def test_after_a_save_one_is_back_in_the_search_and_page_one_came_from(lin, entry):
    search = "/admin/faq?q=%E9%80%80&status=published"
    link = unescape(re.search(r'<h2><a href="([^"]*)">', lin.get(search).text)[1])
    form = lin.get(link)
    assert f'<a href="{escape(search)}">Back to all entries</a>' in form.text
    back = unescape(re.search(r'name="back" value="([^"]*)"', form.text)[1])
    refused = lin.edit(entry.id, "怎么退货？", "", seen=stamp_in(form), back=back)
    assert f'name="back" value="{escape(search)}"' in refused.text
    assert lin.edit(entry.id, "怎么退货？", "新", seen=stamp_in(form), back=back).location == search
    assert lin.post(f"/admin/faq/{entry.id}/delete", back=back).location == search


def test_the_way_back_leads_to_admin_pages_only(lin, entry):
    assert '<a href="/admin/faq">Back' in lin.get(f"/admin/faq/{entry.id}?back=https://evil.example/").text
    assert lin.post(f"/admin/faq/{entry.id}/delete", back="//evil.example").location == "/admin/faq"


def test_htmx_gets_the_list_and_the_count_alone(lin, database):
    add_all(database, "100% cotton", "plain")
    response = lin.get("/admin/faq?q=cotton&status=", headers=HTMX)
    assert listed(response) == ["100% cotton"]
    assert '<hx-partial hx-target="#found" hx-swap="innerHTML">1 entry</hx-partial>' in response.text
    assert "<html" not in response.text


def test_the_list_can_be_narrowed_by_status(lin, database):
    add_all(database, "on")
    add_all(database, "off", status="disabled")
    assert listed(lin.get("/admin/faq?status=disabled")) == ["off"]
    assert listed(lin.get("/admin/faq?status=nonsense")) == ["off", "on"]
    assert "Nothing was found" in text_of(lin.get("/admin/faq?status=draft"))


SHOWN = {"1": 25, "2": 5, "3": 5, "0": 25, "-1": 25, "x": 25, "9" * 30: 5, "9" * 5000: 25}


def test_a_long_list_has_pages(lin, database, subtests):
    add_all(database, *(f"question {number}" for number in range(30)))
    for page, shown in SHOWN.items():
        with subtests.test(page[:20]):
            response = lin.get(f"/admin/faq?q=question&page={page}")
            assert len(listed(response)) == shown
            assert "30 entries" in text_of(response)
            assert f'href="/admin/faq?page={1 if shown == 5 else 2}&amp;q=question"' in response.text


def test_the_list_shows_hits_and_times_in_the_shops_zone(lin, stranger, entry, settings):
    stranger.ask("怎么退货")
    page = text_of(lin.get("/admin/faq"))
    shop_time = entry.updated_at.astimezone(ZoneInfo(settings.timezone))
    assert f"changed {shop_time:%Y-%m-%d %H:%M}" in page
    assert "answered 1 time" in page
    assert "2 phrasings" in page


# --- The example FAQ ---------------------------------------------------------------------------------------------


def test_the_example_is_loaded_removed_with_one_click_and_brought_back(lin, stranger, database):
    assert "84 example entries were added" in lin.follow(lin.post("/admin/faq/example"))
    assert "30 分钟" in stranger.ask("怎么下单")
    example = all_entries(database)[0]
    lin.edit(example.id, "我们自己的问题", "我们自己的答案", seen=lin.seen(example.id))
    lin.add("自己加的", "不属于示例", publish="1")
    assert "83 entries belong to the example FAQ" in text_of(lin.get("/admin/faq"))

    removed = lin.follow(lin.post("/admin/faq/example/remove"))
    assert "83 example entries were removed." in removed
    assert "and 82 more entries. Undo" in removed
    assert [entry.question for entry in all_entries(database)] == ["自己加的", "我们自己的问题"]
    assert "我们自己的答案" in stranger.ask("我们自己的问题")

    assert "83 entries are back" in lin.follow(lin.post("/admin/faq/undo"))
    assert {entry.batch for entry in all_entries(database)} == {"example", None}
    assert stored(database, example.id).origin == "imported"
    assert ("lin", "faq.load") in actions(database)
    assert ("lin", "faq.remove") in actions(database)


def test_what_others_answer_already_comes_as_a_draft_of_the_example(lin, stranger, database):
    lin.add("请问怎么下单呢", "打电话给我们。", publish="1")
    assert "84 example entries were added. 1 of them is a draft." in lin.follow(lin.post("/admin/faq/example"))
    (draft,) = [entry for entry in all_entries(database) if entry.status == "draft"]
    assert draft.question == "怎么下单？"
    assert "打电话给我们" in stranger.ask("怎么下单")


def test_the_example_is_there_once(lin, database):
    lin.post("/admin/faq/example")
    assert "0 example entries were added" in lin.follow(lin.post("/admin/faq/example"))
    assert len(all_entries(database)) == 84


def test_the_page_offers_what_can_be_done_with_the_example(lin):
    assert "Load the example FAQ" in text_of(lin.get("/admin/faq"))
    lin.post("/admin/faq/example")
    page = text_of(lin.get("/admin/faq"))
    assert "Remove the example FAQ" in page
    assert "Load the example FAQ" not in page


def test_a_form_that_is_too_large_is_refused_and_no_fault_of_ours(lin):
    assert lin.post("/admin/faq/new", answer="退" * LARGEST_BODY).status_code == 413


def test_an_entry_with_all_its_fields_full_is_stored(lin, database):
    """Of characters that take twelve bytes each in a form."""

    def lines(what: str) -> str:
        return "\n".join(f"{what}{line:02}".ljust(MAX_PHRASING_CHARS, "🛶") for line in range(MAX_QUESTIONS))

    fields = {
        "phrasings": lines("a"),
        "negatives": lines("b"),
        "must_hit": lines("c"),
        "must_not_hit": lines("d"),
        "answer": "🛶" * MAX_ANSWER_CHARS,
    }
    lin.follow(lin.post("/admin/faq/new", publish="1", anyway="1", **fields))
    (entry,) = all_entries(database)
    assert (len(entry.phrasings), entry.answer) == (MAX_QUESTIONS, fields["answer"])
    page = lin.get(f"/admin/faq/{entry.id}").text
    assert all(f"{what}49🛶" in page for what in "abcd")


def test_a_form_that_is_sent_twice_adds_one_entry(lin, database):
    form = stamp_in(lin.get("/admin/faq/new"))
    for _ in range(2):
        assert "Saved" in lin.follow(lin.add("能刻字吗", "可以。", seen=form))
    assert [entry.question for entry in all_entries(database)] == ["能刻字吗"]
    lin.follow(lin.add("能刻字吗", "可以。", seen=stamp_in(lin.get("/admin/faq/new"))))
    assert len(all_entries(database)) == 2


@pytest.mark.parametrize("sign", ["\u202e", "\u2066", "\u2028", "\u2029", "\u0000"])
def test_signs_that_turn_or_break_a_line_are_refused(lin, database, sign):
    assert lin.add(f"能刻{sign}字吗", "可以。").status_code == 422
    assert all_entries(database) == []
