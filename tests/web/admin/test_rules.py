"""What operators do with rules, and that visitors get it at once."""

from __future__ import annotations

import re
from html import unescape

import pytest
from admin_cast import actions, stamp_in, text_of

from webchat.answering.rules.shipped import SHIPPED
from webchat.storage import faq, rules
from webchat.web.admin import rule_edits

NEW = {"name": "退款", "keywords": "退款\r\n退钱", "action": "reply", "reply_zh": "三天内到账。", "enabled": "1"}
PATH = "/admin/rules/new"


def all_rules(database):
    with database.read() as session:
        return rules.in_order(session)


def names(database):
    return [rule.name or rule.shipped for rule in all_rules(database)]


@pytest.fixture
def rule(lin, database):
    """A rule that Lin has made: the first."""
    assert lin.post(PATH, **NEW).status_code == 303
    return all_rules(database)[0]


def edit(operator, rule, **fields):
    return operator.post(f"/admin/rules/{rule.id}", **{**NEW, **fields})


def seen(operator, rule):
    return stamp_in(operator.get(f"/admin/rules/{rule.id}"))


# ---- what they do -------------------------------------------------------------------------------------------------


def test_a_new_rule_answers_the_next_visitor(lin, stranger, database):
    assert "Saved. It is tried first" in lin.follow(lin.post(PATH, **NEW))
    page = stranger.ask("我要退钱！")
    assert "三天内到账" in page
    assert names(database) == ["退款", *SHIPPED]
    assert actions(database)[0] == ("lin", "rule.add")


def test_a_form_is_shown_as_it_was_saved(lin, database):
    fields = {
        **NEW, "intent": "greeting", "every_keyword": "1", "unless": "怎么", "pattern": "退.", "faq_first": "1",
        "hours": "outside", "days_1": ["0", "4"], "start_1": "22:00", "end_1": "06:30",
        "days_2": ["6"], "start_2": "10:00", "end_2": "12:00", "action": "tag", "tag": "夜间",
    }  # fmt: skip
    assert lin.post(PATH, **fields).status_code == 303
    stored = all_rules(database)[0]
    assert stored.condition["schedule"] == {
        "outside": True,
        "windows": [
            {"days": [0, 4], "start": "22:00", "end": "06:30"},
            {"days": [6], "start": "10:00", "end": "12:00"},
        ],
    }
    page = lin.get(f"/admin/rules/{stored.id}").text
    again = lin.post(f"/admin/rules/{stored.id}", **{**fields, "seen": stamp_in(lin.get(f"/admin/rules/{stored.id}"))})
    assert again.status_code == 303
    assert all_rules(database)[0].condition == stored.condition
    assert [value for name, value in re.findall(r'name="(days_\d)" value="(\d)" checked', page)] == ["0", "4", "6"]
    assert 'value="06:30"' in page
    assert "Mon Fri 22:00–06:30; Sun 10:00–12:00" in text_of(lin.get("/admin/rules"))


def test_a_rule_is_switched_off_and_on(lin, stranger, rule, database):
    assert "“退款” is off." in lin.follow(lin.post(f"/admin/rules/{rule.id}/switch", enabled="0"))
    assert "三天内" not in stranger.ask("退款")
    assert "“退款” is on." in lin.follow(lin.post(f"/admin/rules/{rule.id}/switch", enabled="1"))
    assert "三天内" in stranger.ask("退款")
    assert [action for _, action in actions(database)][:2] == ["rule.on", "rule.off"]


def test_a_rule_moves_by_one_and_the_page_comes_back_to_it(lin, rule, database):
    moved = lin.post(f"/admin/rules/{rule.id}/move", where="down")
    assert moved.location == f"/admin/rules#rule-{rule.id}"
    assert names(database)[:2] == ["abuse", "退款"]
    lin.post(f"/admin/rules/{rule.id}/move", where="up")
    lin.post(f"/admin/rules/{rule.id}/move", where="up")
    assert names(database)[0] == "退款"
    assert lin.post(f"/admin/rules/{rule.id}/move", where="away").status_code == 400


