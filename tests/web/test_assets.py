"""Static files: an address that changes with the content, so that browsers keep it for a year."""

import re
import shutil

import pytest

YEAR = "public, max-age=31536000, immutable"


def assets_of(page):
    return re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text)


def test_every_file_a_page_names_is_there_and_is_kept(alice):
    names = assets_of(alice.get("/"))
    assert len(names) >= 5
    for name in names:
        response = alice.get(name.replace("&amp;", "&"))
        assert response.status_code == 200
        assert response.content
        assert response.headers["Cache-Control"] == YEAR
        assert "Set-Cookie" not in response.headers


@pytest.mark.parametrize("encoding", ["br", "gzip"])
def test_a_first_visit_costs_less_than_100_kb(alice, encoding):
    page = alice.get("/", headers={"Accept-Encoding": encoding})
    answers = [page, *(alice.get(name, headers={"Accept-Encoding": encoding}) for name in assets_of(page))]
    for answer in answers:
        if int(answer.headers["Content-Length"]) > 500:
            assert answer.headers["Content-Encoding"] == encoding
            assert "Accept-Encoding" in answer.headers["Vary"]
    assert sum(int(answer.headers["Content-Length"]) for answer in answers) < 100_000


def test_who_understands_no_compression_gets_none(alice):
    page = alice.get("/", headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in page.headers


def test_a_file_asked_for_without_its_hash_is_looked_at_again(alice):
    assert alice.get("/static/icon.svg").headers["Cache-Control"] != YEAR


def test_a_missing_file_is_not_kept(alice):
    response = alice.get("/static/nothing.js?v=abc")
    assert response.status_code == 404
    assert response.headers["Cache-Control"] == "no-store"


def test_the_address_changes_with_the_content(new_app, tmp_path):
    app = new_app()
    shutil.copytree(app.static_folder, tmp_path / "static")
    app.static_folder = str(tmp_path / "static")

    def address():
        with app.test_request_context():
            return app.jinja_env.globals["asset"]("icon.svg")

    before = address()
    assert address() == before
    (tmp_path / "static" / "icon.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    assert address() != before


@pytest.mark.parametrize(
    "path",
    [
        "../pyproject.toml",
        "..%2fpyproject.toml",
        "%2e%2e/pyproject.toml",
        "....//pyproject.toml",
        "/etc/passwd",
        "css",
        "",
        "%00",
        "css/%00",
    ],
)
def test_nothing_outside_is_served(site, path):
    response = site.test_client().get(f"/static/{path}")
    assert response.status_code in (404, 308)
    assert b"[project]" not in response.data


@pytest.mark.parametrize(
    "path", ["/.env", "/data/webchat.db", "/pyproject.toml", "/templates/base.html", "/.git/config"]
)
def test_nothing_but_static_files_is_served(alice, path):
    assert alice.get(path).status_code == 404


def test_the_types_are_what_browsers_insist_on(alice):
    types = {
        name.partition("?")[0].rpartition(".")[2]: alice.get(name).headers["Content-Type"]
        for name in assets_of(alice.get("/"))
    }
    assert types["css"].startswith("text/css")
    assert types["js"].startswith(("text/javascript", "application/javascript"))
    assert types["svg"].startswith("image/svg+xml")
