"""The walls of the house: which room may import which, which package has which door, what templates may hold."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent
PACKAGE = CHECKOUT / "webchat"

# What each room may import; `web → answering → engine | storage`, and pages also read rows.
ROOMS = {
    "web": {"web", "answering", "storage"},
    "answering": {"answering", "engine", "storage"},
    "engine": {"engine"},
    "storage": {"storage"},
    "bench": {"bench"},  # measures over HTTP, from outside
}
LEAVES = {"accounts", "config", "observability", "plots"}
ROOTS = (
    "webchat/__init__.py",
    "webchat/app.py",
    "webchat/engines.py",
    "webchat/cli.py",
    "webchat/commands/",
    "wsgi.py",
)
# The services are handed to views by name and type; this is the one place where pages see the engine.
EXCEPTIONS = {
    ("webchat/web/services.py", "webchat.engine.interface"),
    ("webchat/web/services.py", "webchat.engine.encoders"),
}

# Third-party packages that have one door: files below these paths alone may import them.
DOORS = {
    "sqlalchemy": ("webchat/storage/", "migrations/"),
    "alembic": ("webchat/storage/schema.py", "migrations/"),
    "psycopg": (),
    "llama_cpp": ("webchat/engine/llama",),
    "gguf": ("webchat/engine/e5_file.py",),
    "sentencepiece": ("webchat/engine/vocabulary.py",),
    "pypinyin": ("webchat/answering/faq/spelling.py",),
    "opencc": ("webchat/answering/normalise.py",),
    "huggingface_hub": ("webchat/engine/fetching.py",),
    "httpx2": ("webchat/engine/",),
    "rich": ("webchat/engine/progress.py", "webchat/engine/tuning_report.py", "webchat/bench/report.py"),
    "regex": ("webchat/answering/rules/patterns.py",),
    "pygal": ("webchat/plots.py",),
    "flask": ("webchat/web/", "webchat/app.py"),
    "flask_babel": ("webchat/web/",),
    "flask_limiter": ("webchat/web/",),
    "flask_sock": ("webchat/web/socket.py",),
    "flask_wtf": ("webchat/web/",),
    "wtforms": ("webchat/web/",),
    "werkzeug": ("webchat/web/",),
    "simple_websocket": ("webchat/web/socket.py",),
    "markdown_it": ("webchat/web/markdown.py",),
    "nh3": ("webchat/web/markdown.py",),
    "pygments": ("webchat/web/markdown.py",),
    "prometheus_client": ("webchat/web/health.py",),
    "pwdlib": ("webchat/accounts.py",),
    "pydantic": ("webchat/config.py",),
    "pydantic_settings": ("webchat/config.py",),
    "click": ("webchat/cli.py", "webchat/commands/"),
    "gunicorn": ("gunicorn_conf.py", "webchat/web/worker.py"),
}

SOURCES = sorted(
    [
        *PACKAGE.rglob("*.py"),
        *(CHECKOUT / "migrations").rglob("*.py"),
        *CHECKOUT.glob("*.py"),
    ]
)


def imports(path: Path) -> set[str]:
    """Full names of the modules a file imports, in functions and for type checkers too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            found |= {_module(node.module or "", alias.name) for alias in node.names}
    return found


def _module(package: str, name: str) -> str:
    """``from webchat.storage import faq`` imports a module, ``from webchat.config import Settings`` a name in one."""
    inside = CHECKOUT.joinpath(*package.split("."))
    is_module = inside.joinpath(name).is_dir() or inside.joinpath(f"{name}.py").is_file()
    return f"{package}.{name}" if is_module else package


def room_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


FILES = {path.relative_to(CHECKOUT).as_posix(): imports(path) for path in SOURCES}


def breaches_of_rooms(files: dict[str, set[str]]) -> list[str]:
    found = []
    for name, imported in files.items():
        if name.startswith(ROOTS) or not name.startswith("webchat/"):
            continue
        room = Path(name).parts[1].removesuffix(".py")
        allowed = set() if room in LEAVES else ROOMS[room] | LEAVES
        found += [
            f"{name} → {module}"
            for module in imported
            if module.partition(".")[0] == "webchat"
            and room_of(module) not in allowed
            and (name, module) not in EXCEPTIONS
        ]
    return found


