"""The documents tell the truth: settings, commands and files they name exist."""

import doctest
import importlib
import re
from pathlib import Path

import click
import pytest

from webchat.cli import main
from webchat.config import CHECKOUT, Settings

READMES = (CHECKOUT / "README.md", CHECKOUT / "docs" / "README.zh-CN.md")


def setting_names():
    for name, field in Settings.model_fields.items():
        alias = field.validation_alias
        yield (str(alias.choices[0]) if alias else f"WEBCHAT_{name.upper()}"), field


def shown_default(field):
    value = field.get_default()
    if isinstance(value, Path):
        return f"`./{value.relative_to(CHECKOUT)}`"
    value = value.get_secret_value() if hasattr(value, "get_secret_value") else value
    return f"`{value}`" if value not in ("", ()) else ""


def table_row(name, field):
    return f"| `{name}` | {shown_default(field)} | {field.description} |"


def test_the_readme_lists_every_setting_with_its_default_and_sentence():
    text = READMES[0].read_text()
    missing = [row for row in (table_row(*setting) for setting in setting_names()) if row not in text]
    assert not missing, "README.md lacks:\n" + "\n".join(missing)


@pytest.mark.parametrize("path", READMES, ids=lambda path: path.name)
def test_a_readme_names_every_setting_and_no_other(path):
    named = set(re.findall(r"^\| `((?:WEBCHAT_)?[A-Z][A-Z_]+)` \|", path.read_text(), re.MULTILINE))
    assert named == {name for name, _ in setting_names()}


@pytest.mark.parametrize("path", READMES, ids=lambda path: path.name)
def test_a_readme_shows_the_same_defaults(path):
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| (.*?) \| ", path.read_text(), re.MULTILINE))
    assert rows == {name: shown_default(field) for name, field in setting_names()}


@pytest.mark.parametrize("path", READMES, ids=lambda path: path.name)
def test_every_command_of_a_readme_exists(path):
    for line in re.findall(r"^\| `webchat ([^|]*)` \|", path.read_text(), re.MULTILINE):
        words = line.replace("`", "").replace(",", "").replace("、", " ").split()
        group = main.commands[words[0]]
        assert not words[1:] or set(words[1:]) <= set(click.Group.list_commands(group, click.Context(group)))


def modules_with_examples():
    for file in sorted((CHECKOUT / "webchat").rglob("*.py")):
        if ">>>" in file.read_text():
            yield ".".join(file.relative_to(CHECKOUT).with_suffix("").parts)


@pytest.mark.parametrize("name", list(modules_with_examples()))
def test_the_examples_of_docstrings_are_true(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


@pytest.mark.parametrize("path", READMES, ids=lambda path: path.name)
def test_every_file_a_readme_links_to_exists(path):
    for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text()):
        assert (path.parent / target).exists(), target
