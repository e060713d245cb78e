"""The baseline under every response: headers, nonces, cookies, the secret key, proxies."""

import re
import stat
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser

import pytest
from support.visitor import HTMX, Visitor

from webchat.config import ConfigurationError, load_settings
from webchat.web.security import _secret_key

ROUTES = {
    "home": ("GET", "/"),
    "conversation": ("GET", "/c/{conversation}"),
    "ask": ("POST", "/c/{conversation}/messages"),
    "stop": ("POST", "/c/{conversation}/stop"),
    "chat": ("POST", "/chat"),
    "preflight": ("OPTIONS", "/chat"),
    "messages": ("GET", "/api/v1/conversations/{conversation}/messages"),
    "models": ("GET", "/v1/models"),
    "completions": ("POST", "/v1/chat/completions"),
    "health": ("GET", "/healthz"),
    "ready": ("GET", "/readyz"),
    "metrics": ("GET", "/metrics"),
    "static": ("GET", "/static/icon.svg"),
    "no static": ("GET", "/static/nothing.js"),
    "socket": ("GET", "/ws"),
    "nowhere": ("GET", "/nowhere"),
    "wrong method": ("PUT", "/"),
    "admin": ("GET", "/admin/"),
}


class Inline(HTMLParser):
    """Collects whatever in a page the policy would have to allow by name."""

    def __init__(self, nonce):
        super().__init__()
        self.nonce = nonce
        self.found = []
        self.tags = []

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.tags.append(tag)
        if tag == "style" or "style" in attributes:
            self.found.append(f"style of {tag}")
        if tag == "script" and (
            not attributes.get("src", "").startswith("/static/") or attributes.get("nonce") != self.nonce
        ):
            self.found.append("script")
        if tag == "link" and attributes.get("rel") == "stylesheet" and attributes.get("nonce") != self.nonce:
            self.found.append("stylesheet")
        self.found += [name for name in attributes if name.startswith(("on", "hx-on"))]
        for name, value in attrs:
            if name.startswith("hx-") and value and ("js:" in value or (name == "hx-trigger" and "[" in value)):
                self.found.append(f"{name}={value}")  # htmx would need eval for these
            if value and value.strip().lower().startswith("javascript:"):
                self.found.append(f"{name}={value}")


def nonce_of(response):
    return re.search(r"script-src 'nonce-([\w-]+)'", response.headers["Content-Security-Policy"])[1]


@pytest.mark.parametrize("route", ROUTES)
def test_every_response_has_the_baseline(alice, route):
    method, path = ROUTES[route]
    response = alice.http.request(method, path.format(conversation=alice.ask("怎么退货？")))
    headers = response.headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert re.fullmatch(r"[0-9a-f]{16}", headers["X-Request-Id"])
    policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert policy["script-src"] == policy["style-src"] == f"'nonce-{nonce_of(response)}'"
    assert "Server" not in headers or "Werkzeug" not in headers["Server"]
    assert route == "static" or headers["Cache-Control"] == "no-store"


def test_the_nonce_is_another_one_each_time_and_on_every_script(alice):
    pages = [alice.get("/") for _ in range(5)]
    assert len({nonce_of(page) for page in pages}) == 5
    for page in pages:
        assert f'nonce="{nonce_of(page)}"' in page.text


def test_no_page_holds_what_the_policy_forbids(site, alice):
    conversation = alice.ask("怎么退货？")
    pages = [
        alice.get("/"),
        alice.get(f"/c/{conversation}"),
        alice.send(""),
        alice.get("/nowhere"),
        alice.send("你是谁？", headers=HTMX),
        alice.send("你是谁？", conversation, headers=HTMX),
        alice.get("/admin/sign-in"),
    ]
    for page in pages:
        reader = Inline(nonce_of(page))
        reader.feed(page.text)
        assert reader.tags
        assert reader.found == []


# ---- cookies -------------------------------------------------------------------------------------


def cookie_set_by(response):
    (cookie,) = response.headers.get_list("Set-Cookie")
    name, *attributes = cookie.split("; ")
    return name, {attribute.partition("=")[0].lower(): attribute.partition("=")[2] for attribute in attributes}


def test_the_cookie_is_out_of_reach_for_scripts_and_other_sites(alice):
    name, attributes = cookie_set_by(alice.get("/"))
    assert name.startswith("webchat=")
    assert "httponly" in attributes
    assert attributes["samesite"] == "Lax"
    assert attributes["path"] == "/"
    assert "expires" in attributes  # a visitor's own conversations outlive the browser window


