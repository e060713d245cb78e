"""What a sentence claims for the shop: amounts that nobody gave, offers that nobody made, deeds that nobody did."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from webchat.answering.normalise import nfkc, normalise

if TYPE_CHECKING:
    from collections.abc import Iterable

    from webchat.answering.kinds import Doubt

_Amount = tuple[str, str]  # a number and its unit
_DIGIT = {char: value for value, char in enumerate("零一二三四五六七八九")} | {"两": 2, "半": 0}
_ENGLISH = {
    word: str(value)
    for value, word in enumerate(
        ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    )
}
_NUMBER = r"(?P<number>\d+(?:[.,:：]\d+){0,4}|[零一二两三四五六七八九十百千万半]{1,6}|" + "|".join(_ENGLISH) + ")"
_UNITS = (
    ("money", r"元|块钱?|人民币|美元|港币|英镑|欧元|rmb|yuan|cny|usd|dollars?|euros?|pounds?|bucks|cents?"),
    ("percent", r"%|percent|折"),
    ("minute", r"分钟|minutes?|mins?"),
    ("hour", r"个?(?:小时|钟头)|hours?|hrs?"),
    ("day", r"个?(?:工作日|自然日)|[天日号]|(?:business |working |calendar )?days?"),
    ("week", r"个?(?:周|星期|礼拜)|weeks?"),
    ("month", r"个?月|months?"),
    ("year", r"年|years?"),
    ("clock", r"点半?|[ap]\.?m\b|o'clock"),
)
_AMOUNT = re.compile(
    rf"(?P<sign>[¥￥$€£])\s*(?P<price>\d+(?:[.,]\d+)*)"
    rf"|(?<![a-z\d.]){_NUMBER}(?:\s?[-–—~到至]\s?\d+)?\s?-?(?:to \d+ )?(?:"
    + "|".join(rf"(?P<{name}>{words})" for name, words in _UNITS)
    + r")(?![a-z])|(?P<percentage>百分之[零一二两三四五六七八九十\d]+)|(?P<time>\d{1,2}[:：]\d{2})"
)
# ASCII alone: Chinese stands beside an address without a space. Bounded, for visitors write what they like.
_CONTACT = re.compile(
    r"(?<![a-z\d_.+-])[a-z\d_.+-]{1,64}@[a-z\d-]{1,64}(?:\.[a-z\d-]{1,64}){1,8}"
    r"|(?<!\d)\d[\d -]{5,}\d(?!\d)|https?://[!-~]+|www\.[!-~]+"
)
_ENDS_A_SENTENCE = ".,;:!?)"
_LONG_NUMBER = re.compile(r"\d{3,}")
_DIALLED = re.compile(
    r"客服|致电|拨打|热线|电话|邮箱|微信|联系|\bcall\b|\bcontact|\bphone|\be-?mail|\breach us|\bhotline|\bvisit"
)

# Who speaks for a shop, and of what. In a sure general answer both are needed; there "we" may be all of mankind.
_FOR_THE_SHOP = re.compile(
    r"我们|本店|[我小][店司]|本公司|店里|店铺|商家|客服|[您你]的(?:订单|退款|包裹|商品|账户|快递|预[订约])"
    r"|\b(?:we|our|us|the (?:shop|store|staff|team)|your (?:order|refund|parcel|package|purchase|booking|account))\b"
)
_OF_THE_SHOP = re.compile(
    r"退[款货换订]|换货|包邮|免邮|免运费|运费|邮费|发货|送达|配送|快递|到账|到货|保修|质保|维修|发票|价格|售价|优惠|折扣|打折|赠送|库存|有货|现货|分期|货到付款|订单|押金|定金"
    r"|预[订约]|会员|积分|支付|付款|手续费|服务费|收费|免费|营业|上门|自提|入住|退房|早餐|停车|试用|试听|套餐"
    r"|\brefund|\breturn|\bexchange|\bship|\bdeliver|\bwarrant|\bguarantee|\brepair|\breplace|\binvoice"
    r"|\bpric|\bdiscount|\bcoupon|\bfree\b|\bfee\b|\bcharge|\bstock\b|\binstal|\bpay|\border|\bdeposit"
    r"|\bbooking|\breserv|\bmember|\bpoints\b|\bopen\b|\bclose|\bpick ?up|\bcheck-?in|\bbreakfast|\bparking"
    r"|\btrial|\bsubscri|\bcancel"
)
# Of these nobody but a shop speaks with an amount.
_SHOPS_ALONE = re.compile(
    r"退[款货]|换货|包邮|运费|邮费|发货|到账|保修|质保"
    r"|\b(?:refund|return policy|shipping (?:fee|cost)|free shipping|warranty)"
)
_OFFERS = re.compile(
    r"支持|提供|接受|可以|能够|承诺|保证|免费|不收|收取|会[为给在对]|将|有货|现货|均可|享受|赠送|允许|包邮|一般|通常|需要|可"
    r"|\b(?:offer|provide|accept|support|guarantee|will|'ll|can|may|allow|charge|refund|ship|deliver|have"
    r"|has|is|are|include|usually|typically|free|must|need)\b|'ll\b"
)
# It says that it does not know, or sends to those who do.
_HOLDS_BACK = re.compile(
    r"不确定|不清楚|不知道|无法|不能|没法|没有.{0,6}(?:信息|资料|数据)|抱歉|对不起|请.{0,6}(?:联系|咨询|询问|查看|提供|告诉)|建议.{0,6}(?:联系|咨询)"
    r"|以.{0,12}为准|如果|[吗？?]$"
    r"|\bnot sure|\bdon't (?:know|have)|\bdo not (?:know|have)|\bunable\b|\bcan(?:no|')t\b|\bsorry\b"
    r"|\bplease (?:contact|check|ask|provide|let)|\bsuggest\b|\brecommend\b|\bif\b|\?$"
)

_DEEDS_ZH = (
    r"退款|退货|退[还回]|下单|下订|转接|转[给交人]|登记|取消|修改|更[改新]|提交|记录|安排|联系|处理|发[货送出]"
    r"|通知|申请|核实|查[询到]|预[订约定]|开[通具]|办理|补[发偿]|反馈|上报|寄|催|备注|生成|创建|加急|跟进|确认"
)
_PROMISED = re.compile(
    rf"(?:我|我们|客服|系统|工作人员|这边|小[二妹编])(?:这边)?(?:已经?|刚刚?|正在|马上|立即|立刻|稍后|随后|即将|现在就?|这就|尽快|会|将)+.{{0,6}}?(?:为|帮|给"
    rf"|替|向|与|和|同)?(?:[您你])?.{{0,8}}?(?:{_DEEDS_ZH})"
    rf"|(?:已经?|正在|马上|立即|现在就?|这就)(?:成功)?(?:为|帮|给|替)[您你].{{0,10}}?(?:{_DEEDS_ZH})"
    rf"|(?:我|我们|让我)(?:来|先|去)?(?:为|帮|给|替)[您你](?:查询|查一下|转接|登记|下单|退款|取消|办理|安排|预[订约]|核实)"
    r"|(?:客服|工作人员|同事|专员|专人|店家|我们|技术人员|师傅)(?:们|人员|团队)?(?:会|将)(?:在.{1,10}?[内后]|尽快|马上|及时|第一时间|主动|立即)*(?:与[您你]"
    r"|跟[您你]|和[您你]|给[您你]|为[您你])?.{0,4}(?:联系|致电|回[电复访]|通知|处理|安排|上门|发[货送]|解决|退款|跟进)"
    r"|[您你]的.{0,8}(?:退款|订单|申请|请求|预[订约]|退货|投诉|账户|信息|包裹)(?:信息)?(?:已经?|正在)(?:被|成功)?.{0,4}(?:处理|提交|取消|受理|发[货出]"
    r"|到账|登记|确认|更新|安排|退|记录|修改|派送|运送|配送|核实|完成|成功)"
    r"|(?:我|我们|本店|小店|我司|我方)(?:们)?(?:已经?)?(?:决定|愿意?|同意|承诺|保证|答应|会|将).{0,14}?"
    r"(?:(?:赔偿|赔付|补偿|退款|退还|返还|免费|免单|换新|赠送).{0,6}?[您你]|[为给向替][您你].{0,6}?(?:赔[偿付]|补偿|退款|退还|返还|免[费单除]|换新|赠送))"
    r"|(?:退款|订单|预[订约]|申请|取消|登记|转接)(?:已经?)?(?:成功|完成|提交)了?(?:[!！。，,]|$)"
    r"|\b(?:i|we)(?: have|'ve| just|'ve just| have just| have already|'ve already"
    r"| already)+ (?:successfully )?(?:\w+ed|sent|made|put|set|begun|found|placed"
    r"|passed)\b.{0,40}?\b(?:your?|order|refund|request|booking|team|staff|account|ticket)\b"
    r"|\b(?:i|we|our (?:team|staff|agents?|representatives?)|someone|somebody|(?:an?|our|the) (?:agent"
    r"|representative|colleague|member of \w+|customer service\w*|specialist|manager|technician))(?:'ll"
    r"| will| shall|'m going to| am going to|'re going to| are going to)(?: be)?(?: \w+ly| then| now| also"
    r"| get back)?"
    r" (?:refund|call|contact|get back|reach out|to you|e-?mail|send you|notify|process|ship|deliver|cancel"
    r"|transfer|forward|connect|escalate|arrange|book|reserve|look into|check (?:your|with|on|the)|in touch"
    r"|register|replace|issue|follow up|resolve|investigate|handle|take care)"
    r"|\b(?:i|we)(?: have| will| hereby)?"
    r" (?:decided|agreed?|promised?|guaranteed?|committed|offer(?:ed)?|pledged?)(?: to)?"
    r" .{0,20}?(?:refund|compensat\w+|reimburs\w+|replace|pay|repay|give)\b.{0,12}?\byou\b"
    r"|\byour (?:refund|order|request|return|cancellation|booking|reservation|account|ticket|parcel|package"
    r"|complaint|subscription|appointment)(?: \w+)?(?: has been| was| have been| is now| is being"
    r"| will be)(?: \w+ly)? (?:\w+ed|sent|on its way|made|put|shipped)"
    r"|\blet me (?:check (?:your|with|on)|transfer|connect|look up|cancel|process|refund|book|forward)"
    r"|\b(?:i am|i'm|we are|we're) (?:now )?(?:transferring|connecting|processing|cancell?ing|refunding"
    r"|checking|forwarding|looking into)"
)

_BEGINNING = re.compile(
    r"[\d¥￥$€£%零一二两三四五六七八九十百半我本店小系客工专师让已正马立现即退换运包免价费保修订发送到货快邮支提赔优积折押预会可能承均营早停试套拨致]"
    r"|\b(?:i(?:'|\s*[a-z]*$| have| will| am| just)|we\b|our\b|us\b|someone|somebody|let me|yes\b|your\b"
    r"|the(?:\s*[a-z]*$| (?:shop|store|staff|team))|an?(?:\s*[a-z]*$| (?:agent|representative|member|specialist"
    r"|colleague|manager|technician))"
    r"|zero|one|two|three|four|five|six|seven|eight|nine|ten|refund|return|exchange|ship|deliver|warrant"
    r"|guarant|repair|replac"
    r"|invoice|pric|discount|coupon|free|fee|stock|instal|pay|order|deposit|booking|reserv|member|points\b"
    r"|open|close|pick ?up"
    r"|check-?in|breakfast|parking|trial|subscri|cancel|usually|typically|generally|normally|about\s|within"
    r"|up to|call\b|contact|e-?mail)",
    re.IGNORECASE,
)


def may_begin(text: str) -> bool:
    """Whether a clause that has begun so may come to claim something: it is shown when it is complete."""
    return _BEGINNING.search(text) is not None


def is_promise(clause: str) -> bool:
    """Whether a clause says that something was done for the visitor, or will be.

    >>> is_promise("我已为您退款"), is_promise("请联系人工客服")
    (True, False)
    """
    return _PROMISED.search(clause.casefold()) is not None


class _Stated(NamedTuple):
    """What a text states that no answer may invent."""

    amounts: frozenset[_Amount]
    contacts: frozenset[str]
    numbers: frozenset[str]


# A conversation's texts are looked at again with each of its answers.
@lru_cache(maxsize=1024)
def _stated(text: str) -> _Stated:
    """From the text as it was written: what is normalised for comparing has lost its signs."""
    text = nfkc(text).casefold()
    numbers = frozenset(_LONG_NUMBER.findall(text))
    return _Stated(frozenset(_amounts(text)), frozenset(_contacts(text)), numbers)


class Given:
    """What an answer may state: the texts of the shop, and what was said in this conversation."""

    def __init__(self, official: Iterable[str], said: Iterable[str]) -> None:
        official = list(official)
        self._official = normalise(" ".join(official))
        stated = [_stated(text) for text in (*official, *said)]
        self._amounts = frozenset[_Amount]().union(*(each.amounts for each in stated))
        self._contacts = frozenset[str]().union(*(each.contacts for each in stated))
        self._numbers = frozenset[str]().union(*(each.numbers for each in stated))

    def never_named(self, clause: str) -> bool:
        """Whether a clause tells the visitor a number as theirs, such as an order's, that was never said."""
        return not set(_LONG_NUMBER.findall(clause)) <= self._numbers

    def lacks_amount(self, clause: str) -> bool:
        """Whether a clause states an amount that was not given."""
        return not _amounts(nfkc(clause).casefold()) <= self._amounts

    def lacks(self, clause: str, sentence: str, doubt: Doubt) -> bool:
        """Whether a clause states an amount, an offer or an address of the shop that was not given.

        Args:
            clause: what may be shown next.
            sentence: the text before it in its sentence, and it.
            doubt: whether the question was about the shop after all; without, times and amounts are anybody's.
        """
        clause, sentence = nfkc(clause).casefold(), nfkc(sentence).casefold()
        for_shop, of_shop = bool(_FOR_THE_SHOP.search(sentence)), bool(_OF_THE_SHOP.search(sentence))
        shops = {
            "none": (for_shop and of_shop) or bool(_SHOPS_ALONE.search(sentence)),
            "some": for_shop or of_shop,
            "much": True,
        }[doubt]
        if shops and self.lacks_amount(clause):
            return True
        if _DIALLED.search(sentence) and not _contacts(clause) <= self._contacts:
            return True
        return (for_shop or (of_shop and doubt == "much")) and self._offers(clause)

    def _offers(self, clause: str) -> bool:
        if not _OFFERS.search(clause) or _HOLDS_BACK.search(clause.strip()):
            return False
        return any(word not in self._official for word in _OF_THE_SHOP.findall(clause))


def _contacts(text: str) -> set[str]:
    return {re.sub(r"[ -]", "", found).rstrip(_ENDS_A_SENTENCE) for found in _CONTACT.findall(text)}


def _amounts(text: str) -> set[_Amount]:
    found = set()
    for match in _AMOUNT.finditer(text):
        if match["price"]:
            found.add((match["price"].replace(",", ""), "money"))
        elif match["percentage"]:
            found.add((_value(match["percentage"].removeprefix("百分之")), "percent"))
        elif match["time"]:
            found.add((match["time"].replace("：", ":"), "clock"))
        else:
            unit = next(name for name, _ in _UNITS if match[name])
            found.add((_value(match["number"]), unit))
    return found


def _value(number: str) -> str:
    """A number as digits, as far as such numbers are said of days and prices."""
    if number in _ENGLISH:
        return _ENGLISH[number]
    if number[0].isdigit():
        return number.replace(",", "")
    tens, ten, ones = number.rpartition("十")
    if not ten:
        return "".join(str(_DIGIT[char]) if char in _DIGIT else char for char in number)
    return str(10 * _DIGIT.get(tens, 1) + _DIGIT.get(ones, 0))
