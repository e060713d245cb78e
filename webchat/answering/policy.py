"""Who may answer what the FAQ does not: the model, or nobody here but a person.

The operator chooses: *careful* (the default) leaves the shop's facts to its entries and gives the model everything
else, *open* gives it all, *faq only* gives it nothing. See docs/decisions/0017-policy.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from webchat.answering.faq.spelling import is_pinyin, plain
from webchat.answering.kinds import Judgement, judge
from webchat.answering.normalise import language_of
from webchat.answering.prototypes import Prototypes
from webchat.engine.generation import EngineError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from webchat.answering.prototypes import Encoding
    from webchat.storage.answer_policy import AnswerPolicy
    from webchat.storage.tables import Language

log = structlog.get_logger(__name__)

_ASK_A_PERSON = {"zh": "请联系店里的人工客服确认。", "en": "Please ask the shop's staff."}
_SENTENCES = {
    "policy: careful": {
        "zh": "这件事要由店家说了算，官方答案里暂时没有，我就不猜了。{contact}",
        "en": "That is for the shop to say, and its official answers do not cover it yet, so I would rather not "
        "guess. {contact}",
    },
    "policy: offered": {
        "zh": "不确定您问的是不是列出的这几个问题：点一下，就有店家的官方答案。都不是的话，{contact}",
        "en": "I am not sure whether you mean one of the questions listed here: choose it and get the shop's official "
        "answer. If it is none of them: {contact}",
    },
    "policy: no action": {
        "zh": "这件事我不能替您办，也不会说已经办好了。{contact}",
        "en": "I cannot do that for you, and will not say that it is done. {contact}",
    },
    "policy: faq only": {
        "zh": "官方答案里暂时没有这个问题。{contact}",
        "en": "The shop's official answers do not cover this yet. {contact}",
    },
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """A sentence in place of the model's answer, and the code of its reason."""

    text: str
    reason: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done with a question that rules and FAQ have left.

    Attributes:
        policy: the operators' choice at this moment.
        judgement: what kind of question it is.
        language: the one to answer in.
        refusal: what is said instead, when the model may not answer.
    """

    policy: AnswerPolicy
    judgement: Judgement
    language: Language
    refusal: Refusal | None


class PolicyDesk:
    """Decides about questions.

    Args:
        encoder: knows them by their meaning too.
        shop: its name, by which questions may mean it.
    """

    def __init__(self, encoder: Encoding | None = None, shop: str = "") -> None:
        self._encoder = encoder
        self._shop = shop
        self._prototypes: Prototypes | None = None

    def warm_up(self) -> None:
        """Have the encoder read the prototypes; until then, and when it fails, words alone decide."""
        if self._encoder is None:
            return
        try:
            self._prototypes = Prototypes(self._encoder)
        except EngineError as error:
            log.warning("questions are told apart by words alone", problem=str(error))

    def decide(
        self,
        policy: AnswerPolicy,
        question: str,
        language: Language,
        earlier: Sequence[str] = (),
        *,
        near: bool = False,
        offered: bool = False,
    ) -> Decision:
        """Decide about a question.

        Args:
            policy: the operators' choice.
            question: what the visitor typed.
            language: the conversation's, for a question that has none.
            earlier: what this visitor said before in this conversation, latest last.
            near: an entry of the FAQ is close to it.
            offered: the visitor is shown entries that it may mean.
        """
        judgement = self._judgement(policy, question, earlier, near=near)
        pinyin = is_pinyin(plain(question))
        if pinyin and offered and judgement.kind == "general":  # words tell nothing of it, its sounds an entry
            judgement = Judgement("shop", judgement.points, (*judgement.because, "pinyin near an entry"))
        # Letters alone may be Chinese too, for who has no keyboard for it.
        spoken = language if pinyin else language_of(question) or language
        return Decision(policy, judgement, spoken, _refusal(policy, judgement, spoken, offered=offered))

    def _judgement(self, policy: AnswerPolicy, question: str, earlier: Sequence[str], *, near: bool) -> Judgement:
        prototypes = self._prototypes if policy.mode == "careful" else None
        leaning = prototypes.leaning if prototypes else None
        try:
            return judge(question, earlier, shop=self._shop, leaning=leaning, near=near)
        except EngineError as error:  # the encoder has been closed
            log.warning("question judged by words alone", problem=str(error))
            return judge(question, earlier, shop=self._shop, near=near)


def contact(policy: AnswerPolicy, language: Language) -> str:
    """The sentence that says how to reach a person."""
    return (policy.contact_zh if language == "zh" else policy.contact_en) or _ASK_A_PERSON[language]


def _refusal(policy: AnswerPolicy, judgement: Judgement, language: Language, *, offered: bool) -> Refusal | None:
    if policy.mode == "faq_only":
        reason = "policy: faq only"
    elif policy.mode == "careful" and judgement.kind == "shop":
        reason = "policy: no action" if "act" in judgement.because else "policy: careful"
    else:
        return None
    # Whoever is offered entries is not told that there are none.
    sentence = _SENTENCES["policy: offered" if offered and reason != "policy: no action" else reason][language]
    return Refusal(sentence.format(contact=contact(policy, language)), reason)
