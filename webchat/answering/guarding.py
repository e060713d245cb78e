"""The guard on an answer while it is written: what it lets through may be shown and never has to be taken back.

Text goes through at once while nothing is the matter. A clause that begins like something a shop must not have said
for it waits until it is complete, and is judged then; what is caught ends the answer with an honest sentence.
"""

from __future__ import annotations

import re
import string
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from webchat.answering.claims import is_promise, may_begin
from webchat.answering.kinds import OF_THE_SHOP
from webchat.answering.normalise import has_han, language_of, normalise
from webchat.answering.persona import ANSWER_MARK, ANSWER_MARK_BEGUN, FRAME, FRAME_BEGINS
from webchat.answering.policy import contact

if TYPE_CHECKING:
    from webchat.answering.banned import BannedWords
    from webchat.answering.claims import Given
    from webchat.answering.policy import Decision
    from webchat.storage.tables import Language

Caught = Literal["promise", "fact", "unsaid", "leak", "language", "loop", "banned"]

_SENTENCES: dict[Caught, dict[Language, str]] = {
    "promise": {
        "zh": "我不能替店里办事或作出承诺，就说到这里。{contact}",
        "en": "I cannot act or promise for the shop, so I stop here. {contact}",
    },
    "fact": {
        "zh": "店里的价格、时限和规定要以店家的答复为准，我就不猜了。{contact}",
        "en": "What the shop charges, allows and offers is for the shop to say, so I would rather not guess. {contact}",
    },
    "unsaid": {
        "zh": "这段对话里我没有找到它，请您再说一次。",
        "en": "I do not find it in this conversation. Please tell me once more.",
    },
    "leak": {"zh": "接下来是我的内部设定，就不展示了。", "en": "What follows is my own set-up, which I do not show."},
    "language": {
        "zh": "抱歉，这次没能用中文答好，请换个说法再问一次。",
        "en": "Sorry, I did not manage to answer in English. Please ask it in other words.",
    },
    "loop": {"zh": "（后面开始重复，就说到这里。）", "en": "(It began to repeat itself, so it ends here.)"},
    "banned": {"zh": "后面的内容不适合在这里说，就说到这里。", "en": "The rest does not belong here, so it ends here."},
}

