"""Whether two questions ask for opposite things, which sentence encoders hardly see.

A denial counts with what it denies: "I did not receive it" is the opposite of "I received it", not of a question about
something else that happens to hold a "not".
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# Questions that offer both (能不能, 有没有) deny nothing, nor do words that hold such a character by chance.
_NO_DENIAL = re.compile(
    r"([\u4e00-\u9fff])[不没]\1|有没有?|有无|[对是好]不|要不|差不多|不好意思|不错|不同|不过|不仅|不但|不管|无论|无理由|不限|没问题|没事"
    r"|不知道?|不懂|[分识辨区特级性个告]别|别人|非常|未来|无线|[不没]$|没有$"
)
_DENIAL = r"不|没|无法|无|未|别|勿|拒绝|禁止"
_SKIPPED = "有能会可以法被让给得到及时要用再去是"
# 收不到: what is denied stands around the denial.
_RESULT = re.compile(r"([\u4e00-\u9fff])不([到了上下出开动起着住成完掉])")
_DENIED = re.compile(rf"(?:{_DENIAL})([{_SKIPPED}]*)([\u4e00-\u9fff]{{0,2}})")
_ENGLISH_DENIAL = re.compile(r"\b(?:not|never|cannot|without|stop|\w+n t)\b((?: [a-z]+){1,3})")
_ENGLISH_WORD = re.compile(r"[a-z]{4,}")
_SAY_LITTLE = frozenset(
    "know want have need think been that this with your from what when does will able make anymore".split()
)
_STEM = 5  # letters
# Pairs of opposites: a question with one side and a phrasing with the other ask for different things.
_OPPOSITES = [
    (re.compile(one), re.compile(other))
    for one, other in (
        (
            r"开启|打开|开通|启用|激活|\bturn(?:ing)? (?:\w+ )?on\b|\b(?:enable|activate)",
            r"关闭|关掉|关停|停用|取消|注销|怎么关|不想再|\bturn(?:ing)? (?:\w+ )?off\b|\b(?:disable|deactivate)",
        ),
        (
            r"提高|提升|增加|上调|升级|\b(?:increase|raise|upgrade)",
            r"降低|减少|下调|降级|\b(?:decrease|lower|reduce|downgrade)",
        ),
        (r"(?<!出)登[录陆]|\b(?:log|sign) ?in\b", r"退出登|登出|\b(?:log|sign) ?out\b"),
        (r"成功|\bsucceed", r"失败|不成功|\bfail"),
        (r"线上|网上|\bonline\b", r"线下|\boffline\b"),
        (r"退货|退款|退钱", r"换货|换一[个件双]|调换"),
        (r"买|购", r"卖(?!多少|什么|几|不卖)"),
        (r"申请(?!.{0,4}(?:撤|取消))", r"撤销|撤回|取消申请"),
        (r"存入|转入|充值", r"转出|提现|取出"),
        (r"添加|\badd\b", r"删除|移除|解绑|\b(?:remove|delete)\b"),
        (r"保修期内|在保|没过保", r"过保|保修期外|过了保"),
        (r"国内", r"国外|海外|境外"),
        (r"最[大高多长快]", r"最[小低少短慢]"),
    )
]


def opposed(question: str, phrasings: Sequence[str]) -> bool:
    """Whether a plain question denies what an entry's phrasings say or the reverse, or asks for the opposite.

    An entry that has phrasings of both kinds is about both.

    >>> opposed("快递没签收", ["快递显示已签收"]), opposed("收不到验证码", ["收到验证码"])
    (True, True)
    >>> opposed("能不能退款", ["退款"])
    False
    """
    return _denial_differs(question, phrasings) or any(
        any(map(other.search, phrasings)) and not any(map(one.search, phrasings)) for one, other in _one_sided(question)
    )


def _denial_differs(question: str, phrasings: Sequence[str]) -> bool:
    denied, offered = denials(question), [denials(phrasing) for phrasing in phrasings]
    if not denied:
        return all(offered) and any(_says(question, what) for what in frozenset().union(*offered))
    # Both deny: why was it not paid, why was it refused? Only where they deny the same thing, another one tells.
    return any(
        _says(phrasing, what)
        for phrasing, theirs in zip(phrasings, offered, strict=True)
        if not any(offered) or denied & theirs
        for what in denied - theirs
    )


@lru_cache(64)  # one question is held against several entries
def _one_sided(question: str) -> list[tuple[re.Pattern[str], re.Pattern[str]]]:
    """The opposites of which a question names only one, that one first."""
    both_ways = [*_OPPOSITES, *((other, one) for one, other in _OPPOSITES)]
    return [(one, other) for one, other in both_ways if one.search(question) and not other.search(question)]


def _says(text: str, what: str) -> bool:
    """Whether a text says what another one denies."""
    if ord(what[0]) > ord("z"):
        return what in text
    return any(word[:_STEM] == what for word in _ENGLISH_WORD.findall(text))


@lru_cache(4096)
def denials(text: str) -> frozenset[str]:
    """What a plain text denies: two Chinese characters, or the beginning of an English word.

    >>> sorted(denials("不能退款")), sorted(denials("能不能退款")), sorted(denials("my item did not arrive"))
    (['退款'], [], ['arriv'])
    """
    text = _NO_DENIAL.sub(" ", text)
    found = {"".join(pair) for pair in _RESULT.findall(text)}
    text = _RESULT.sub(" ", text)
    found |= {what if len(what) > 1 else (skipped[-1:] + what) for skipped, what in _DENIED.findall(text)}
    for words in _ENGLISH_DENIAL.findall(text):
        found |= {word[:_STEM] for word in _ENGLISH_WORD.findall(words) if word not in _SAY_LITTLE}
    return frozenset(what for what in found if len(what) > 1)
