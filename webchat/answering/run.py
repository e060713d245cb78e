"""One answer of the model, from its row to its last word, on a thread of its own.

The thread only waits and writes: tokens are computed by the engine's thread and shown by the
watchers' threads. It stores the text at least every second, so that what a visitor has read is never
lost with the process, and it stops as soon as the row is no longer its own.
"""

from __future__ import annotations

import dataclasses
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from webchat.answering.banned import BannedWords
from webchat.answering.claims import Given
from webchat.answering.events import Failed, Failure, Finished, Queued
from webchat.answering.feed import Run
from webchat.answering.guarding import Guard, Guarding
from webchat.answering.guards import only_repeats
from webchat.answering.persona import grounded, in_its_language, persona
from webchat.engine.generation import (
    Ended,
    EngineClosed,
    EngineError,
    EngineUnavailable,
    PromptTooLong,
    QueueFull,
    Sampling,
    Text,
    Waiting,
)
from webchat.engine.interface import ChatMessage, ChatRequest
from webchat.storage import messages
from webchat.storage.database import StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from webchat.answering.feed import Feed, Feeds
    from webchat.answering.policy import Decision
    from webchat.engine.generation import Generation, Output
    from webchat.engine.interface import Engine
    from webchat.storage.database import Database, Session
    from webchat.storage.tables import Language, Message, Source, Status

log = structlog.get_logger(__name__)

# Seconds between two pieces of an answer: as often as a screen shows anything. Each piece wakes the threads of all who
# watch, on the cores that compute the next one.
_PACE = 0.05
_SAVE_EVERY = 1.0  # seconds between two writes of growing text
_PATIENCE = 600.0  # seconds after which nobody waits for an answer any more
_LOADING_PATIENCE = 120.0  # seconds a question waits for a model that is still being loaded
_REMEMBERED_TURNS = 60  # looked at for the prompt; the token budget usually takes fewer
_CUT_OFF = "……"
_RECALLING = Sampling(
    temperature=0
)  # what was said in the conversation is told as it was, or by chance now and then not
_BOLDER = Sampling(temperature=0.7)  # for a second try that is to say something else
_FAILURES: dict[type[EngineError], Failure] = {
    EngineUnavailable: "no_model",
    QueueFull: "busy",
    PromptTooLong: "too_long",
}


@dataclass(frozen=True, slots=True)
class ModelQuestion:
    """What the run needs to know of the question it answers.

    Attributes:
        decision: that the model may answer it, and under which policy.
        entries: question and answer of the FAQ's entries nearest to it, for the model to go by.
        again: it has answered before, and shall say something else.
    """

    conversation_id: int
    language: Language
    question_id: int
    text: str
    decision: Decision
    entries: Sequence[tuple[str, str]] = ()
    again: bool = False


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """How the model is asked; and on which clock the shop's rules look."""

    shop: str
    max_new_tokens: int
    context_tokens: int
    timezone: str = "UTC"


