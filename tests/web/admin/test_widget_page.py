"""The operators' page about the widget: what to put where, and what is wrong."""

from __future__ import annotations

from admin_cast import text_of


def checked(browser, address, **headers):
    return text_of(browser.get(f"/admin/widget?page={address}", headers=headers))


def test_the_snippet_names_this_site(lin):
    page = lin.get("/admin/widget").text
    assert "http://localhost/widget.js" in page
    assert "No other site may show the chat yet" in page


def test_a_site_that_is_not_allowed_is_told_how_to_be(lin):
    page = checked(lin, "https://shop.example/cups")
    assert "Set WEBCHAT_ALLOWED_ORIGINS=https://shop.example and restart" in page
    assert "browsers block that" in page, "a page with HTTPS cannot show one without"
    assert "Open the page and click the button" in page


def test_what_is_right_needs_no_advice(lin):
    page = checked(lin, "http://localhost/")
    assert "To do: http" not in page
    assert "Set WEBCHAT_" not in page


def test_an_attempt_is_listed_with_its_outcome(lin, stranger):
    stranger.get("/widget?host=https://evil.example")
    page = text_of(lin.get("/admin/widget"))
    assert "https://evil.example" in page
    assert "refused" in page


def test_a_proxy_that_is_not_trusted_is_found(lin):
    page = checked(lin, "http://localhost/", **{"X-Forwarded-Proto": "https"})
    assert "Set WEBCHAT_TRUSTED_PROXIES" in page
    other = checked(lin, "http://localhost/", Referer="https://chat.example/admin/widget")
    assert "Set WEBCHAT_TRUSTED_PROXIES" in other


def test_what_is_no_address_is_said_so(lin):
    for address in ("javascript:alert(1)", "ftp://x", "http://[", "%00"):
        assert "This is no address of a page" in checked(lin, address)


def test_only_operators_see_it(stranger):
    assert stranger.get("/admin/widget").status_code in (302, 303)
