"""What kind of question this is: about the shop's facts, about this conversation's own words, or about anything else.

Words give points for and against the shop, the encoder's leaning (``webchat.answering.prototypes``) gives more, and
the sum decides. Doubt goes to the shop: an invented promise costs more than a question sent to a person.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from webchat.answering.kind_words import (
    ACT,
    ASKS,
    ASKS_FOR_TERMS,
    CONVERSATION,
    DONE_NOT_SAID,
    FOLLOWS_ON,
    FOR_ONESELF,
    GIVEN_TEXT,
    GUESSES,
    KNOWLEDGE,
    MAKE,
    SAID_TO_BE_PROMISED,
    SENTENCE,
    SHOP_PERSON,
    SHOP_VOICE,
    SHOP_WORDS,
    THIS_SHOP,
    TRANSLATE,
    YOUR_FACTS,
)
from webchat.answering.normalise import has_han, normalise, simplified

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Kind = Literal["shop", "conversation", "making", "general"]
Doubt = Literal["none", "some", "much"]

_LOOKED_AT = 600  # characters; of a longer message the beginning and the end say what is wanted
_QUOTED = re.compile(r"“[^”]*”|「[^」]*」|『[^』]*』|《[^》]*》|\"[^\"]*\"|(?<!\w)'[^'\n]+'(?!\w)|`[^`]*`")
_THE_SHOP = re.compile(r"\b(?:your|our|this|the) (?:store|shop|restaurant|company)\b")
_REFERS_BACK = 3  # messages before the one that is followed by a guess
_SHORT = 32  # letters of a message that wants a figure and does not say for what
OF_THE_SHOP = "of the shop"  # the signal that a text is asked for in which this very shop is named

# Points from which it is the shop's, with an encoder and without; and down to which it may be after all.
_DECIDES, _DECIDES_BY_WORDS = 0.1, 1.0
_UNSURE, _SURE = -0.5, -2.0
_LEANING = 12.0  # points for a leaning of one, and at most three
_MOST_LEANING = 3.0


@dataclass(frozen=True, slots=True)
class Judgement:
    """What kind a question is.

    Attributes:
        kind: ``making`` is a general request for a text, code or a sum, whose words may be of anything.
        points: above ``1`` for the shop; the further below, the surer that it is not.
        because: the signals that spoke, for the operator and for tests.
    """

    kind: Kind
    points: float
    because: tuple[str, ...]

    @property
    def doubt(self) -> Doubt:
        """How likely it is that a shop is meant after all."""
        if self.kind == "making" or self.points <= _SURE:
            return "none"
        return "some" if self.points <= _UNSURE else "much"


def judge(
    question: str,
    earlier: Sequence[str] = (),
    *,
    shop: str = "",
    leaning: Callable[[str], float] | None = None,
    near: bool = False,
) -> Judgement:
    """Tell what kind a question is.

    Args:
        question: what the visitor typed.
        earlier: what this visitor said before, latest last.
        shop: its name, by which a request may mean it.
        leaning: asks the encoder, -1 to 1 and above 0 for the shop; None without one.
        near: an entry of the FAQ is close to it.
    """
    text = _readable(question)
    bare = _without_given_text(text)
    if form := _told_by_form(bare, earlier):
        return form
    if earlier and len(normalise(question)) <= _SHORT and GUESSES.search(bare):
        before = judge(earlier[-1], earlier[:-1][-_REFERS_BACK:], shop=shop, leaning=leaning)
        if before.kind == "shop":  # and a guess at it would be the shop's too
            return Judgement("shop", before.points, ("a guess", *before.because))
    if _makes(bare):
        return _request(text, bare, shop)
    points, because = _points(bare if bare.strip() else text, near=near)
    bar = _DECIDES_BY_WORDS
    if leaning is not None:
        leans, bar = leaning(question[:_LOOKED_AT]), _DECIDES
        points += max(-_MOST_LEANING, min(_MOST_LEANING, _LEANING * leans))
        because = (*because, f"leaning {leans:+.2f}")
    elif points >= 0 and ASKS.search(text) and normalise(text):
        points, because = points + 1.0, (*because, "a question")  # without an encoder doubt is greater
    if points <= max(bar, 1.0) and earlier and FOLLOWS_ON.search(normalise(question)):
        before = judge(earlier[-1], earlier[:-1][-1:], shop=shop, leaning=leaning)
        return Judgement(before.kind, before.points, (*because, "follows on"))
    return Judgement("shop" if points >= bar else "general", points, because)


def _readable(question: str) -> str:
    text = unicodedata.normalize("NFKC", question[:_LOOKED_AT] + " " + question[_LOOKED_AT:][-_LOOKED_AT:])
    text = " ".join(text.casefold().replace("\u2019", "'").replace("_", " ").split())
    return simplified(text) if has_han(text) else text


def _without_given_text(text: str) -> str:
    """Without what is quoted, or given to be translated or reworded."""
    return GIVEN_TEXT.sub(r"\1", _QUOTED.sub(" ", text))


def _names_the_shop(text: str, shop: str) -> bool:
    named = SHOP_PERSON.search(text) or SHOP_VOICE.search(text) or THIS_SHOP.search(text)
    return named is not None or bool(shop and shop.casefold() in text)


def _asks_for_facts_too(text: str, shop: str) -> bool:
    """Whether a request for a text asks in it, or beside it, for what only the shop can say.

    "Write one sentence with what you charge" is a question in other words; a letter to the shop is none.
    """
    if TRANSLATE.search(text):
        return False
    if not FOR_ONESELF.search(text) and _names_the_shop(text, shop) and SHOP_WORDS.search(_THE_SHOP.sub("", text)):
        return True
    sentences = SENTENCE.findall(text)
    return len(sentences) > 1 and any(
        SHOP_WORDS.search(each) and ASKS.search(each.strip(" 。！!;；")) and not _makes(each) for each in sentences
    )


def _told_by_form(bare: str, earlier: Sequence[str]) -> Judgement | None:
    """The kind of a message about what was said, whatever its words are about."""
    if SAID_TO_BE_PROMISED.search(bare):
        return Judgement("shop", _DECIDES_BY_WORDS, ("said to be promised",))
    if CONVERSATION.search(bare) and not DONE_NOT_SAID.search(bare):
        return Judgement("conversation", 0.0, ("conversation",))
    if _recalls(bare, earlier):
        return Judgement("conversation", 0.0, ("said before",))
    return None


def _request(text: str, bare: str, shop: str) -> Judgement:
    if _asks_for_facts_too(bare, shop):
        return Judgement("shop", _DECIDES_BY_WORDS, ("request", "the shop's facts"))
    named = (OF_THE_SHOP,) if _names_the_shop(text, shop) else ()
    return Judgement("making", -3.0, ("request", *named))


def _makes(text: str) -> bool:
    """Whether a text, code or a sum is asked for; ``list your prices`` asks for facts."""
    if TRANSLATE.search(text):
        return True
    if not MAKE.search(text) or ACT.search(text):
        return False
    return not YOUR_FACTS.search(text) or bool(FOR_ONESELF.search(text))


def _points(text: str, *, near: bool) -> tuple[float, tuple[str, ...]]:
    signals = (
        ("shop words", 2.0, SHOP_WORDS),
        ("the shop", 1.5, SHOP_PERSON),
        ("terms", 1.0, ASKS_FOR_TERMS),
        ("act", 3.0, ACT),
        ("knowledge", -2.5, KNOWLEDGE),
    )
    found = [(name, points) for name, points, words in signals if words.search(text)]
    if near:
        found.append(("near an entry", 1.0))
    return sum(points for _, points in found), tuple(name for name, _ in found)


_ASKED_OF_MINE = re.compile(
    r"我的?(?P<zh>[\u4e00-\u9fff]{1,8}?)(?:是|叫|有|要|在)?(?:什么|多少|几|哪|谁|啥)"
    r"|\b(?:what|which|where)(?:'s| is| was| are) my (?P<en>[a-z ]{2,30})"
)


def _recalls(text: str, earlier: Sequence[str]) -> bool:
    """Whether it asks for something of the visitor's that the visitor has named: 我的订单号是多少."""
    asked = _ASKED_OF_MINE.search(text)
    if not asked:
        return False
    thing = (asked["zh"] or asked["en"] or "").strip()
    thing = re.sub(r" (?:again|please|now|then)$", "", thing)
    return bool(thing) and any(
        re.search(rf"{re.escape(thing)}(?:是|叫|为|号|[:：]|\s+(?:is|was|=)|\s*[A-Za-z0-9])", said.casefold())
        for said in earlier
    )