class ModelRun:
    """Drives one run. ``owner`` is this process's name in the row's lease."""

    def __init__(self, database: Database, engine: Engine, settings: ModelSettings, owner: str, feeds: Feeds) -> None:
        self._database = database
        self._engine = engine
        self._settings = settings
        self._owner = owner
        self._feeds = feeds
        self._unstored: dict[int, tuple[Run, Finished | Failed]] = {}

    def drive(self, feed: Feed, run: Run, question: ModelQuestion) -> None:
        """Answer the question; returns when the run has its outcome. Never raises."""
        try:
            outcome = self._answer(feed, run, question)
        except EngineClosed:
            outcome = Failed("interrupted")
        except EngineError as error:
            outcome = Failed(failure_from(error))
        except Exception:
            log.exception("run failed", message_id=run.message_id)
            outcome = Failed("engine_error")
        feed.end(run, self._store(run, outcome))

    def stop(self, run: Run) -> None:
        """End a run within one step of the engine, or before the engine has taken it."""
        run.stop_wanted = True
        if run.generation:
            self._engine.cancel(run.generation)

    def give_up(self, run: Run) -> None:
        """Have the row of a run that nobody drives say so, with the next ``store_late``."""
        self._unstored[run.message_id] = (Run(run.conversation, run.message_id), Failed("engine_error"))

    def store_late(self) -> None:
        """Store the ends that the database could not take when they came.

        Raises:
            StorageUnavailable: it still cannot.
        """
        for run, outcome in list(self._unstored.values()):
            try:
                with self._database.write() as session:
                    self._finish(session, run, outcome)
            except StorageUnavailable:
                raise
            except Exception:  # one that can never be stored must not hold up the others
                log.exception("answer not stored", message_id=run.message_id)
            del self._unstored[run.message_id]
            self._feeds.announce(run.conversation, run.message_id)

    def read_personas(self) -> None:
        """Have the engine prepare for what all prompts begin with."""
        greetings: tuple[tuple[str, Language], ...] = (("你好", "zh"), ("Hello", "en"))
        try:
            self._engine.wait_until_ready()
            for greeting, language in greetings:
                self._engine.read_ahead((ChatMessage("system", self._persona(greeting, language)),))
        except EngineError as error:
            log.info("personas not read ahead", problem=str(error))

    def _persona(self, question: str, language: Language) -> str:
        return persona(question, language, shop=self._settings.shop, model=self._engine.name)

    def _answer(self, feed: Feed, run: Run, question: ModelQuestion) -> Finished | Failed:
        self._engine.wait_until_ready(_LOADING_PATIENCE)
        past = self._past(question)
        request, guarding = self._request(question, past), self._guarding(question, past)
        outcome, guard = self._generate(feed, run, request, guarding)
        if guard.caught == "language" and not run.text:
            request = _once_more(request, question.decision.language)
            outcome, guard = self._generate(feed, run, request, guarding)
        if not guard.caught and _asked_back(outcome, question, run):
            feed.grow(run, "\n\n")
            with suppress(QueueFull):  # then what there is must do
                outcome, guard = self._generate(feed, run, dataclasses.replace(request, sampling=_BOLDER), guarding)
        return _ended_by(feed, run, guard, outcome) if guard.caught else outcome

    def _generate(
        self, feed: Feed, run: Run, request: ChatRequest, guarding: Guarding
    ) -> tuple[Finished | Failed, Guard]:
        """Have the model write the answer, or its continuation, as far as the guard lets it."""
        guard = Guard(guarding)
        if run.stop_wanted:
            return Finished("model", "stopped"), guard
        run.generation = generation = self._engine.chat(request)
        if run.stop_wanted:  # between the last two lines, when there was nothing to cancel yet
            self._engine.cancel(generation)
        try:
            return self._write_down(feed, run, generation, guard), guard
        except BaseException:
            self._engine.cancel(generation)  # nobody is left to read it
            raise

    def _write_down(self, feed: Feed, run: Run, generation: Generation, guard: Guard) -> Finished | Failed:
        saved_at = time.monotonic()
        while True:
            outputs = generation.take(_SAVE_EVERY)
            _show(feed, run, outputs, guard)
            if guard.caught:
                self._engine.cancel(generation)
                return Finished("model", "stop")
            if outputs and isinstance(outputs[-1], Ended):
                return _outcome(outputs[-1], run.text)
            if run.text:
                time.sleep(_PACE)  # what has come meanwhile is shown together
            if time.monotonic() - saved_at >= _SAVE_EVERY:
                saved_at = time.monotonic()
                self._save(run, generation)

    def _past(self, question: ModelQuestion) -> list[Message]:
        with self._database.read() as session:
            return messages.recent_turns(
                session, question.conversation_id, before_id=question.question_id, limit=2 * _REMEMBERED_TURNS
            )

    def _request(self, question: ModelQuestion, past: list[Message]) -> ChatRequest:
        settings = self._settings
        asked = grounded(question.text, question.entries, question.decision.language)
        return ChatRequest(
            (
                ChatMessage("system", self._persona(question.text, question.language)),
                *_turns(past),
                ChatMessage("user", asked),
            ),
            settings.max_new_tokens,
            settings.context_tokens,
            _sampling(question),
            owner=str(question.conversation_id),
            patience=_PATIENCE,
        )

    def _guarding(self, question: ModelQuestion, past: list[Message]) -> Guarding:
        official = [text for entry in question.entries for text in entry]
        official += [message.text for message in past if message.source in ("faq", "human", "rule")]
        said = [question.text, *(message.text for message in past)]
        return Guarding(
            question.decision,
            question.text,
            Given(official, said),
            self._persona(question.text, question.language),
            BannedWords(question.decision.policy.banned),
            self._settings.shop,
            grounded=bool(question.entries),
        )

    def _save(self, run: Run, generation: Generation) -> None:
        if not run.text:
            return
        try:
            with self._database.write() as session:
                ours = messages.save_partial(session, run.message_id, self._owner, run.text)
        except StorageUnavailable as error:
            log.warning("partial answer not stored", message_id=run.message_id, problem=str(error))
            return
        if not ours:
            self._engine.cancel(generation)

    def _store(self, run: Run, outcome: Finished | Failed) -> Finished | Failed:
        """Write the end of the run, and give back what it has come to."""
        try:
            with self._database.write() as session:
                ours = self._finish(session, run, outcome)
        except StorageUnavailable as error:
            log.error("answer not stored", message_id=run.message_id, problem=str(error))  # noqa: TRY400 - a sentence, no trace
            self._unstored[run.message_id] = (run, outcome)
            return Failed("not_stored")
        except Exception:
            log.exception("answer not stored", message_id=run.message_id)
            self.give_up(run)  # without its text, which may be what was refused
            return Failed("not_stored")
        return outcome if ours else Failed("interrupted")

    def _finish(self, session: Session, run: Run, outcome: Finished | Failed) -> bool:
        reason = outcome.failure if isinstance(outcome, Failed) else outcome.reason
        source = "model" if isinstance(outcome, Failed) else outcome.source
        return messages.finish(
            session,
            run.message_id,
            self._owner,
            text=run.text,
            status=_status(outcome),
            finish_reason="error" if isinstance(outcome, Failed) else outcome.finish_reason,
            stats=None if isinstance(outcome, Failed) else outcome.stats,
            reason=reason,
            source=source,
        )


