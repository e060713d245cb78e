"""Answers for programs that bring the whole conversation with them: from all of webchat, or from the model alone.

Nothing is stored but that an FAQ entry was hit. What is asked here belongs to no visitor and no conversation, so
each request is its own owner in the engine's queue.
"""

from __future__ import annotations

import dataclasses
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from webchat.answering.banned import BannedWords
from webchat.answering.claims import Given
from webchat.answering.events import Delta, Failed, Finished
from webchat.answering.guarding import Guard, Guarding
from webchat.answering.normalise import has_han
from webchat.answering.persona import persona
from webchat.answering.run import failure_from
from webchat.engine.generation import Ended, EngineError, PromptTooLong, QueueFull, Sampling, Text
from webchat.engine.interface import ChatMessage, ChatRequest, Role
from webchat.engine.turns import estimated_tokens
from webchat.storage import faq

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from webchat.answering.events import Source
    from webchat.answering.pipeline import Answerer
    from webchat.answering.run import ModelSettings
    from webchat.engine.generation import Generation, Output
    from webchat.engine.interface import Engine
    from webchat.storage.database import Database
    from webchat.storage.tables import Language

__all__ = ["ChatMessage", "Completion", "Completions", "ModelUnavailable", "Role", "ShareTaken", "TooLong", "Wish"]

# The model as it is, without the habits that make a small one pleasant to chat with.
_PLAIN = Sampling(temperature=1.0, top_p=1.0, top_k=0, min_p=0.0, repeat_penalty=1.0)
# Of the waiting queue: a program may ask as often as it likes, and must not leave visitors standing at the door.
_SHARE_OF_PROGRAMS = 0.5
_LOADING_PATIENCE = 10.0  # seconds a request waits for a model that is still being loaded


class ShareTaken(Exception):  # noqa: N818 - a state, named as callers say it
    """As much of the queue is taken as programs may fill; try again in ``retry_after`` seconds."""

    def __init__(self, retry_after: float) -> None:
        super().__init__("the programs' share of the model's queue is taken")
        self.retry_after = retry_after


class TooLong(Exception):  # noqa: N818 - a state, named as callers say it
    """Messages and an answer of ``max_new_tokens`` do not fit the context: ``limit`` tokens, where that is known."""

    def __init__(self, max_new_tokens: int, limit: int | None) -> None:
        super().__init__("messages and answer do not fit the context together")
        self.max_new_tokens = max_new_tokens
        self.limit = limit


class ModelUnavailable(Exception):  # noqa: N818 - a state, named as callers say it
    """There is no model that could answer, or not yet."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a program asks for.

    Attributes:
        messages: the conversation, a question last.
        max_new_tokens: where the answer ends; None for the site's own limit.
        stop: strings that end the answer and are not part of it.
        sampling: fields of the engine's ``Sampling`` that shall differ from the usual.
    """

    messages: tuple[ChatMessage, ...]
    max_new_tokens: int | None = None
    stop: tuple[str, ...] = ()
    sampling: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Completion:
    """An answer on its way.

    Attributes:
        source: where it comes from.
        events: ``Delta``s, an empty one when a while has passed without text; then ``Finished`` or ``Failed``.
        cancel: ends it early, when nobody reads it any more; an ended one stays as it is.
    """

    source: Source
    events: Iterator[Delta | Finished | Failed]
    cancel: Callable[[], None]


