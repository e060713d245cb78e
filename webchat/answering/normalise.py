"""One spelling for all the ways a question is typed."""

from __future__ import annotations

import re
import unicodedata

_NOT_WORD = re.compile(r"(?<!\d)\.|\.(?!\d)|[^\w.+#%]|_")
_HAN = "\u3400-\u4dbf\u4e00-\u9fff"
_SPACE_BESIDE_HAN = re.compile(rf"(?<=[{_HAN}]) +| +(?=[{_HAN}])")
_OPENING = re.compile(r"^(?:请问一下|请问|麻烦问一下|我想问一下|想问一下|问一下|你好|您好|亲)+(?=.{2})")
_PARTICLES = re.compile(r"(?<=.{2})(?:[吗嗎呢啊呀吧哦嘛哈啦]|(?<![什怎这那多])[么麼])+$")  # 什么 is a word of its own


def normalise(text: str) -> str:
    """The key under which equal questions meet.

    Full width, case, punctuation, spaces, emoji, polite openings and final particles go; decimal points
    and the signs that make another word of a word (``+ # %``) stay, and so does every negation.

    >>> normalise("请问，可以退货吗？") == normalise("可以退货")
    True
    """
    text = unicodedata.normalize("NFKC", text).casefold()
    text = " ".join(_NOT_WORD.sub(" ", text).split())
    text = _SPACE_BESIDE_HAN.sub("", text)
    text = _OPENING.sub("", text)
    return _PARTICLES.sub("", text)


def has_han(text: str) -> bool:
    """Whether a text contains Chinese characters."""
    return re.search(f"[{_HAN}]", text) is not None