def failure_from(error: EngineError) -> Failure:
    """What an engine's error means for the answer."""
    return _FAILURES.get(type(error), "engine_error")


def _status(outcome: Finished | Failed) -> Status:
    if isinstance(outcome, Failed):
        return "interrupted" if outcome.failure == "interrupted" else "failed"
    return "stopped" if outcome.finish_reason == "stopped" else "done"


def _show(feed: Feed, run: Run, outputs: Sequence[Output], guard: Guard) -> None:
    for output in outputs:
        if isinstance(output, Waiting):
            feed.grow(run, queued=Queued(output.position, output.eta_seconds))
    text = "".join(output.text for output in outputs if isinstance(output, Text))
    last = bool(outputs) and isinstance(outputs[-1], Ended)
    if (text or last) and (through := guard.let_through(text, last=last)):
        feed.grow(run, through)


def _asked_back(outcome: Finished | Failed, question: ModelQuestion, run: Run) -> bool:
    ended = isinstance(outcome, Finished) and outcome.finish_reason == "stop"
    return ended and only_repeats(question.text, run.text)


def _ended_by(feed: Feed, run: Run, guard: Guard, outcome: Finished | Failed) -> Finished | Failed:
    """The end of an answer that the guard has cut short: with a sentence, and the source of what is shown."""
    if isinstance(outcome, Failed) or outcome.finish_reason == "stopped":
        return outcome
    source: Source = "model" if run.text.strip() else "rule"
    feed.grow(run, ("\n\n" if source == "model" else "") + guard.sentence)
    return Finished(source, "stop", outcome.stats, reason=f"guard: {guard.caught}")


def _once_more(request: ChatRequest, language: Language) -> ChatRequest:
    *before, asked = request.messages
    again = dataclasses.replace(asked, text=in_its_language(asked.text, language))
    return dataclasses.replace(request, messages=(*before, again))


def _outcome(ended: Ended, text: str) -> Finished | Failed:
    """What a generation has come to; raises the error it ended with."""
    if ended.error:
        raise ended.error
    if ended.reason == "error":
        return Failed("interrupted")  # the engine was closed under it, or its server broke off
    if ended.reason == "late":
        return Finished("model", "length") if text.strip() else Failed("busy")
    if ended.reason == "stop" and not text.strip():
        return Failed("engine_error")  # the model had nothing to say; a second try may find words
    stats = {key: value for key, value in dataclasses.asdict(ended.stats).items() if value is not None}
    return Finished("model", ended.reason, stats)


def _sampling(question: ModelQuestion) -> Sampling:
    if question.again:
        return _BOLDER
    return _RECALLING if question.decision.judgement.kind == "conversation" else Sampling()


def _turns(past: list[Message]) -> Iterator[ChatMessage]:
    """Questions with their answers, oldest first; questions that got none are left out.

    An answer that was stopped is marked as cut off, or the model would learn to stop there.
    """
    asked = {message.id: message.text for message in past if message.role == "visitor"}
    for message in past:
        if message.role != "visitor" and message.question_id in asked:
            yield ChatMessage("user", asked[message.question_id])
            yield ChatMessage("assistant", message.text if message.status == "done" else f"{message.text}{_CUT_OFF}")