def test_a_deleted_rule_comes_back_to_its_place_once(lin, stranger, rule, database):
    lin.post(f"/admin/rules/{rule.id}/move", where="down")
    assert "“退款” was deleted." in lin.follow(lin.post(f"/admin/rules/{rule.id}/delete"))
    assert "退款" not in names(database)
    assert "had been deleted before" in lin.follow(lin.post(f"/admin/rules/{rule.id}/delete"))
    assert "“退款” is back." in lin.follow(lin.post("/admin/rules/undo"))
    assert names(database)[1] == "退款"
    assert "三天内" in stranger.ask("退款")
    assert "nothing to undo" in lin.follow(lin.post("/admin/rules/undo"))


def test_a_rule_that_came_with_the_site_is_edited_and_put_back_and_never_deleted(lin, stranger, database):
    greeting = next(rule for rule in all_rules(database) if rule.shipped == "greeting")
    page = lin.get(f"/admin/rules/{greeting.id}")
    assert "Empty: “Hello, I am the automated assistant" in text_of(page)
    fields = {"action": "reply", "reply_zh": "欢迎光临！", "enabled": "1", "intent": "weather", "name": "别名"}
    lin.follow(lin.post(f"/admin/rules/{greeting.id}", **fields, seen=stamp_in(page)))
    assert "欢迎光临" in stranger.ask("你好")
    assert all_rules(database)[-2].condition == {"intent": "greeting"}
    lin.follow(lin.post(f"/admin/rules/{greeting.id}/delete"))
    assert "Greeting” is as it came" in lin.follow(lin.post(f"/admin/rules/{greeting.id}/put-back"))
    assert "智能客服助手" in stranger.ask("你好")
    assert names(database) == list(SHIPPED)


def test_a_list_without_rules_says_so(lin, database):
    with database.write() as session:
        for rule in rules.in_order(session):
            rules.remove(session, rule)
    assert "There are no rules." in text_of(lin.get("/admin/rules"))


def test_a_rule_that_was_too_slow_is_marked(lin, stranger, database):
    lin.post(PATH, **{**NEW, "keywords": "", "pattern": "(a+)+$"})
    assert "too slow" not in text_of(lin.get("/admin/rules"))
    stranger.ask("a" * 1_900 + "!")
    assert "The expression is too slow and was skipped, last time at 20" in text_of(lin.get("/admin/rules"))


def test_what_there_is_no_more_of_is_said(lin):
    assert lin.get("/admin/rules/999").status_code == 404
    assert lin.post("/admin/rules/999/put-back").status_code == 404
    for path in ("switch", "move", "delete"):
        assert "deleted before" in lin.follow(lin.post(f"/admin/rules/999/{path}", where="up", enabled="1"))


# ---- what cannot be saved -----------------------------------------------------------------------------------------

UNSAVEABLE = [
    ({"name": ""}, "Give the rule a name"),
    ({"name": "n" * 41}, "at most 40 fit"),
    ({"keywords": ""}, "Fill in at least one of"),
    ({"keywords": "", "unless": "x"}, "Fill in at least one of"),
    ({"keywords": "\n".join(map(str, range(101)))}, "101 lines; at most 100 fit"),
    ({"keywords": "好\n" + "词" * 51}, "Line 2: 51 characters are too many; at most 50 fit"),
    ({"keywords": "？！"}, "Line 1: It needs at least one letter"),
    ({"unless": "a\0b"}, "Line 1: Control characters"),
    ({"pattern": "(退"}, "This expression is wrong: missing ) (character 3)"),
    ({"pattern": "a" * 501}, "501 characters are too many; at most 500 fit"),
    ({"pattern": "(" * 400}, "This expression is wrong: more than 50 groups"),
    ({"hours": "during"}, "Write from when until when"),
    ({"hours": "during", "start_1": "9", "end_1": "10:00", "days_1": "0"}, "Write both times"),
    ({"hours": "during", "start_1": "09:00", "days_1": "0"}, "Write both times"),
    ({"hours": "outside", "start_1": "09:00", "end_1": "10:00"}, "Choose at least one day"),
    ({"reply_zh": ""}, "Write the reply, in at least one language"),
    ({"reply_zh": "打 {phone}"}, "{phone} cannot be filled in. What can: {shop}, {model}, {time}, {date}."),
    ({"reply_en": "{}"}, "{} cannot be filled in"),
    ({"reply_en": "x" * 2_001}, "2001 characters are too many"),
    ({"reply_zh": "a\x07b"}, "Control characters"),
    ({"action": "tag"}, "Write the tag"),
    ({"action": "tag", "tag": "t" * 21}, "at most 20 fit"),
]  # fmt: skip


