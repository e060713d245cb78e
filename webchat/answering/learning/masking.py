"""Personal numbers made unreadable, before what visitors wrote is kept anywhere but in their conversation."""

from __future__ import annotations

import re

_CARD = re.compile(r"(?<!\d)\d(?:[ -]?\d){12,18}(?!\d)")
_MASKS = (
    ("{email}", re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+", re.ASCII)),
    # Eighteen with a check digit that may be X: a mainland identity card.
    (
        "{id}",
        re.compile(
            r"(?<![\da-zA-Z])[1-9]\d{5}(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:[0-2]\d|3[01])\d{3}[\dXx](?![\da-zA-Z])"
        ),
    ),
    ("{phone}", re.compile(r"(?<!\d)(?:\+?86[ -]?)?1[3-9]\d[ -]?\d{4}[ -]?\d{4}(?!\d)")),
    ("{phone}", re.compile(r"(?<!\d)0\d{2,3}[ -]?\d{7,8}(?!\d)")),
    ("{phone}", re.compile(r"(?<![\d+])\+\d{1,3}(?:[ -]?\d){7,12}(?!\d)")),
)


def masked(text: str) -> str:
    """The text with phone numbers, identity cards, bank cards and addresses of e-mail replaced by what they are.

    An order's number stays: it tells nobody who the visitor is, and may be what the question is about.

    >>> masked("我的手机是138 1234 5678，卡号6222 0212 3456 7894")
    '我的手机是{phone}，卡号{card}'
    >>> masked("订单20231104556677什么时候发货")
    '订单20231104556677什么时候发货'
    """
    for mask, pattern in _MASKS:
        text = pattern.sub(mask, text)
    return _CARD.sub(lambda found: "{card}" if _passes_luhn(found[0]) else found[0], text)


def _passes_luhn(number: str) -> bool:
    """Whether the last digit checks the others, as on every bank card (Hans Peter Luhn, 1954; ISO/IEC 7812)."""
    digits = [int(digit) for digit in reversed(number) if digit.isdigit()]
    return sum(sum(divmod(digit * (1 + place % 2), 10)) for place, digit in enumerate(digits)) % 10 == 0
