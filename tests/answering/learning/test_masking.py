"""Personal numbers do not leave the conversation."""

import pytest

from webchat.answering.learning.masking import masked


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("打13812345678找我", "打{phone}找我"),
        ("+86 138-1234-5678", "{phone}"),
        ("座机010-62345678或者0571 87654321", "座机{phone}或者{phone}"),
        ("call +44 20 7946 0958 please", "call {phone} please"),
        ("身份证11010519491231002X", "身份证{id}"),
        ("卡号 6222 0212 3456 7894 转账", "卡号 {card} 转账"),
        ("4111-1111-1111-1111", "{card}"),
        ("写信到 li.wei+shop@example.com.cn。", "写信到 {email}。"),
    ],
)
def test_numbers_of_people_are_masked(text, expected):
    assert masked(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "订单20231104556677什么时候发货",
        "型号138能用吗",
        "2023-11-04 12:30 下的单",
        "7天内可以退吗，满100减20",
        "6222 0212 3456 7890 不是卡号",  # fails the check digit
        "1" * 40,
        "a@b",
        "",
    ],
)
def test_other_numbers_stay(text):
    assert masked(text) == text
