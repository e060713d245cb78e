"""What is asked: by every server the same, and in every run something that no server has seen."""

from __future__ import annotations

import zlib
from itertools import cycle
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from webchat.bench.client import Message

_PERSONA = (
    "你是一家网上茶具店的客服，名字叫小青。请用热情、清楚的中文回答顾客的问题，先给结论，再分点说明原因和做法。"
    "本店出售茶壶、茶杯、茶叶和礼盒，全国包邮，七天内可以退换，瓷器在运输中破损会免费补发。"
    "不知道的事情要如实说不知道，并建议顾客拨打客服电话；不要编造价格、日期和优惠活动。"
    "每次回答都要详细完整，至少写五百字。"
)
_BRIEF_PERSONA = "你是一家网上茶具店的客服。"
# Each asks for more than 64 tokens can hold, so that hardly an answer ends before the limit.
_TOPICS = (
    "第一次使用紫砂壶之前怎样开壶",
    "收到的瓷杯碎了一个，退换货的全部步骤",
    "绿茶、红茶和乌龙茶的冲泡方法有什么不同",
    "送长辈的茶具礼盒应该怎样挑选",
    "茶壶里的茶垢怎样清洗，要避免哪些错误",
    "玻璃茶壶和陶瓷茶壶各有哪些优点和缺点",
    "茶叶买回来以后怎样保存才不会受潮",
    "公司要订一百份礼品，从询价到收货的流程",
    "盖碗为什么烫手，怎样拿才安全",
    "怎样分辨手工茶壶和机器做的茶壶",
    "包裹三天没有更新物流，应该怎样处理",
)
_REPLY = (
    "好的，我来为您详细说明。首先请检查包装和配件是否齐全，然后用温水把茶具里外冲洗两遍，自然晾干。"
    "第一次使用时水温不要太高，慢慢加热可以避免开裂。如果发现有裂纹或者缺少配件，请拍照发给我们，我们会在当天登记并尽快补发。"
)
_CHARACTERS_PER_TOKEN = 1.3  # of such conversations in Qwen's vocabulary; what a prompt really took is reported
_NEXT_TURN = 80  # tokens that the answer and the next question add


class Prompts:
    """All prompts of one measurement.

    Args:
        seed: a number that no measurement of the same servers had before.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def warm(self, place: str) -> list[Message]:
        """A new question under the shared system prompt; ``place`` is anything that tells it from the others."""
        return [_system(_PERSONA), _visitor(self._question(place))]

    def cold(self, place: str) -> list[Message]:
        """A new question under a system prompt of its own, which differs from the first word on."""
        return [_system(f"门店编号 {self._number(place)}。{_PERSONA}"), _visitor(self._question(place))]

    def conversation(self, place: str, tokens: int) -> list[Message]:
        """A new conversation that waits for an answer; with this and a next question it has about so many tokens."""
        enough = (tokens - _NEXT_TURN) * _CHARACTERS_PER_TOKEN
        messages = [_system(_BRIEF_PERSONA), _visitor(self._question(place))]
        for topic in cycle(_TOPICS):
            if sum(len(message["content"]) for message in messages) >= enough:
                return messages
            messages += [_assistant(_REPLY), _visitor(f"谢谢。{topic}？")]
        raise AssertionError("a cycle has no end")

    def next_turn(self, messages: list[Message], answer: str) -> list[Message]:
        """The conversation with its answer and one more question."""
        return [*messages, _assistant(answer), _visitor("请再具体说说第一点，并举一个例子。")]

    def _question(self, place: str) -> str:
        number = self._number(place)
        topic = _TOPICS[number % len(_TOPICS)]
        return f"订单 {number}：请写一篇五百字以上的文章，详细说明{topic}，从背景写起，一步一步展开。"

    def _number(self, place: str) -> int:
        """Eight digits; it stands in front, so that servers can share only what precedes it."""
        return 10_000_000 + zlib.crc32(f"{self._seed}/{place}".encode()) % 90_000_000


def _system(text: str) -> Message:
    return {"role": "system", "content": text}


def _visitor(text: str) -> Message:
    return {"role": "user", "content": text}  # the protocol's word


def _assistant(text: str) -> Message:
    return {"role": "assistant", "content": text}