def test_the_cookie_stays_off_plain_http_once_it_came_by_https(site):
    assert "secure" in cookie_set_by(Visitor.of(site, "https://localhost").get("/"))[1]
    assert "secure" not in cookie_set_by(Visitor.of(site, "http://localhost").get("/"))[1]


def test_only_https_pages_ask_for_https_for_ever(site):
    assert "max-age=31536000" in Visitor.of(site, "https://localhost").get("/").headers["Strict-Transport-Security"]
    assert "Strict-Transport-Security" not in Visitor.of(site, "http://localhost").get("/").headers


def test_programs_static_files_and_health_get_no_cookie(bob):
    for response in (
        bob.http.post("/chat", json={"message": "怎么退货？"}),
        bob.get("/static/icon.svg"),
        bob.get("/healthz"),
        bob.get("/api/v1/conversations/x/messages"),
    ):
        assert "Set-Cookie" not in response.headers


# ---- the secret key ------------------------------------------------------------------------------


def test_the_key_is_made_once_and_only_its_owner_reads_it(new_app, data_dir):
    key = new_app().secret_key
    path = data_dir / "secret_key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text() == key
    assert len(key) >= 43  # 256 random bits
    assert new_app().secret_key == key
    assert [file.name for file in data_dir.iterdir() if file.name.startswith("tmp")] == []


def test_a_key_that_is_set_is_used_and_not_kept(new_app, data_dir):
    assert new_app(secret_key="from the environment").secret_key == "from the environment"
    assert not (data_dir / "secret_key").exists()


def test_a_cookie_outlives_a_restart(new_app):
    alice = Visitor.of(new_app())
    conversation = alice.ask("你是谁？")
    assert Visitor.of(new_app(), cookies=dict(alice.http.cookies)).get(f"/c/{conversation}").status_code == 200


@pytest.mark.parametrize("content", [b"", b"  \n", b"\xff\xfe"])
def test_a_key_that_is_damaged_is_said_and_not_replaced(new_app, data_dir, content):
    (data_dir / "secret_key").write_bytes(content)
    with pytest.raises(ConfigurationError, match="secret key"):
        new_app()
    assert (data_dir / "secret_key").read_bytes() == content


def test_a_data_directory_that_is_none_is_said(new_app, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="secret key cannot be kept"):
        new_app(data_dir=tmp_path / "file", database_url=f"sqlite:///{tmp_path}/webchat.db")


def test_many_processes_that_start_at_once_have_one_key(data_dir):
    with ThreadPoolExecutor(16) as starts:
        keys = set(starts.map(lambda _: _secret_key(load_settings(data_dir=data_dir)), range(16)))
    assert len(keys) == 1


# ---- proxies -------------------------------------------------------------------------------------

FORWARDED = {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "shop.example"}


def test_forwarded_headers_of_strangers_mean_nothing(alice):
    response = alice.get("/", headers=FORWARDED)
    assert "Strict-Transport-Security" not in response.headers
    assert "secure" not in cookie_set_by(response)[1]
    refused = alice.send("怎么退货？", headers={**FORWARDED, "Origin": "https://shop.example:444"})
    assert refused.status_code == 403


def test_forwarded_headers_of_a_trusted_proxy_count(new_app):
    alice = Visitor.of(new_app(trusted_proxies=1), headers=FORWARDED)
    response = alice.get("/")
    assert "Strict-Transport-Security" in response.headers
    assert "secure" in cookie_set_by(response)[1]
    alice.http.headers["Cookie"] = response.headers["Set-Cookie"].partition(";")[0]
    ours = {"Origin": "https://shop.example"}
    assert alice.send("你是谁？", headers=ours).status_code == 303
    assert alice.send("你是谁？", headers={"Origin": "http://localhost"}).status_code == 403


def test_gunicorn_itself_believes_no_forwarded_header(server):
    response = server.visitor().get("/", headers=FORWARDED)
    assert "Strict-Transport-Security" not in response.headers
    elsewhere = server.visitor().get("/", headers={"Script-Name": "/elsewhere", "Path-Info": "/admin"})
    assert elsewhere.status_code == 200
    assert 'action="/c/new/messages"' in elsewhere.text


# ---- redirects -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        "\\/evil.example",
        "javascript:alert(1)",
        "/ /evil.example",
        "",
        "evil",
        "/\r\nSet-Cookie: x=1",
        "/你好",
    ],
)
def test_the_language_form_leads_to_no_other_site(alice, target):
    response = alice.post("/language", language="en", next=target)
    assert response.status_code == 303
    assert response.headers["Location"] == "/"


@pytest.mark.parametrize("target", ["/", "/c/abc-_123", "/c/abc?x=1&y=%20#end"])
def test_the_language_form_leads_back(alice, target):
    assert alice.post("/language", language="en", next=target).headers["Location"] == target
