"""`webchat faq check`: what it prints, how it ends, and what it refuses."""

from __future__ import annotations

import json
import shutil

import pytest
from click.testing import CliRunner
from support.said import REFUSED, said

from webchat.cli import main
from webchat.storage import faq
from webchat.storage.database import Database


@pytest.fixture
def environment(tmp_path, migrated_file):
    shutil.copy(migrated_file, tmp_path / "webchat.db")
    url = f"sqlite:///{tmp_path}/webchat.db"
    return {"WEBCHAT_DATA_DIR": str(tmp_path), "WEBCHAT_ENCODER": "none", "WEBCHAT_DATABASE_URL": url}


@pytest.fixture
def database(environment):
    database = Database(environment["WEBCHAT_DATABASE_URL"])
    yield database
    database.close()


@pytest.fixture
def check(environment):
    return lambda *arguments, **more: CliRunner().invoke(
        main, ["faq", "check", *map(str, arguments)], env=environment | more
    )


def test_a_site_that_nobody_asked_anything_says_so(check):
    result = check()
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "Nobody has asked anything yet.",
        "newly answered: 0",
        "no longer answered: 0",
        "answered by another: 0",
        "required: 0, broken: 0",
    ]


def test_what_changed_is_printed_and_a_broken_requirement_ends_with_one(check, database):
    with database.write() as session:
        entry = faq.create(session, phrasings=["怎么退货"], answer="七天。", must_hit=["怎么退货", "如何把东西寄回"])
    for number in range(12):
        said(database, f"第{number}\x1b[31m个\n问题", source="faq", matched={"question": "从前的条目"})
    said(database, "怎么退货", **REFUSED)
    result = check("--last", 50)
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[0] == "13 different questions asked again"
    assert "  怎么退货 ×1  – → 怎么退货" in lines
    assert "no longer answered: 12" in lines
    assert "  … and 2 more; --all prints them" in lines
    assert lines[-2:] == ["required: 2, broken: 1", "  “怎么退货” must answer “如何把东西寄回”; that gets: –"]
    assert "\x1b" not in result.stdout
    assert len(check("--all").stdout.splitlines()) == len(lines) + 1
    with database.write() as session:
        faq.add_negative(session, faq.get(session, entry.id), "无关")
    assert check("--last", 1).stdout.splitlines()[0] == "1 different questions asked again"


def test_drafts_and_a_folder_are_tried(check, database, tmp_path):
    with database.write() as session:
        faq.create(session, phrasings=["能开发票吗"], answer="能。", status="draft")
    said(database, "能开发票吗", **REFUSED)
    assert "newly answered: 1" in check("--drafts").stdout
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "base.jsonl").write_text(json.dumps({"id": "a", "question": "能开发票吗？"}), encoding="utf-8")
    assert "  能开发票吗 ×1  – → 能开发票吗？" in check(folder).stdout
    assert check(folder / "base.jsonl").stdout == check(folder).stdout
    line = json.dumps({"id": "a", "question": "能开发票吗？", "answer": "能。\u2028明天"}, ensure_ascii=False)
    (folder / "base.jsonl").write_text(f"{line}\r\n", encoding="utf-8", newline="")
    assert "newly answered: 1" in check(folder).stdout


def test_what_cannot_be_done_is_said(check, tmp_path, environment):
    both = check(tmp_path, "--drafts")
    assert (both.exit_code, "cannot go together" in both.stderr) == (2, True)
    missing = check(tmp_path / "nowhere")
    assert (missing.exit_code, "base.jsonl cannot be read" in missing.stderr) == (1, True)
    assert check("--last", 0).exit_code == 2
    empty = check(WEBCHAT_DATABASE_URL=f"sqlite:///{tmp_path}/none.db")
    assert empty.exit_code == 1
    assert "webchat db upgrade" in empty.stderr