def test_what_cannot_be_saved_is_said_and_the_rest_stays_in_the_form(lin, database, subtests):
    for fields, sentence in UNSAVEABLE:
        with subtests.test(sentence):
            page = lin.post(PATH, **{**NEW, **fields})
            assert page.status_code == 422
            assert sentence in text_of(page)
            assert 'aria-invalid="true"' in page.text
            assert "到账" in page.text or "reply_zh" in fields
    assert lin.post(PATH, **{**NEW, "action": "explode"}).status_code == 422
    assert names(database) == list(SHIPPED)


def test_there_is_room_for_so_many_rules(lin, database, monkeypatch):
    monkeypatch.setattr(rule_edits, "MAX_RULES", len(SHIPPED))
    full = lin.post(PATH, **NEW)
    assert full.status_code == 409
    assert "There are 9 rules already" in text_of(full)
    assert "三天内到账" in full.text
    assert names(database) == list(SHIPPED)


def test_hostile_text_is_shown_as_text(lin, rule, database):
    attack = "</textarea><script>alert(1)</script>"
    lin.post(PATH, **{**NEW, "name": attack[:40], "keywords": attack, "pattern": re.escape(attack), "reply_zh": attack})
    for page in (
        lin.get("/admin/rules"),
        lin.get(f"/admin/rules/{all_rules(database)[0].id}"),
        lin.post("/admin/rules/try", message=attack),
    ):
        assert page.status_code == 200
        assert "<script>alert" not in page.text


# ---- two operators, and sessions that ended -----------------------------------------------------------------------


def test_the_second_to_save_sees_both_versions_and_decides(lin, wei, rule, database):
    both = seen(wei, rule)
    lin.follow(edit(lin, rule, seen=both, reply_zh="五天内到账。"))
    late = edit(wei, rule, seen=both, reply_zh="七天内到账。")
    assert late.status_code == 409
    assert "Someone else has changed this rule" in text_of(late)
    assert "五天内到账。" in late.text
    assert "七天内到账。" in late.text
    assert all_rules(database)[0].reply_zh == "五天内到账。"
    wei.follow(edit(wei, rule, seen=stamp_in(late), reply_zh="七天内到账。"))
    assert all_rules(database)[0].reply_zh == "七天内到账。"


def test_a_move_does_not_make_an_edit_late(lin, wei, rule):
    opened = seen(wei, rule)
    lin.post(f"/admin/rules/{rule.id}/move", where="down")
    assert edit(wei, rule, seen=opened).status_code == 303


def test_a_rule_deleted_while_it_was_edited_can_be_saved_as_a_new_one(lin, wei, rule, database):
    opened = seen(wei, rule)
    lin.post(f"/admin/rules/{rule.id}/delete")
    late = edit(wei, rule, seen=opened, reply_zh="七天内到账。")
    assert late.status_code == 409
    assert "Someone has deleted this rule" in text_of(late)
    assert 'action="/admin/rules/new"' in late.text
    assert "七天内到账。" in late.text


