"""The parts of a question that are compared: its letters, its sounds, its numbers."""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache
from itertools import pairwise

from pypinyin import lazy_pinyin, load_phrases_dict

from webchat.answering.normalise import normalise

_RUN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]+|[a-z]+|\d+(?:\.\d+)?")
_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]")
_LETTERS = re.compile(r"[a-z]+")
_CLAUSE = re.compile(r"[，。!！?？;；\n~～]+|[.,]+(?!\d)|\s{2,}")
_NUMERAL = re.compile(
    r"(?<![第一二两三四五六七八九十百])([一二两三四五六七八九十百]+)(?=(?:个?(?:工作日|小时|分钟|月)|[天日年岁周元块折]))"
)
_DIGITS = {"一": 1, "二": 2, "两": 2, "三": 3, "四": 4, "五": 5, "六": 6, "七": 7, "八": 8, "九": 9}
_SHORTEST_CLAUSE = 4  # characters
_MOST_CLAUSES = 5  # each is encoded: a message of a thousand commas must not keep the encoder from everybody else

# pypinyin knows how words are read by a list that takes 44 MB; the site leaves it out (``webchat/__init__.py``). Of the
# characters with several readings these words of customers have another one than the usual.
_READINGS = {
    "yin hang": "银行",
    "hang ye": "行业",
    "pai hang": "排行",
    "huan kuan": "还款",
    "huan qian": "还钱",
    "huan gei": "还给",
    "huan qing": "还清",
    "gui huan": "归还",
    "tui huan": "退还",
    "chang huan": "偿还",
    "fan huan": "返还",
    "chong xin": "重新",
    "chong zhi": "重置",
    "chong fu": "重复",
    "chong fa": "重发",
    "chong shi": "重试",
    "chong qi": "重启",
    "chong zhuang": "重装",
    "chong qing": "重庆",
    "tiao jie": "调节",
    "tiao zheng": "调整",
    "kong tiao": "空调",
    "pian yi": "便宜",
    "yin yue": "音乐",
    "lei si": "类似",
    "cheng du": "成都",
    "xia men": "厦门",
    "jiao yan": "校验",
    "bu liao": "不了",
    "liao jie": "了解",
    "zhao ji": "着急",
    "duo chang": "多长",
    "shi chang": "时长",
    "chang du": "长度",
    "chang qi": "长期",
    "chang duan": "长短",
    "jia chang": "加长",
    "yan chang": "延长",
    "shan chang": "擅长",
    "cha jia": "差价",
    "cha ping": "差评",
    "tan xing": "弹性",
    "jue se": "角色",
    "kuai ji": "会计",
    "gong ying": "供应",
}

# The syllables of Mandarin, by what they begin with: what is typed as pinyin falls apart into these and nothing else.
_INITIALS = "b p m f d t n l g k h j q x zh ch sh r z c s y w".split()
_FINALS = (
    "a o e i u v ai ei ui ao ou iu ie ve er an en in un vn ang eng ing ong "
    "ia ua uo uai iao ian uan iang iong uang ue van"
).split()
load_phrases_dict({word: [[syllable] for syllable in reading.split()] for reading, word in _READINGS.items()})
_SYLLABLE = re.compile("|".join(sorted((i + f for i in [*_INITIALS, ""] for f in _FINALS), key=len, reverse=True)))


def plain(question: str) -> str:
    """The question as it is compared: normalised, with Chinese numbers before a unit in digits.

    >>> plain("七天內可以換貨嗎？")
    '7天内可以换货'
    """
    return _NUMERAL.sub(lambda found: str(_number(found[1])), normalise(question))


def grams(text: str) -> Counter[str]:
    """The pieces of a plain text that spelling is compared by.

    Of Chinese every character and every two neighbours; of other words each, and every three letters of it; numbers.
    """
    pieces: Counter[str] = Counter()
    for run in _RUN.findall(text):
        pieces[run if not _HAN.match(run) else run[0]] += 1
        if _HAN.match(run):
            pieces.update(run[1:])
            pieces.update(run[at : at + 2] for at in range(len(run) - 1))
        elif not run[0].isdigit():
            word = f"^{run}$"
            pieces.update(word[at : at + 3] for at in range(len(word) - 2))
    return pieces


def sounds(text: str) -> Counter[str]:
    """The syllables of a plain text without their tones, and every two neighbours.

    Pinyin that was typed instead of characters becomes the same syllables.
    """
    pieces: Counter[str] = Counter()
    for run in _RUN.findall(text):
        syllables = _syllables(run)
        pieces.update(syllables)
        pieces.update(" ".join(pair) for pair in pairwise(syllables))
    return pieces


def _syllables(run: str) -> list[str]:
    if _HAN.match(run):
        return list(_pinyin(run))
    return spelt_out(run) or [run]


@lru_cache(4096)
def _pinyin(run: str) -> tuple[str, ...]:
    return tuple(lazy_pinyin(run))


@lru_cache(4096)
def spelt_out(word: str) -> list[str] | None:
    """The syllables of a word of letters that is pinyin; None for another word.

    >>> spelt_out("tuikuan")
    ['tui', 'kuan']
    >>> spelt_out("refund") is None
    True
    """
    syllables = []
    at = 0
    while at < len(word):
        found = _SYLLABLE.match(word, at)
        if not found:
            return None
        syllables.append(found[0])
        at = found.end()
    return syllables


# Common English words that can be read as syllables, and are no common Chinese word.
_ENGLISH = frozenset(
    "are aware bake base be bike came care change do done else fake fee game gone have here home i late like line"
    " lose made make mine more name no note on one open or pause pine place range rate ride same sale size so some"
    " state take tea time to tone tune use we were wide wine woke yes".split()
)


def is_pinyin(text: str) -> bool:
    """Whether a plain text is Chinese typed without characters, in part or whole."""
    words = _LETTERS.findall(text)
    if not _ENGLISH.isdisjoint(words):
        return False
    return bool(words) and max(map(len, words)) > 2 and all(spelt_out(word) for word in words)  # noqa: PLR2004


def numbers(text: str) -> set[str]:
    """The numbers in a plain text."""
    return {run for run in _RUN.findall(text) if run[0].isdigit()}


def content(text: str) -> int:
    """How much a plain text says: a Chinese character counts twice, a letter once."""
    return 2 * len(_HAN.findall(text)) + sum(map(len, _LETTERS.findall(text)))


def clauses(question: str) -> list[str]:
    """The clauses of a message that has several, as they were typed; of many, those that say most.

    >>> clauses("你好，我想问一下，你们什么时候发货呢？")
    ['我想问一下', '你们什么时候发货呢']
    """
    said = dict.fromkeys(part.strip() for part in _CLAUSE.split(question))
    parts = [part for part in said if len(part) >= _SHORTEST_CLAUSE]
    longest = sorted(parts, key=len, reverse=True)[:_MOST_CLAUSES]
    return [part for part in parts if part in longest] if len(parts) > 1 else []


def _number(numeral: str) -> int:
    total, digit = 0, 0
    for char in numeral:
        if char in _DIGITS:
            digit = _DIGITS[char]
        else:
            total += (digit or 1) * (10 if char == "十" else 100)
            digit = 0
    return total + digit
