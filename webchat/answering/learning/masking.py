"""Personal numbers made unreadable, before what visitors wrote is kept anywhere but in their conversation."""

from __future__ import annotations

import re
from bisect import bisect
from itertools import accumulate
from typing import TYPE_CHECKING

from webchat.answering.normalise import nfkc

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_EMAIL = re.compile(r"[^\s@,;:<>()\"'、。]{1,64}@[a-z\d-]{1,64}(?:\.[a-z\d-]{1,64}){1,8}", re.IGNORECASE)
_DIGITS = re.compile(r"\d+(?:[xX](?![a-zA-Z\d]))?")
_BETWEEN = re.compile(r"[\s.\-–—‐‑_/()·]{1,3}")  # what people put between the digits of one number
# Directly before a number: it is an order's, whatever it looks like.
_OF_AN_ORDER = re.compile(
    r"(?:订单|单号|运单|快递|物流|发票|流水)(?:编?号|号码)?(?:是|为)?\s*[:#]?\s*$"
    r"|\b(?:order|tracking|parcel|invoice|booking)(?: (?:number|no\.?|id))?(?: is)?\s*[:#]?\s*$",
    re.IGNORECASE,
)
_LOOKED_BACK = 24  # characters before a number
_ID = re.compile(r"[1-9]\d{5}(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:[0-2]\d|3[01])\d{3}[\dXx]")
_OLD_ID = re.compile(r"[1-9]\d{7}(?:0[1-9]|1[0-2])(?:[0-2]\d|3[01])\d{3}")  # of before 1999
_PHONE = re.compile(r"(?:00)?(?:86)?1[3-9]\d{9}|(?:86)?0\d{2,3}\d{7,8}")
_ABROAD = range(8, 16)  # digits of a telephone number with its country
_AMERICAN = (3, 3, 4)  # groups of one without
_CARD = range(13, 20)  # digits of a bank card
_LIKE_A_CARD = (4, 4, 4, 4)
_CARD_GROUP = range(3, 7)  # digits between its spaces, but for the last


def masked(text: str) -> str:
    """The text with phone numbers, identity cards, bank cards and addresses of e-mail replaced by what they are.

    An order's number stays where it is called so: it tells nobody who the visitor is, and may be what is asked about.

    >>> masked("我的手机是138 1234 5678，卡号6222 0212 3456 7894")
    '我的手机是{phone}，卡号{card}'
    >>> masked("订单20231104556677什么时候发货")
    '订单20231104556677什么时候发货'
    """
    # Full-width digits and signs that are not seen are read as what they stand for; what is kept is as it was typed.
    read = [(char, at) for at, typed in enumerate(text) for char in nfkc(typed)]
    plain = "".join(char for char, _ in read)
    found = [(*each.span(), "{email}") for each in _EMAIL.finditer(plain)]
    found += _numbers(plain)
    for start, end, mask in sorted(found, reverse=True):
        text = text[: read[start][1]] + mask + text[read[end - 1][1] + 1 :]
    return text


def _numbers(text: str) -> Iterator[tuple[int, int, str]]:
    """Where personal numbers begin and end, each with its mask; of two that overlap the first and longest."""
    for chain in _chains(text):
        at = 0
        while at < len(chain):
            count, mask = _longest(text, chain, at)
            if mask:
                yield _beginning(text, chain[at].start()), chain[at + count - 1].end(), mask
            at += count


def _chains(text: str) -> Iterator[list[re.Match[str]]]:
    """Groups of digits that may be parts of one number."""
    chain: list[re.Match[str]] = []
    for group in _DIGITS.finditer(text):
        if chain and not _BETWEEN.fullmatch(text, chain[-1].end(), group.start()):
            yield chain
            chain = []
        chain.append(group)
    if chain:
        yield chain


def _longest(text: str, chain: Sequence[re.Match[str]], at: int) -> tuple[int, str]:
    """How many groups from there on are one number, and its mask; empty for a number of nobody."""
    if len(chain) > 1 and all(len(group[0]) == 1 for group in chain):  # spelt digit by digit
        return len(chain), _mask(text, chain) if len(chain) < _CARD.stop else ""
    digits = list(accumulate(len(group[0]) for group in chain[at : at + _CARD.stop]))
    for count in range(bisect(digits, _CARD.stop - 1), 0, -1):
        groups = chain[at : at + count]
        if mask := _mask(text, groups):
            return count, mask
        if tuple(len(group[0]) for group in groups) == _LIKE_A_CARD:
            return count, ""
    return 1, ""


def _beginning(text: str, start: int) -> int:
    while start and text[start - 1] in "+(":
        start -= 1
    return start


def _mask(text: str, groups: Sequence[re.Match[str]]) -> str:
    start = groups[0].start()
    if _OF_AN_ORDER.search(text[max(start - _LOOKED_BACK, 0) : start]):
        return ""
    digits, sizes = "".join(group[0] for group in groups), tuple(len(group[0]) for group in groups)
    abroad = "+" in text[_beginning(text, start) : start] and len(digits) in _ABROAD
    if _ID.fullmatch(digits) or (len(sizes) == 1 and _OLD_ID.fullmatch(digits)):
        return "{id}"
    if _PHONE.fullmatch(digits) or sizes == _AMERICAN or abroad:
        return "{phone}"
    whole = set(sizes) == {1} or all(size in _CARD_GROUP for size in sizes[:-1])
    return "{card}" if whole and len(digits) in _CARD and digits.isdigit() and _passes_luhn(digits) else ""


def _passes_luhn(digits: str) -> bool:
    """Whether the last digit checks the others, as on every bank card (Hans Peter Luhn, 1954; ISO/IEC 7812)."""
    return sum(sum(divmod(int(digit) * (1 + at % 2), 10)) for at, digit in enumerate(reversed(digits))) % 10 == 0