def test_strangers_see_and_change_nothing(stranger, rule, database):
    for path in ("/admin/rules", PATH, f"/admin/rules/{rule.id}"):
        assert stranger.get(path).status_code == 303
    for path in ("switch", "move", "delete", "put-back"):
        assert stranger.post(f"/admin/rules/{rule.id}/{path}", enabled="0", where="down").status_code == 303
    assert stranger.post("/admin/rules/try", message="你好").status_code == 303
    assert all_rules(database)[0].id == rule.id


def test_what_was_typed_outlives_the_session(lin, rule, database):
    opened = seen(lin, rule)
    lin.client.delete_cookie("webchat")
    signed_out = edit(lin, rule, seen=opened, reply_zh="新的回复")
    assert signed_out.status_code == 401
    assert "You are signed out, so nothing was saved." in text_of(signed_out)
    assert "新的回复" in signed_out.text
    assert "三天内到账" not in signed_out.text  # what is stored is for operators
    lin.sign_in("lin")
    again = edit(lin, rule, seen=opened, reply_zh="新的回复", again="1")
    assert again.status_code == 200
    assert "新的回复" in again.text
    too_old = edit(lin, rule, seen=opened, reply_zh="新的回复", csrf_token="of another session")
    assert too_old.status_code == 400
    assert "save it now" in text_of(too_old)
    assert all_rules(database)[0].reply_zh == "三天内到账。"


# ---- the test box -------------------------------------------------------------------------------------------------


def test_the_test_box_shows_which_rule_answers_and_why(lin, rule, database):
    page = text_of(lin.post("/admin/rules/try", message="我要退钱"))
    assert "退款 : Reply 三天内到账。" in page
    assert "退款 answers ✓ “退钱” occurs" in page
    assert "Greeting does not apply ✗ it is not about: Greeting" in page
    assert "No rule answers this" in text_of(lin.post("/admin/rules/try", message="怎么换货"))
    assert "exactly this question" in text_of(lin.post("/admin/rules/try", message="你好"))


def test_the_test_box_looks_at_the_chosen_time_in_the_shops_zone(lin, database):
    night = {
        **NEW,
        "keywords": "",
        "hours": "outside",
        "days_1": [str(day) for day in range(7)],
        "start_1": "09:00",
        "end_1": "21:00",
    }
    lin.post(PATH, **night)
    for moment, sentence in (("2026-11-23T22:00", "the time fits"), ("2026-11-23T12:00", "the time does not fit")):
        assert sentence in text_of(lin.post("/admin/rules/try", message="在不在家", moment=moment))


def test_a_rule_is_tried_before_it_is_saved(lin, rule, database):
    page = lin.post(
        PATH, **{**NEW, "name": "换货", "keywords": "换货", "reply_zh": "可以换。", "try": "1", "message": "怎么换货"}
    )
    assert page.status_code == 200
    assert "换货 : Reply 可以换。" in text_of(page)
    page = edit(lin, rule, keywords="换货", message="怎么换货", seen="", **{"try": "1"})
    assert "退款 : Reply 三天内到账。" in text_of(page)
    assert names(database) == ["退款", *SHIPPED]
    assert all_rules(database)[0].condition == {"keywords": ["退款", "退钱"]}


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"message": ""}, "Write a message"),
        ({"message": "a\0"}, "Write a message"),
        ({"message": "字" * 2_001}, "at most 2000"),
        ({"message": "好", "moment": "gestern"}, "Write the time as in"),
        ({"message": "好", "moment": "0001-01-01T00:00"}, "Write the time as in"),
        ({"message": "好", "moment": "9999-12-31T23:59"}, ""),
    ],
)
def test_what_cannot_be_tried_is_said(lin, fields, sentence):
    page = lin.post("/admin/rules/try", **fields)
    assert page.status_code == 200
    assert sentence in text_of(page)
    assert fields["message"][:100].replace("\0", "") in unescape(page.text).replace("\0", "")


def test_an_entry_of_the_shop_goes_before_a_shipped_rule_on_the_page_too(stranger, database):
    with database.write() as session:
        faq.create(session, phrasings=["你好"], answer="欢迎来到小店。")
    assert "欢迎来到小店" in stranger.ask("你好")
