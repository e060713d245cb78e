"""The widget's frame: a visitor without a cookie, on allowed sites alone."""

from __future__ import annotations

import re
from html import unescape

import pytest
from sqlalchemy import select

from webchat.storage.tables import Conversation

SHOP = "https://shop.example"


@pytest.fixture
def client(site):
    """A browser that keeps no cookie of ours."""
    return site.test_client(use_cookies=False)


@pytest.fixture
def database(site):
    return site.extensions["webchat"].database


def frame(client, **arguments):
    return client.get("/widget", query_string={"host": SHOP} | arguments)


def token_in(page):
    return unescape(re.search(r'data-token="([^"]+)"', page.text)[1])


def action_in(page, form="composer"):
    return unescape(re.search(rf'id="{form}"[^>]*action="([^"]+)"', page.text)[1])


def csrf_in(page):
    return re.search(r'name="csrf_token" value="([^"]+)"', page.text)[1]


def ask(client, page, text="怎么退货", **fields):
    sent = {"csrf_token": csrf_in(page), "client_id": "one-question-only", "text": text} | fields
    return client.post(action_in(page), data=sent)


def policy_of(response):
    return dict(part.strip().split(" ", 1) for part in response.headers["Content-Security-Policy"].split(";"))


def test_a_visitor_without_cookies_asks_and_reads_the_answer(client):
    page = frame(client)
    assert "Set-Cookie" not in page.headers
    answered = ask(client, page)
    assert answered.status_code == 303
    thread = client.get(answered.location)
    assert "七天内" in thread.text
    assert "Set-Cookie" not in thread.headers
    assert "/ws?conversation=" in thread.text


def test_every_address_in_the_frame_carries_the_token(client):
    page = frame(client)
    token = token_in(page)
    thread = client.get(ask(client, page).location).text
    addresses = re.findall(r'(?:href|action|hx-get|hx-post|hx-ws:connect)="(/[^"]*)"', thread)
    ours = [unescape(each) for each in addresses if not each.startswith("/static/")]
    assert len(ours) > 5
    assert [each for each in ours if f"widget_token={token}" not in each] == []


def test_the_conversation_is_the_tokens_alone(client):
    where = ask(client, frame(client)).location
    bare = where.partition("?")[0]
    stranger = token_in(frame(client))
    assert client.get(bare).status_code == 404
    assert client.get(f"{bare}?widget_token={stranger}").status_code == 404
    assert client.get(f"{bare}?widget_token={stranger[:-1]}").status_code == 404
    assert client.get(where).status_code == 200


def test_the_next_page_of_the_shop_goes_on_with_the_conversation(client):
    page = frame(client, page=f"{SHOP}/cups?id=7#top", title="杯子")
    ask(client, page)
    again = frame(client, widget_token=token_in(page))
    assert "七天内" in again.text
    assert "七天内" not in frame(client, widget_token="forged").text
    assert "七天内" not in frame(client).text


def test_the_page_that_the_visitor_looked_at_is_kept_without_its_query(client, database):
    ask(client, frame(client, page=f"{SHOP}/cups?id=7#top", title="  杯子 \n x "))
    with database.read() as session:
        stored = session.scalar(select(Conversation).order_by(Conversation.id.desc()))
    assert (stored.channel, stored.page_url, stored.page_title) == ("widget", f"{SHOP}/cups", "杯子 x")


@pytest.mark.parametrize("page", ["javascript:alert(1)", "x" * 5000, "", "http://[", "ftp://x/y"])
def test_an_address_that_is_none_is_left_out(client, database, page):
    ask(client, frame(client, page=page))
    with database.read() as session:
        assert session.scalar(select(Conversation).order_by(Conversation.id.desc())).page_url is None


def test_only_allowed_sites_may_show_it(client):
    shown = frame(client)
    assert policy_of(shown)["frame-ancestors"] == f"'self' {SHOP}"
    for host in ("https://evil.example", "https://shop.example.evil.example", "http://shop.example", "", "null", "//"):
        refused = frame(client, host=host)
        assert refused.status_code == 403
        assert policy_of(refused)["frame-ancestors"] == "'none'"
        assert "data-token" not in refused.text
    foreign = client.get("/widget", query_string={"host": SHOP}, headers={"Referer": "https://evil.example/x"})
    assert foreign.status_code == 403


def test_the_pages_themselves_are_shown_in_no_frame(client):
    assert policy_of(client.get("/"))["frame-ancestors"] == "'none'"
    assert policy_of(client.get("/admin/sign-in"))["frame-ancestors"] == "'none'"


def test_a_post_without_the_forms_secret_is_refused(client):
    page = frame(client)
    assert ask(client, page, csrf_token="").status_code == 400
    assert ask(client, page, csrf_token=csrf_in(frame(client))).status_code == 400


def test_a_token_is_nobody_to_the_operators_pages(client):
    token = token_in(frame(client))
    assert client.get(f"/admin/faq?widget_token={token}").status_code in (302, 303)


def test_the_token_goes_before_the_cookie(site):
    """A browser that has both is the frame's visitor there, and the page's on the page."""
    browser = site.test_client()
    browser.get("/")
    page = frame(browser)
    where = ask(browser, page).location
    assert browser.get(where).status_code == 200
    assert browser.get(where.partition("?")[0]).status_code == 404


@pytest.mark.parametrize(("language", "words"), [("en-GB", "Type your question"), ("zh", "输入"), ("", "输入")])
def test_the_page_around_it_chooses_the_language(client, language, words):
    assert words in frame(client, language=language).text


def test_the_script_is_small_and_may_be_loaded_from_everywhere(client):
    script = client.get("/widget.js")
    assert script.mimetype == "text/javascript"
    assert len(script.data) < 15_000
    assert script.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert "max-age=300" in script.headers["Cache-Control"]
    assert client.get("/widget.js", headers={"If-None-Match": script.headers["ETag"]}).status_code == 304
