"""Every text a visitor or operator sees exists in both languages."""

from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from webchat.config import CHECKOUT

CATALOGUE = CHECKOUT / "webchat" / "translations" / "zh" / "LC_MESSAGES" / "messages.po"
KEYWORDS = {"_": None, "gettext": None, "lazy_gettext": None, "ngettext": (1, 2)}


def texts_in(folder, method, pattern):
    found = extract_from_dir(folder, method_map=[(pattern, method)], keywords=KEYWORDS)
    return {message for _, _, message, _, _ in found}


def catalogue():
    with CATALOGUE.open("rb") as file:
        return read_po(file, locale="zh")


def test_every_text_has_a_chinese_translation():
    used = texts_in(CHECKOUT / "webchat", "python", "**.py") | texts_in(CHECKOUT / "templates", "jinja2", "**.html")
    translated = {
        message.id: message.string if isinstance(message.string, str) else message.string[0] for message in catalogue()
    }
    assert len(used) > 100
    assert not [text for text in used if not translated.get(text)]


def test_translations_keep_the_placeholders():
    problems = [(message.id, error) for message in catalogue() for error in message.check(catalogue())]
    assert not problems
