"""One spelling for all the ways a question is typed."""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import TYPE_CHECKING

from opencc import OpenCC

if TYPE_CHECKING:
    from webchat.storage.tables import Language

_NOT_WORD = re.compile(r"(?<!\d)\.|\.(?!\d)|[^\w.+#%]|_")
_HAN = "\u3400-\u4dbf\u4e00-\u9fff"
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufe00-\ufe0f\ufeff]")
_SPACE_BESIDE_HAN = re.compile(rf"(?<=[{_HAN}]) +| +(?=[{_HAN}])")
_OPENING = re.compile(r"^(?:请问一下|请问|麻烦问一下|我想问一下|想问一下|问一下|你好|您好|亲)+(?=.{2})")
_PARTICLES = frozenset("吗呢啊呀吧哦嘛哈啦")
_ME = "么"  # a particle too, but 什么 is a word of its own
_BEFORE_ME = frozenset("什怎这那多")


def normalise(text: str) -> str:
    """The key under which equal questions meet.

    Full width, traditional characters, case, punctuation, spaces, emoji, polite openings and final particles go;
    decimal points and the signs that make another word of a word (``+ # %``) stay, and so does every negation.

    >>> normalise("请问，可以退货吗？") == normalise("可以退货")
    True
    """
    return without_manners(spelling(text))


def without_manners(spelled: str) -> str:
    """A text, as ``spelling`` gives it, without the polite words at its beginning and the particles at its end."""
    return _without_particles(_OPENING.sub("", spelled))


def spelling(text: str) -> str:
    """One spelling of every word, all words kept: full width, traditional characters, case, punctuation and spaces go.

    >>> spelling("Hello，你 好！")
    'hello你好'
    """
    text = nfkc(text).casefold()
    if has_han(text):
        text = simplified(text)
    text = " ".join(_NOT_WORD.sub(" ", text).split())
    return _SPACE_BESIDE_HAN.sub("", text)


def nfkc(text: str) -> str:
    """Full-width letters, circled digits and the like in the forms that encoders and patterns know; no invisible ones.

    >>> nfkc("退\u200d款Ａ")
    '退款A'
    """
    return _INVISIBLE.sub("", unicodedata.normalize("NFKC", text))


def simplified(text: str) -> str:
    """Traditional characters as simplified ones, with the mainland's words for Taiwan's.

    What has none stays as it is: some simplified characters are also traditional ones of another word (么 of 幺).
    """
    if _converter("t2s").convert(text) == text:
        return text
    simplified: str = _converter("tw2sp").convert(text)
    return simplified.replace("甚么", "什么")


@cache
def _converter(name: str) -> OpenCC:
    return OpenCC(name)


def _without_particles(text: str) -> str:
    """A loop and not a pattern: a pattern tries every 吗 of a thousand as the beginning of the end."""
    end = len(text)
    while end > 2 and (text[end - 1] in _PARTICLES or (text[end - 1] == _ME and text[end - 2] not in _BEFORE_ME)):  # noqa: PLR2004 - at least two characters stay
        end -= 1
    return text[:end]


def language_of(text: str) -> Language | None:
    """The language a text is to be answered in; None when it says nothing in any: 👍 and 12345 do not."""
    if not any(char.isalpha() for char in text):
        return None
    return "zh" if has_han(text) else "en"


def has_han(text: str) -> bool:
    """Whether a text contains Chinese characters."""
    return re.search(f"[{_HAN}]", text) is not None
