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
        ("手机１３８１２３４５６７８", "手机{phone}"),
        ("138–1234–5678，谢谢", "{phone}，谢谢"),
        ("138.1234.5678", "{phone}"),
        ("138_1234_5678 和 138/1234/5678", "{phone} 和 {phone}"),
        ("(138)12345678", "{phone}"),
        ("138\u200b1234\u200b5678", "{phone}"),
        ("1 3 8 1 2 3 4 5 6 7 8", "{phone}"),
        ("+1 (415) 555-0123 or (415) 555-0123", "{phone} or {phone}"),
        ("13812345678 100元", "{phone} 100元"),
        ("zhang＠qq.com", "{email}"),
        ("邮箱：张三@qq.com。", "邮箱：{email}。"),
        ("6222.0212.3456.7894", "{card}"),
        ("6222–0212–3456–7894", "{card}"),
        ("110105 19491231 002X", "{id}"),
        ("老身份证110105491231002", "老身份证{id}"),
        ("写信到 li.wei+shop@example.com.cn。", "写信到 {email}。"),
    ],
)
def test_numbers_of_people_are_masked(text, expected):
    assert masked(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "订单号13812345678什么时候到",
        "order number 13812345678",
        "尺寸 100-200-300，2023-11-04 到 2023-11-05",
        "订单20231104556677什么时候发货",
        "型号138能用吗",
        "2023-11-04 12:30 下的单",
        "7天内可以退吗，满100减20",
        "6222 0212 3456 7890 不是卡号",  # fails the check digit
        "1" * 40,
        "1 " * 40,
        "a@b",
        "",
    ],
)
def test_other_numbers_stay(text):
    assert masked(text) == text
