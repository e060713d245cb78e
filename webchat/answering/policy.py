"""Who may answer what the FAQ does not: the model, or nobody here but a person.

The operator chooses: *careful* (the default) leaves the shop's facts to its entries and gives the model everything
else, *open* gives it all, *faq only* gives it nothing. See docs/decisions/0017-policy.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from webchat.answering.kinds import judge
from webchat.answering.normalise import language_of
from webchat.answering.prototypes import Prototypes
from webchat.engine.generation import EngineError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from webchat.answering.kinds import Judgement
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
    """Decides about questions; with an encoder it knows them by their meaning too."""

    def __init__(self, encoder: Encoding | None = None) -> None:
        self._encoder = encoder
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
    ) -> Decision:
        """Decide about a question.

        Args:
            policy: the operators' choice.
            question: what the visitor typed.
            language: the conversation's, for a question that has none.
            earlier: what this visitor said before in this conversation, latest last.
            near: an entry of the FAQ is close to it.
        """
        prototypes = self._prototypes if policy.mode == "careful" else None
        try:
            judgement = judge(question, earlier, leaning=prototypes.leaning if prototypes else None, near=near)
        except EngineError as error:  # the encoder has been closed
            log.warning("question judged by words alone", problem=str(error))
            judgement = judge(question, earlier, near=near)
        spoken = language_of(question) or language
        return Decision(policy, judgement, spoken, _refusal(policy, judgement, spoken))


def contact(policy: AnswerPolicy, language: Language) -> str:
    """The sentence that says how to reach a person."""
    return (policy.contact_zh if language == "zh" else policy.contact_en) or _ASK_A_PERSON[language]


def _refusal(policy: AnswerPolicy, judgement: Judgement, language: Language) -> Refusal | None:
    if policy.mode == "faq_only":
        reason = "policy: faq only"
    elif policy.mode == "careful" and judgement.kind == "shop":
        reason = "policy: no action" if "act" in judgement.because else "policy: careful"
    else:
        return None
    return Refusal(_SENTENCES[reason][language].format(contact=contact(policy, language)), reason)
