"""What is kept for when there is no network: one page, which holds nothing of anybody."""

import re


def test_the_page_holds_nothing_of_its_visitor(alice):
    response = alice.get("/offline")
    assert response.status_code == 200
    assert "没有网络" in response.text
    assert "no network" in response.text
    assert "Set-Cookie" not in response.headers
    assert "csrf_token" not in response.text


def test_the_worker_is_looked_for_anew_and_may_run(alice):
    response = alice.get("/sw.js")
    assert response.headers["Content-Type"].startswith("text/javascript")
    assert response.headers["Cache-Control"] == "no-cache"
    assert re.search(r'const CACHE = "offline [0-9a-f]{12}";', response.text)
    assert 'const PAGE = "/offline";' in response.text
    assert "worker-src 'self'" in alice.get("/").headers["Content-Security-Policy"]