def test_every_room_keeps_to_its_neighbours():
    assert breaches_of_rooms(FILES) == []


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("webchat/engine/worker.py", "webchat.storage.faq"),
        ("webchat/storage/faq.py", "webchat.engine.worker"),
        ("webchat/answering/run.py", "webchat.web.sse"),
        ("webchat/web/chat.py", "webchat.engine"),
        ("webchat/bench/site.py", "webchat.engine.weights"),
        ("webchat/web/health.py", "webchat.bench.memory"),
        ("webchat/config.py", "webchat.observability"),
        ("webchat/web/admin/faq.py", "webchat"),
    ],
)
def test_a_wall_that_is_broken_is_seen(name, module):
    assert breaches_of_rooms({name: {module}}) == [f"{name} → {module}"]


def test_the_exceptions_are_still_needed():
    assert {(name, module) for name, module in EXCEPTIONS if module in FILES[name]} == EXCEPTIONS


def test_the_house_has_these_rooms_leaves_and_roots_and_no_others():
    entries = {path.name for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    roots = {root.removeprefix("webchat/").rstrip("/") for root in ROOTS if root.startswith("webchat/")}
    assert entries == {*roots, *(f"{leaf}.py" for leaf in LEAVES), *ROOMS}


def test_no_room_is_imported_in_a_circle():
    order = ["storage", "engine", "answering", "web", "bench"]
    for room, allowed in ROOMS.items():
        assert all(order.index(other) <= order.index(room) for other in allowed)


@pytest.mark.parametrize("package", DOORS)
def test_each_package_has_one_door(package):
    users = {
        name for name, imported in FILES.items() if any(module.partition(".")[0] == package for module in imported)
    }
    assert {name for name in users if not name.startswith(DOORS[package])} == set()
    assert users or not DOORS[package], "nobody uses this door"


def test_nothing_of_ours_is_imported_through_a_private_name():
    private = [
        f"{name} → {module}"
        for name, imported in FILES.items()
        for module in imported
        if module.startswith("webchat.") and any(part.startswith("_") for part in module.split("."))
    ]
    assert private == []


def test_packages_lie_at_most_one_level_below_a_room():
    too_deep = [name for name in FILES if name.startswith("webchat/") and len(Path(name).parts) > 4]
    assert too_deep == []


def test_no_module_is_a_drawer_for_odds_and_ends():
    drawers = {"utils", "util", "helpers", "helper", "common", "misc"}
    assert [name for name in FILES if drawers & set(Path(name).with_suffix("").parts)] == []


FORBIDDEN_IN_TEMPLATES = {
    "hx-on": r"\bhx-on\b",
    "inline handler": r"\son[a-z]+\s*=",
    "expression": r"\b(?:js|javascript):",
    "trigger filter": r"hx-trigger\s*=\s*(?:\"[^\"]*\[|'[^']*\[)",
}


def forbidden(text: str) -> list[str]:
    return [what for what, pattern in FORBIDDEN_IN_TEMPLATES.items() if re.search(pattern, text, re.IGNORECASE)]


def test_templates_hold_nothing_that_htmx_would_have_to_evaluate():
    templates = sorted((CHECKOUT / "templates").rglob("*.html"))
    assert templates
    found = {path.name: forbidden(path.read_text(encoding="utf-8")) for path in templates}
    assert {name: what for name, what in found.items() if what} == {}


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('<a hx-on:click="go()">', "hx-on"),
        ('<a onclick="go()">', "inline handler"),
        ("<a hx-vals='js:{a: 1}'>", "expression"),
        ('<a href="javascript:go()">', "expression"),
        ('<a hx-trigger="click[ctrlKey]">', "trigger filter"),
        ("<a hx-trigger='load, keyup[key==\"a\"]'>", "trigger filter"),
    ],
)
def test_what_is_forbidden_is_found(text, what):
    assert forbidden(text) == [what]
