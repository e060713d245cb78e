"""Questions that ask for the opposite: denials with what they deny, and pairs of opposites."""

import pytest

from webchat.answering.faq.polarity import denials, opposed

PAIRS = [
    ("怎么开启通知", "怎么关闭通知"),
    ("how do i turn on alerts", "how do i turn off alerts"),
    ("怎么提高额度", "怎么降低额度"),
    ("how to upgrade my plan", "how to downgrade my plan"),
    ("怎么登录", "怎么退出登录"),
    ("how do i sign in", "how do i sign out"),
    ("支付成功了", "支付失败了"),
    ("线上能用吗", "线下能用吗"),
    ("怎么退货", "怎么换货"),
    ("在哪里买", "在哪里卖掉"),
    ("怎么申请售后", "怎么撤销售后"),
    ("怎么充值", "怎么提现"),
    ("怎么添加地址", "怎么删除地址"),
    ("how do i add a card", "how do i remove a card"),
    ("还在保修期内", "已经过保了"),
    ("国内能寄吗", "海外能寄吗"),
    ("最大的尺码", "最小的尺码"),
]


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_one_side_is_not_answered_by_the_other(one, other):
    assert opposed(one, [other])
    assert opposed(other, [one])
    assert not opposed(one, [one])
    assert not opposed(other, [other])
    assert not opposed(one, [one, other]), "an entry of both kinds is about both"
    assert not opposed(f"{one}还是{other}", [other]), "a question that names both asks about both"


@pytest.mark.parametrize(
    ("question", "phrasing"),
    [
        ("快递没签收", "快递显示已签收"),
        ("收不到验证码", "收到验证码"),
        ("不能退款", "退款"),
        ("无法登录", "登录"),
        ("my item did not arrive", "my item has arrived"),
        ("how do i stop the renewal", "how does the renewal work"),
    ],
)
def test_what_is_denied_is_not_what_is_said(question, phrasing):
    assert opposed(question, [phrasing])
    assert opposed(phrasing, [question])
    assert not opposed(question, [question])


@pytest.mark.parametrize(
    "question",
    ["能不能退款", "有没有退款", "可不可以退款", "不好意思，退款", "七天无理由退款", "退款不", "差不多什么时候退款"],
)
def test_a_question_that_offers_both_denies_nothing(question):
    assert not opposed(question, ["退款"])
    assert not denials(question)


def test_both_deny_but_not_the_same():
    assert opposed("没有发货却没有收到", ["没有发货却收到了"])
    assert not opposed("为什么没有退款", ["为什么拒绝退款"])
    assert not opposed("没有收到", ["没有收到", "收到了"])