class Completions:
    """Completes conversations that are not ours to keep."""

    def __init__(self, answerer: Answerer, database: Database, engine: Engine, settings: ModelSettings) -> None:
        self._answerer = answerer
        self._database = database
        self._engine = engine
        self._settings = settings

    @property
    def model(self) -> str:
        """The name of the model alone."""
        return self._engine.name

    def answer(self, wish: Wish) -> Completion:
        """Answer as the page would: rules, then the FAQ, then the model with its persona and what was said before.

        Raises:
            ShareTaken, ModelUnavailable, TooLong: only the model could answer, and it cannot.
        """
        *before, question = wish.messages
        language: Language = "zh" if has_han(question.text) else "en"
        asked_before = [message.text for message in before if message.role == "user"]
        verdict = self._answerer.verdict(question.text, language, asked_before)
        decision = verdict.decision
        if decision is None:
            return self._known(verdict.known, wish)
        messages = self._with_persona(wish.messages)
        own = self._with_persona((question,))[0].text
        # The program's own instructions and what it says was answered are as good as the shop's word.
        given = Given([message.text for message in before if message.role != "user"], [*asked_before, question.text])
        guard = Guard(
            Guarding(decision, question.text, given, own, BannedWords(decision.policy.banned), self._settings.shop)
        )
        return self._generate(messages, wish, Sampling(), self._settings.context_tokens, guard)

    def complete(self, wish: Wish) -> Completion:
        """Have the model go on with the messages as they are; nothing is added and nothing is left out.

        Raises:
            ShareTaken, ModelUnavailable, TooLong: the model cannot answer.
        """
        return self._generate(wish.messages, wish, _PLAIN, None)

    def _known(self, known: Mapping[str, Any], wish: Wish) -> Completion:
        if entry_id := known.get("entry"):
            with self._database.write() as session:
                faq.count_hit(session, entry_id)
        text = known["text"]
        # Counted by no tokenizer: these answers come without a model, and while it is missing too.
        usage: dict[str, float] = {
            "prompt_tokens": sum(estimated_tokens(message.text) for message in wish.messages),
            "new_tokens": estimated_tokens(text),
        }
        events = iter((Delta(text), Finished(known["source"], "stop", usage)))
        return Completion(known["source"], events, cancel=lambda: None)

    def _with_persona(self, messages: tuple[ChatMessage, ...]) -> tuple[ChatMessage, ...]:
        """The conversation under the shop's persona; what the program wants besides stands below it and is kept."""
        question = messages[-1].text
        language: Language = "zh" if has_han(question) else "en"
        system = [persona(question, language, shop=self._settings.shop, model=self._engine.name)]
        said = list(messages)
        while said[0].role == "system":
            system.append(said.pop(0).text)
        return (ChatMessage("system", "\n\n".join(system)), *said)

    def _generate(
        self,
        messages: tuple[ChatMessage, ...],
        wish: Wish,
        usual: Sampling,
        context_tokens: int | None,
        guard: Guard | None = None,
    ) -> Completion:
        request = ChatRequest(
            messages,
            wish.max_new_tokens or self._settings.max_new_tokens,
            context_tokens,
            dataclasses.replace(usual, **wish.sampling),
            wish.stop,
            owner=uuid.uuid4().hex,
            queue_share=_SHARE_OF_PROGRAMS,
        )
        generation = self._submit(request)

        def cancel() -> None:
            self._engine.cancel(generation)

        events = _events(generation)
        return Completion("model", _guarded(events, guard, cancel) if guard else events, cancel)

    def _submit(self, request: ChatRequest) -> Generation:
        try:
            self._engine.wait_until_ready(_LOADING_PATIENCE)
            return self._engine.chat(request)
        except QueueFull as error:
            raise ShareTaken(error.retry_after) from error
        except PromptTooLong as error:
            raise TooLong(request.max_new_tokens, error.limit) from error
        except EngineError as error:
            raise ModelUnavailable from error


def _events(generation: Generation, heartbeat: float = 1.0) -> Iterator[Delta | Finished | Failed]:
    """What arrives, as few events as it arrives in: text that came while the reader was busy is one ``Delta``."""
    last: Output | None = None
    while not isinstance(last, Ended):
        outputs = generation.take(heartbeat)
        last = outputs[-1] if outputs else None
        text = "".join([output.text for output in outputs if isinstance(output, Text)])
        if text or not isinstance(last, Ended):
            yield Delta(text)
    if last.error:
        yield Failed(failure_from(last.error))
    elif last.reason == "error":
        yield Failed("interrupted")  # the engine was closed under it, or its server broke off
    else:
        reason = "length" if last.reason == "late" else last.reason
        stats = {name: value for name, value in dataclasses.asdict(last.stats).items() if value is not None}
        yield Finished("model", reason, stats)


def _guarded(
    events: Iterator[Delta | Finished | Failed], guard: Guard, cancel: Callable[[], None]
) -> Iterator[Delta | Finished | Failed]:
    """What the guard lets through; what it catches ends the answer with a sentence."""
    for event in events:
        if isinstance(event, Failed):
            yield event
            return
        last = isinstance(event, Finished)
        text = guard.let_through("" if isinstance(event, Finished) else event.text, last=last)
        if text or not last:
            yield Delta(text)
        if guard.caught:
            cancel()
            yield Delta(f"\n\n{guard.sentence}")
            yield _caught(event if isinstance(event, Finished) else _end(events), guard)
            return
        if isinstance(event, Finished):
            yield event


def _end(events: Iterator[Delta | Finished | Failed]) -> Finished | Failed:
    """How a cancelled answer ends, a step of the engine later: with what was counted until then."""
    return next(event for event in events if not isinstance(event, Delta))


def _caught(end: Finished | Failed, guard: Guard) -> Finished | Failed:
    return end if isinstance(end, Failed) else Finished("model", "stop", end.stats, reason=f"guard: {guard.caught}")
