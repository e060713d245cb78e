"""The entry's form: dates, negatives and requirements, and what saving would do, said before it is done."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from admin_cast import all_entries, stored, text_of
from support.said import REFUSED, said

from webchat.storage import faq

OTHERS = ("运费多少钱", "什么时候发货", "可以用微信支付吗", "保修期多长", "有实体店吗")


@pytest.fixture
def shop(database, entry):
    """Some more entries, so that there is something to compare with; the entry about returns."""
    with database.write() as session:
        for text in OTHERS:
            faq.create(session, phrasings=[text], answer=f"{text}：好。")
    return entry


def more_of(database, entry_id):
    with database.read() as session:
        kept = faq.whole(session, entry_id)
    hit, not_hit = ([case.text for case in kept.cases if case.must_hit is must] for must in (True, False))
    return [negative.text for negative in kept.negatives], hit, not_hit


def test_what_an_entry_must_and_must_not_answer_is_kept_and_shown(lin, database):
    fields = {"negatives": "换货怎么办\n换货怎么办", "must_hit": "退货", "must_not_hit": "换货\n退钱"}
    lin.follow(lin.add("怎么退货", "七天。", **fields))
    (entry,) = all_entries(database)
    assert more_of(database, entry.id) == (["换货怎么办"], ["退货"], ["换货", "退钱"])
    page = lin.get(f"/admin/faq/{entry.id}").text
    assert "<details open>" in page
    assert "\n换货\n退钱</textarea>" in page
    fields["must_not_hit"] = "退钱"
    lin.follow(lin.edit(entry.id, "怎么退货", "七天。", seen=lin.seen(entry.id), **fields))
    assert more_of(database, entry.id) == (["换货怎么办"], ["退货"], ["退钱"])
    lin.post(f"/admin/faq/{entry.id}/delete")
    lin.post("/admin/faq/undo")
    (back,) = all_entries(database)
    assert more_of(database, back.id) == (["换货怎么办"], ["退货"], ["退钱"])


def test_a_form_without_these_fields_changes_none_of_them(lin, database):
    lin.add("怎么退货", "七天。", negatives="换货怎么办", must_hit="退货", valid_until="2099-01-01T10:00")
    (entry,) = all_entries(database)
    lin.follow(lin.edit(entry.id, "怎么退货", "八天。", seen=lin.seen(entry.id)))
    assert more_of(database, entry.id) == (["换货怎么办"], ["退货"], [])
    assert stored(database, entry.id).valid_until == datetime(2099, 1, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"negatives": "怎么退货？"}, "Question 1: It stands above as well, among the questions that get this answer"),
        ({"negatives": "？"}, "Question 1: It needs at least one letter"),
        ({"must_hit": "a" * 201}, "Question 1: 201 characters are too many"),
        ({"must_hit": "\n".join(map(str, range(51)))}, "These are 51 questions; at most 50 fit"),
        ({"must_hit": "退货", "must_not_hit": "换货\n退货!"}, "Question 2: It stands above as well"),
        ({"must_not_hit": "换\x00货"}, "Question 1: Control characters"),
        ({"valid_from": "tomorrow"}, "Write the time as in"),
        ({"valid_until": "0026-12-01T10:00"}, "Write the time as in"),
        ({"valid_until": "9999-12-31T23:59+00:00"}, "Write the time as in"),
        ({"valid_from": "9999-12-31T23:59+00:00", "valid_until": "0001-01-01T00:00"}, "Write the time as in"),
        (
            {"valid_from": "2026-12-01T00:00", "valid_until": "2026-12-01T00:00"},
            "The end must come after the beginning",
        ),
    ],
)
def test_what_cannot_be_saved_is_said_and_nothing_typed_is_lost(lin, database, fields, problem):
    response = lin.add("怎么退货", "七天。", **fields)
    assert response.status_code == 422
    assert problem in text_of(response)
    assert "<details open>" in response.text
    assert "七天。" in response.text
    assert all_entries(database) == []


def test_an_entry_answers_from_and_until_its_dates_on_the_shops_clock(lin, stranger, database, app):
    zone = timedelta(hours=8)  # Asia/Shanghai
    now = datetime.now(UTC) + zone

    def typed(moment):
        return moment.strftime("%Y-%m-%dT%H:%M")

    lin.add("双十一打折吗", "打八折。", publish="1", valid_from=typed(now + timedelta(minutes=2)))
    (entry,) = all_entries(database)
    assert "打八折" not in stranger.ask("双十一打折吗")
    assert "from 20" in text_of(lin.get("/admin/faq"))
    dates = {"valid_from": typed(now - timedelta(hours=1)), "valid_until": typed(now + timedelta(hours=1))}
    lin.edit(entry.id, "双十一打折吗", "打八折。", seen=lin.seen(entry.id), **dates)
    assert "打八折" in stranger.ask("双十一打折吗")
    assert "until 20" in text_of(lin.get("/admin/faq"))
    dates = {"valid_from": "", "valid_until": typed(now - timedelta(minutes=1))}
    saved = lin.edit(entry.id, "双十一打折吗", "打八折。", seen=lin.seen(entry.id), anyway="1", **dates)
    assert saved.status_code == 303
    assert "打八折" not in stranger.ask("双十一打折吗")
    assert "expired" in text_of(lin.get("/admin/faq"))


@pytest.fixture
def in_berlin(app):
    """The shop's clock is put forward and back once a year."""
    parts = app.extensions["webchat"]
    settings = parts.settings.model_copy(update={"timezone": "Europe/Berlin"})
    app.extensions["webchat"] = replace(parts, settings=settings)


