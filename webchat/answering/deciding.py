"""Who answers a question: a rule, the FAQ, nobody here but a person, or the model; asked in this order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from webchat.answering import choosing
from webchat.answering.faq.index import NOTHING
from webchat.answering.policy import PolicyDesk
from webchat.answering.rules.rulebook import Rulebook
from webchat.storage import answer_policy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from webchat.answering.faq.index import FaqIndex, Found
    from webchat.answering.kinds import Judgement
    from webchat.answering.policy import Decision
    from webchat.answering.prototypes import Encoding
    from webchat.answering.rules.rulebook import Reply
    from webchat.storage.database import Database
    from webchat.storage.tables import Language


@dataclass(frozen=True, slots=True)
class Verdict:
    """Who answers.

    Attributes:
        known: the whole answer as columns of its row; empty when the model writes it.
        decision: under which the model writes it; None when it is known.
        found: what the FAQ said.
        tags: that rules gave to the question.
    """

    known: dict[str, Any]
    decision: Decision | None = None
    found: Found = NOTHING
    tags: tuple[str, ...] = ()


class FrontDesk:
    """Decides who answers.

    Args:
        database: where rules and policy are.
        index: the FAQ.
        encoder: tells kinds of questions apart by their meaning; None leaves it to words.
        shop: its name, as rules say it.
        timezone: the shop's.
    """

    def __init__(
        self, database: Database, index: FaqIndex, encoder: Encoding | None, *, shop: str, timezone: str
    ) -> None:
        self.rules = Rulebook(database, shop=shop, timezone=timezone)
        self._database = database
        self._faq = index
        self._policy = PolicyDesk(encoder, shop)

    def warm_up(self) -> None:
        """Read what kinds of questions are compared with."""
        self._policy.warm_up()

    def verdict(self, text: str, language: Language, earlier: Sequence[str], *, model: str) -> Verdict:
        """Decide about a question.

        Args:
            text: the question.
            language: of the conversation.
            earlier: what the same visitor said before, latest last.
            model: the name by which a reply may call the model.
        """
        ruling = self.rules.ruling(text, model=model)
        reply = ruling.reply
        found = self._faq.find(text, _last(earlier)) if reply is None or reply.faq_first else NOTHING
        if reply and not _goes_before(found, reply):
            return Verdict({"source": "rule", "text": reply.text, "reason": reply.reason}, tags=ruling.tags)
        if known := choosing.entry_columns(found):
            return Verdict(known, found=found, tags=ruling.tags)
        return self._left_to_the_model(text, language, earlier, found, ruling.tags)

    def once_more(self, text: str, language: Language, earlier: Sequence[str]) -> Verdict:
        """Decide about a question that was left to the model before: the shop may have an answer or a policy by now."""
        found = self._faq.find(text, _last(earlier))
        if known := choosing.entry_columns(found):
            return Verdict(known, found=found)
        return self._left_to_the_model(text, language, earlier, found, ())

    def _left_to_the_model(
        self, text: str, language: Language, earlier: Sequence[str], found: Found, tags: tuple[str, ...]
    ) -> Verdict:
        with self._database.read() as session:
            policy = answer_policy.read(session)
        decision = self._policy.decide(
            policy, text, language, earlier, near=found.near, offered=bool(found.suggestions)
        )
        if refusal := decision.refusal:
            known = {"source": "rule", "text": refusal.text, "reason": refusal.reason}
            return Verdict(known, found=found, tags=tags)
        return Verdict({}, decision, NOTHING if _beside_the_point(found, decision.judgement) else found, tags)


def _beside_the_point(found: Found, judgement: Judgement) -> bool:
    """Whether what the FAQ suggests would only get in the way, on the page and in the prompt.

    A poem about a parcel, or what was just said, is not among the shop's answers, however alike the words are.
    """
    if judgement.kind in ("making", "conversation"):
        return True
    return judgement.doubt == "none" and not found.near


def _last(earlier: Sequence[str]) -> str | None:
    return earlier[-1] if earlier else None


def _goes_before(found: Found, reply: Reply) -> bool:
    """Whether the FAQ goes before a rule: with exactly this question, or, when it is sure, instead of handing over."""
    return found.answer is not None and (found.answer.how == "exact" or reply.action == "handoff")
