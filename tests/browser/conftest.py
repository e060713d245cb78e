"""A site with the real model and the example FAQ, and Debian's Chromium to visit it with."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.server import CHECKOUT, Server

from webchat.answering.example_faq import load_example_faq
from webchat.storage.database import Database
from webchat.storage.first_operator import ensure_admin_password

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, ConsoleMessage, Page

PASSWORD = "a long enough password"
PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "has_touch": True, "is_mobile": True}
DESKTOP = {"viewport": {"width": 1280, "height": 800}}
AXE = CHECKOUT / "node_modules" / "axe-core" / "axe.min.js"
SCREENSHOTS = CHECKOUT / ("docs" if os.environ.get("UPDATE_SCREENSHOTS") else ".cache") / "screenshots"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.model)


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict) -> dict:
    """Debian's browser, which asks nobody on the network for anything."""
    quiet = ("gpu", "background-networking", "component-update", "sync", "quic")
    arguments = ["--no-sandbox", "--no-first-run", *(f"--disable-{what}" for what in quiet)]
    return {**browser_type_launch_args, "executable_path": shutil.which("chromium"), "args": arguments}


@pytest.fixture(scope="session")
def browser_context_args(browser_context_args: dict) -> dict:
    return {**browser_context_args, "locale": "zh-CN", "timezone_id": "Asia/Shanghai"}


@pytest.fixture(scope="session")
def site(real_model: Path, migrated_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """gunicorn with the real weights, our encoders where they are, the example FAQ and the operator ``admin``."""
    data_dir = tmp_path_factory.mktemp("site")
    if encoders := os.environ.get("WEBCHAT_TEST_ENCODERS", "").splitlines():
        (data_dir / "models").mkdir()
        (data_dir / "models" / "encoders").symlink_to(Path(encoders[0]).parent)
    shutil.copy(migrated_file, data_dir / "webchat.db")
    database = Database(f"sqlite:///{data_dir / 'webchat.db'}")
    load_example_faq(database)
    ensure_admin_password(database, PASSWORD)
    database.close()
    limits = {"rate_visitor": "1000 per minute", "rate_address": "10000 per minute"}
    server = Server(data_dir, real_model, threads=0, **limits).start().ready()
    yield server
    server.close()


@pytest.fixture(scope="session")
def base_url(site: Server) -> str:
    """What a page's path is relative to."""
    return site.url


@pytest.fixture
def console() -> Iterator[list[str]]:
    """What the consoles of all pages complain about; a test takes out what it expects, and nothing may be left."""
    complaints: list[str] = []
    yield complaints
    assert not complaints


@pytest.fixture
def visit(browser: Browser, browser_context_args: dict, console: list[str]) -> Iterator[Callable[..., Page]]:
    """Opens a page as a new visitor."""
    pages: list[Page] = []

    def hear(said: ConsoleMessage) -> None:
        if said.type in ("error", "warning"):
            console.append(said.text)

    def open_page(path: str = "/", **options: object) -> Page:
        page = browser.new_context(**{**browser_context_args, **DESKTOP, **options}).new_page()
        page.on("console", hear)
        page.on("pageerror", lambda error: console.append(str(error)))
        pages.append(page)
        page.goto(path)
        return page

    yield open_page
    for page in pages:
        page.remove_listener("console", hear)  # a socket that is cut off by the closing is nobody's fault
        page.context.close()


@pytest.fixture
def shoot() -> Callable[[Page, str], None]:
    """Takes a screenshot under a name; into the documentation with UPDATE_SCREENSHOTS=1."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    return lambda page, name: page.screenshot(path=SCREENSHOTS / f"{name}.png")


@pytest.fixture
def shoot_schemes(shoot: Callable[[Page, str], None]) -> Callable[[Page, str], None]:
    """Takes two screenshots of a state that is there only once: light and dark, named after the page's size too."""

    def take(page: Page, name: str) -> None:
        width = page.viewport_size["width"] if page.viewport_size else 0
        size = "phone" if width <= PHONE["viewport"]["width"] else "desktop"  # type: ignore[index]
        for scheme in ("dark", "light"):
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            shoot(page, f"{name}-{size}-{scheme}")

    return take


def accessibility_problems(page: Page) -> list[str]:
    """What axe-core finds against WCAG 2.2 AA and its best practices, a line each."""
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run().then(result => result.violations.map(v => [v.id, v.nodes.map(n => n.html)]))")
    return [f"{rule}: {node}" for rule, nodes in found for node in nodes]