@pytest.mark.usefixtures("in_berlin")
def test_the_hours_that_a_clock_skips_and_repeats_are_moments_too(lin, database):
    lin.follow(lin.add("夏令时", "好。", valid_from="2026-03-29T02:30", valid_until="2026-10-25T02:30"))
    (entry,) = all_entries(database)
    assert entry.valid_from == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)  # 02:30 does not exist: 03:30
    assert entry.valid_until == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)  # the first of two
    with database.write() as session:
        faq.get(session, entry.id).valid_until = second = datetime(2026, 10, 25, 1, 30, 15, tzinfo=UTC)
    page = lin.get(f"/admin/faq/{entry.id}").text
    assert 'value="2026-03-29T03:30"' in page
    assert 'value="2026-10-25T02:30"' in page
    dates = {"valid_from": "2026-03-29T03:30", "valid_until": "2026-10-25T02:30"}
    lin.follow(lin.edit(entry.id, "夏令时", "很好。", seen=lin.seen(entry.id), **dates))
    assert stored(database, entry.id).valid_until == second  # what nobody touched stays to the second


def test_a_save_that_takes_an_answer_away_asks_first(lin, database, shop):
    said(database, "怎么退货", source="faq", entry=shop.id)
    seen = lin.seen(shop.id)
    asked = lin.edit(shop.id, "如何把东西寄回", "七天。", seen=seen)
    assert asked.status_code == 409
    text = text_of(asked)
    assert "Nothing was saved yet" in text
    assert "No longer answered: 1" in text
    assert "怎么退货" in text
    assert 'name="anyway"' in asked.text
    assert "如何把东西寄回" in asked.text
    assert stored(database, shop.id).question == "怎么退货？"
    lin.follow(lin.edit(shop.id, "如何把东西寄回", "七天。", seen=seen, anyway="1"))
    assert stored(database, shop.id).question == "如何把东西寄回"


def test_a_save_that_only_answers_more_is_done_and_says_so(lin, database, shop):
    for visitor in "ab":
        said(database, "能开发票吗", visitor=visitor, **REFUSED)
    page = lin.follow(lin.add("能开发票吗", "能。", publish="1"))
    assert "It would have answered 2 of the last questions" in page


def test_a_draft_is_saved_without_questions_and_publishing_it_asks_them(lin, database, shop):
    lin.follow(lin.add("能开发票吗", "能。", must_hit="几点关门"))
    draft = next(each for each in all_entries(database) if each.question == "能开发票吗")
    more = {"must_hit": "几点关门", "publish": "1"}
    asked = lin.edit(draft.id, "能开发票吗", "能。", seen=lin.seen(draft.id), **more)
    assert asked.status_code == 409
    assert "“几点关门” must get “能开发票吗”" in text_of(asked)
    assert '<input type="hidden" name="publish" value="1">' in asked.text
    assert stored(database, draft.id).status == "draft"


def test_a_negative_from_the_inbox_is_not_wiped_by_a_form_that_was_open(lin, wei, database, shop):
    seen = lin.seen(shop.id)
    with database.write() as session:
        faq.add_negative(session, faq.get(session, shop.id), "退货怎么那么慢")
    late = lin.edit(shop.id, "怎么退货？", "八天。", seen=seen, negatives="", must_hit="", must_not_hit="")
    assert late.status_code == 409
    assert "退货怎么那么慢" in text_of(late)
    assert more_of(database, shop.id)[0] == ["退货怎么那么慢"]


def test_the_lists_publish_button_asks_too(lin, database, shop):
    said(database, "运费多少钱", source="faq")
    with database.write() as session:
        rival = faq.create(session, phrasings=["邮费"], answer="好。", status="draft", must_hit=["运费多少钱"])
        easy = faq.create(session, phrasings=["能开发票吗"], answer="能。", status="draft")
    refused = lin.post(f"/admin/faq/{rival.id}/status", status="published")
    assert refused.location == f"/admin/faq/{rival.id}"
    assert "Publish it here to see which" in lin.follow(refused)
    assert stored(database, rival.id).status == "draft"
    lin.follow(lin.post(f"/admin/faq/{easy.id}/status", status="published"))
    assert stored(database, easy.id).status == "published"