_CLAUSE_END = re.compile(r"[。！？；，、…\n]+|[.!?;,:：]+(?=\s)")
_SENTENCE_END = re.compile(r"[。！？!?….\n]\s*$")
_LONGEST_CLAUSE = 160  # characters; what has no end by then is judged as it is
_LEAKED: dict[Language, int] = {"zh": 10, "en": 30}  # letters of a clause that stands in the persona word for word
_LETTERS = string.ascii_letters + "'"
_LATIN = re.compile(r"[a-z]", re.IGNORECASE)
_LETTERS_TO_TELL = 30  # Latin letters without a Chinese character: it is not going to be Chinese
_LEAST_REPEATED = 6  # letters of a clause: shorter ones come again in any text
_CIRCLE, _CIRCLE_IN_A_TEXT = 3, 6  # so often the same clause is a circle; songs and code repeat some
_STUTTER = re.compile(r"(.{8,40}?)\1{3}")  # in a clause that finds no end; clauses are short
_NAMES_A_LANGUAGE = re.compile(
    r"[英中日韩法德俄西][语文]|汉语|普通话|拼音|翻译|\b(?:english|chinese|mandarin|japanese|french|spanish|pinyin|translat\w*)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Guarding:
    """What is watched for in one answer.

    Attributes:
        decision: what was decided about the question.
        question: it.
        given: what may be stated.
        persona: the text of the system, which is not to be told.
        banned: the operators' words.
        shop: its name.
        grounded: whether entries of the FAQ stand in the prompt.
    """

    decision: Decision
    question: str
    given: Given
    persona: str
    banned: BannedWords
    shop: str = ""
    grounded: bool = False

    def names_the_shop(self, sentence: str) -> bool:
        """Whether even a story or an advertisement speaks of this very shop, whose prices are no fiction."""
        if self.decision.policy.mode != "careful":
            return False
        asked_for = OF_THE_SHOP in self.decision.judgement.because
        return asked_for or (bool(self.shop) and self.shop.casefold() in sentence.casefold())

    @property
    def promises(self) -> bool:
        """Whether a promise would be the shop's own: a letter that was asked for may hold any, unless it is its own."""
        return self.decision.judgement.kind != "making"

    @property
    def facts(self) -> bool:
        """Whether the shop's facts are to be left to its entries."""
        return self.promises and self.decision.policy.mode == "careful"

    @property
    def language(self) -> Language | None:
        """The language the answer must have; None where another may be wanted."""
        if self.decision.judgement.kind in ("making", "conversation") or _NAMES_A_LANGUAGE.search(self.question):
            return None
        return self.decision.language if language_of(self.question) else None


class Guard:
    """Lets an answer's text through, clause by clause where it must.

    Attributes:
        caught: why the answer was ended; None while it goes on.
    """

    def __init__(self, guarding: Guarding) -> None:
        self.caught: Caught | None = None
        self._guarding = guarding
        self._language = guarding.language
        # What it is told to do; who it is it may say.
        self._instructions = normalise(re.split(r"[。.]", guarding.persona, maxsplit=1)[-1])
        self._clause = ""
        self._may_begin_with_mark = guarding.grounded
        self._shown = 0  # characters of the clause that went through already
        self._sentence = ""  # the clauses before it
        self._times: dict[str, int] = {}

    @property
    def sentence(self) -> str:
        """What is said in place of what was caught; empty when nothing was."""
        decision = self._guarding.decision
        spoken = decision.language
        return _SENTENCES[self.caught][spoken].format(contact=contact(decision.policy, spoken)) if self.caught else ""

    def let_through(self, piece: str, *, last: bool = False) -> str:
        """Take the next piece of text, and give what may be shown now: all of it when it is the ``last``."""
        self._clause += piece
        self._tell_the_language(last=last)
        if self.caught or self._language or self._is_mark(last=last):
            return ""
        through = ""
        while not self.caught and (end := self._end_of_clause(last=last)):
            through += self._judged(end)
        return through if self.caught else through + self._begun()

    def _tell_the_language(self, *, last: bool) -> None:
        """Hold the first words until they tell; most do at once."""
        if self._language == "zh":
            if has_han(self._clause):
                self._language = None
            elif len(_LATIN.findall(self._clause)) >= _LETTERS_TO_TELL or (last and len(self._clause.split()) > 2):  # noqa: PLR2004 - a name alone is an answer
                self.caught = "language"
        elif self._language == "en":
            first = next((char for char in self._clause if char.isalpha()), "")
            if has_han(first):
                self.caught = "language"
            elif first:
                self._language = None
        if last:
            self._language = None

    def _is_mark(self, *, last: bool) -> bool:
        """Take away the mark of an answer that the prompt shows; whether there is only its beginning yet."""
        if not self._may_begin_with_mark:
            return False
        self._clause = ANSWER_MARK.sub("", self._clause, count=1) if ANSWER_MARK.match(self._clause) else self._clause
        self._may_begin_with_mark = not last and ANSWER_MARK_BEGUN.fullmatch(self._clause) is not None
        return self._may_begin_with_mark

    def _end_of_clause(self, *, last: bool) -> int:
        if end := _CLAUSE_END.search(self._clause):
            return end.end()
        return len(self._clause) if last or len(self._clause) >= _LONGEST_CLAUSE else 0

    def _judged(self, end: int) -> str:
        """Let the clause that ends there through, or catch it."""
        clause = self._clause[:end]
        self.caught = self._problem_with(clause)
        if self.caught:
            return ""
        through = clause[self._shown :]
        self._clause, self._shown = self._clause[end:], 0
        self._sentence = "" if _SENTENCE_END.search(clause) else self._sentence + clause
        return through

    def _begun(self) -> str:
        """What may be shown of the clause that has begun."""
        clause, watched = self._clause, self._guarding
        sentence = self._sentence + clause
        told = normalise(clause)
        closely = watched.promises or watched.names_the_shop(sentence)
        if (closely and may_begin(sentence)) or (len(told) > 1 and told in self._instructions):
            return ""
        if watched.grounded and clause.strip() and _begins_the_frame(clause):
            return ""
        safe = len(clause.rstrip(_LETTERS)) if closely else len(clause)  # a word that goes on may be another
        safe = max(self._shown, min(safe, watched.banned.begun_at(clause)))
        if watched.banned.found_in(clause[:safe]):
            self.caught = "banned"
            return ""
        through, self._shown = clause[self._shown : safe], safe
        return through

    def _problem_with(self, clause: str) -> Caught | None:
        watched = self._guarding
        if watched.banned.found_in(clause):
            return "banned"
        sentence = self._sentence + clause
        if self._tells(clause) or self._tells(sentence) or (watched.grounded and FRAME.search(sentence)):
            return "leak"
        if (watched.promises or watched.names_the_shop(sentence)) and is_promise(sentence):
            return "promise"
        if self._invents(clause, sentence):
            return "fact"
        if watched.decision.judgement.kind == "conversation" and watched.given.never_named(clause):
            return "unsaid"
        return "loop" if self._goes_in_circles(normalise(clause)) else None

    def _invents(self, clause: str, sentence: str) -> bool:
        watched = self._guarding
        if watched.facts:
            return watched.given.lacks(clause, sentence, watched.decision.judgement.doubt)
        return watched.names_the_shop(sentence) and watched.given.lacks_amount(clause)

    def _tells(self, text: str) -> bool:
        told = normalise(text)
        return len(told) >= _LEAKED["zh" if has_han(told) else "en"] and told in self._instructions

    def _goes_in_circles(self, clause: str) -> bool:
        bare = re.sub(r"[\d.]+", "", clause)
        if len(bare) < _LEAST_REPEATED:
            return False
        if _STUTTER.search(bare):
            return True
        self._times[bare] = self._times.get(bare, 0) + 1
        return self._times[bare] >= (_CIRCLE if self._guarding.promises else _CIRCLE_IN_A_TEXT)


def _begins_the_frame(clause: str) -> bool:
    begun = clause.strip().casefold().replace("：", ":")
    return any(frame.startswith(begun) or begun.startswith(frame) for frame in FRAME_BEGINS)
