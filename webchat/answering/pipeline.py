"""The answerer: takes a question, decides who answers it, and sees to it that an answer is made.

    rules → FAQ → policy → model

What rules and FAQ know, and what the policy leaves to a person, is stored with the question in one commit and
costs milliseconds. What the model must write is stored as a queued message first, with the FAQ's suggestions where it
was not sure, and then made by a run that belongs to the conversation: sockets come and go, the run goes on.
"""

from __future__ import annotations

import contextvars
import threading
import time
import uuid
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from webchat.answering import choosing, hands
from webchat.answering.deciding import FrontDesk
from webchat.answering.events import Event, Failed, Suggested
from webchat.answering.feed import Feeds, Run
from webchat.answering.following import live_events, stored_events
from webchat.answering.run import ModelQuestion, ModelRun, ModelSettings
from webchat.storage import conversations, faq, faq_hits, messages
from webchat.storage.database import Conflict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from webchat.answering.deciding import Verdict
    from webchat.answering.faq.index import FaqIndex, Found, Suggestion
    from webchat.answering.policy import Decision
    from webchat.answering.prototypes import Encoding
    from webchat.engine.interface import Engine
    from webchat.storage.database import Database, Session
    from webchat.storage.tables import Channel, Conversation, Language, Message, Operator

# A run whose process has not renewed its lease for so long is given up. Renewed every third of it, so
# two renewals may fail.
LEASE = timedelta(seconds=6)

# Shares of the model, running and waiting. An address may be a whole office, or the proxy of one.
_MOST_OF_ONE_VISITOR = 3
_MOST_OF_ONE_ADDRESS = 0.5
_LEAST_FOR_AN_ADDRESS = 8
_SHARE_RETRY = 10.0  # seconds
_STOPPING = 5.0  # seconds an edit waits for the answer that it stops: an engine's step, or a remote server's
_LOOKED_BACK = 20  # questions of a visitor to which another may refer


class Busy(Exception):  # noqa: N818 - a state, named as callers say it
    """The model's queue is full; try again in ``retry_after`` seconds. Nothing was stored.

    Attributes:
        near: entries that the question may have meant, which need no model.
    """

    def __init__(self, retry_after: float) -> None:
        super().__init__("the model's queue is full")
        self.retry_after = retry_after
        self.near: Sequence[Suggestion] = ()


class StillAnswering(Exception):  # noqa: N818 - a state, named as callers say it
    """The model is still writing this conversation's last answer. Nothing was stored."""


class NotTheLast(Exception):  # noqa: N818 - a state, named as callers say it
    """Something was asked or answered after this, so it stays as it is. Nothing was stored."""


@dataclass(frozen=True, slots=True)
class Opening:
    """A conversation that its first question opens.

    Attributes:
        page: address and title of the shop's page on which it is asked, when the widget tells.
    """

    visitor_id: str | None
    channel: Channel
    language: Language
    page: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Asker:
    """Who takes a place in the queue: the visitor, where there is one, and the network address."""

    visitor_id: str | None
    address: str


@dataclass(frozen=True, slots=True)
class Turn:
    """A stored question with its answer, finished or on its way.

    Attributes:
        answer: None when an operator has taken the conversation, who answers in their own time.
        repeated: the same question had been sent before, and nothing new was stored.
        changed: the ids of messages that have changed with it, such as those in whose place it comes.
    """

    conversation: Conversation
    question: Message
    answer: Message | None
    repeated: bool
    changed: tuple[int, ...] = ()


class Answerer:
    """Answers questions and keeps the runs of this process."""

    def __init__(
        self,
        database: Database,
        engine: Engine,
        settings: ModelSettings,
        index: FaqIndex,
        encoder: Encoding | None = None,
    ) -> None:
        self.feeds = Feeds()
        self.owner = uuid.uuid4().hex
        self._database = database
        self._engine = engine
        self._settings = settings
        self._desk = FrontDesk(database, index, encoder, shop=settings.shop, timezone=settings.timezone)
        self.rules = self._desk.rules
        self._model_run = ModelRun(database, engine, settings, self.owner, self.feeds)
        self._threads: dict[threading.Thread, Asker] = {}

    def answer(
        self, where: Conversation | Opening, text: str, client_id: str, asker: Asker, *, replacing: int | None = None
    ) -> Turn:
        """Store a question, and answer it or start to.

        Args:
            where: the conversation, or how to open one.
            text: the question, cleaned and within its limit.
            client_id: the sender's name for this question; sent twice it is stored once.
            asker: who asks; nobody may take more than a share of the model's queue.
            replacing: the last question, in whose place this one comes; see ``edit``.

        Raises:
            Busy: only the model could answer, and its queue or this asker's share of it is full.
            StillAnswering: only the model could answer and it is busy with this conversation.
            NotTheLast: something was asked after the question to replace.
        """
        verdict = self.verdict(text, where.language, self._earlier(where, replacing))
        try:
            with self._database.write() as session:
                turn = self._store(session, where, text, client_id, verdict=verdict, asker=asker, replacing=replacing)
        except Busy as busy:
            busy.near = verdict.found.suggestions
            raise
        except Conflict:  # the same question arrived twice at the same moment; the other one has stored it
            with self._database.read() as session:
                before = self._sent_before(session, where, client_id)
            if before is None:
                raise
            turn = before
        if turn.repeated:
            return turn
        self.feeds.announce(turn.conversation.public_id, *turn.changed)
        if turn.answer is None:
            self.feeds.note_typing(turn.conversation.public_id, "visitor", typing=False)
            self.feeds.announce(turn.conversation.public_id, turn.question.id)
        elif verdict.decision:
            self._start(turn, turn.answer, asker, verdict.decision, verdict.found)
        else:
            self.feeds.announce(turn.conversation.public_id, turn.question.id, turn.answer.id)
        return turn

    def edit(self, conversation: Conversation, question_id: int, text: str, client_id: str, asker: Asker) -> Turn:
        """Ask the last question in other words: what was asked and answered stays readable, and is no longer counted.

        An answer that is being written to it is stopped first.

        Raises:
            NotTheLast: it is not the last question (any more), or it was not typed as one.
            Busy, StillAnswering: as for ``answer``.
        """
        with self._database.read() as session:
            question = messages.last_question(session, conversation.id)
        if question is None or question.id != question_id or question.reason is not None:
            raise NotTheLast
        self._silence(conversation)
        return self.answer(conversation, text, client_id, asker, replacing=question_id)

    def again(self, conversation: Conversation, message_id: int, asker: Asker) -> Message:
        """Have the model answer the last question once more; its first answer stays readable.

        Raises:
            NotTheLast: it is not the model's whole answer to the last question (any more).
            Busy, StillAnswering: as for ``answer``.
        """
        with self._database.read() as session:
            before = messages.get(session, conversation.id, message_id)
            question = before and before.question_id and messages.get(session, conversation.id, before.question_id)
        if not before or not question or (before.source, before.status) != ("model", "done"):
            raise NotTheLast
        verdict = self._desk.once_more(question.text, conversation.language, self._earlier(conversation, question.id))
        with self._database.write() as session:
            self._require_assistant(session, conversation)
            self._require_quiet(session, conversation.id)
            newest = messages.answer_to(session, question.id)
            if (
                newest is None
                or newest.id != message_id
                or not messages.is_last_question(session, conversation.id, question.id)
            ):
                raise NotTheLast
            if verdict.decision:
                self._require_room(asker)
            suggested = choosing.as_stored(verdict.found)
            answer = self._add_answer(session, conversation.id, question.id, verdict.known, suggested)
            replaced = messages.replace(session, conversation.id, from_id=message_id, by=answer.id)
        self.feeds.announce(conversation.public_id, *replaced)
        turn = Turn(conversation, question, answer, repeated=False)
        if verdict.decision:
            self._start(turn, answer, asker, verdict.decision, verdict.found, again=True)
        else:
            self.feeds.announce(conversation.public_id, answer.id)
        return answer

    def verdict(self, text: str, language: Language, earlier: Sequence[str]) -> Verdict:
        """Who would answer a question; see ``FrontDesk.verdict``."""
        return self._desk.verdict(text, language, earlier, model=self._engine.name)

    def choose(self, conversation: Conversation, message_id: int, entry_id: int) -> Turn:
        """Answer with an entry that was suggested with a message, and stop the model's answer there.

        Raises:
            NotSuggested, NoLongerTrue: as ``choosing.choose``.
            NotTheLast: an operator has taken the conversation.
        """
        with self._database.write() as session:
            self._require_assistant(session, conversation)
            question, answer, repeated = choosing.choose(session, conversation, message_id, entry_id)
        turn = Turn(conversation, question, answer, repeated)
        if repeated:
            return turn
        if run := self.feeds.runs(conversation.public_id).get(message_id):
            self._model_run.stop(run)
        self.feeds.announce(conversation.public_id, message_id, question.id, answer.id)
        return turn

    def retry(self, conversation: Conversation, message_id: int, asker: Asker) -> Message | None:
        """Make an answer anew that was stopped, interrupted or failed; None when there is nothing to retry.

        Raises:
            Busy, StillAnswering: as for ``answer``.
            NotTheLast: an operator has taken the conversation.
        """
        with self._database.read() as session:
            answer = messages.get(session, conversation.id, message_id)
            question = answer and answer.question_id and messages.get(session, conversation.id, answer.question_id)
        if not answer or not question:
            return None
        verdict = self._desk.once_more(question.text, conversation.language, self._earlier(conversation, question.id))
        with self._database.write() as session:
            self._require_assistant(session, conversation)
            self._require_quiet(session, conversation.id)
            self._require_room(asker)
            suggested = choosing.as_stored(verdict.found)
            lease = datetime.now(UTC) + LEASE
            if not messages.restart(session, message_id, self.owner, lease, self._engine.name, suggested=suggested):
                return None
            if verdict.known:  # FAQ or policy have changed since
                if entry_id := verdict.known.get("entry"):
                    faq.count_hit(session, entry_id)
                messages.finish(
                    session, message_id, self.owner, status="done", finish_reason="stop", stats=None, **verdict.known
                )
            answer = messages.get(session, conversation.id, message_id)
        if answer and verdict.decision:
            turn = Turn(conversation, question, answer, repeated=False)
            self._start(turn, answer, asker, verdict.decision, verdict.found)
        else:
            self.feeds.announce(conversation.public_id, message_id)
        return answer

    def take(self, conversation: Conversation, operator: Operator) -> None:
        """Let an operator answer from now on. What the model writes is stopped; see ``hands.take``.

        Raises:
            TakenByAnother: another operator was quicker.
        """
        self._silence(conversation)  # so that its text is stored to the last word
        with self._database.write() as session:
            changed = hands.take(session, conversation, operator)
        self.stop(conversation)  # what was asked in between
        self.feeds.announce(conversation.public_id, *changed)

    def give_back(self, conversation: Conversation, *, asked: bool = False) -> None:
        """Let the assistant answer again, because the operator says so or the visitor has ``asked``."""
        with self._database.write() as session:
            changed = hands.give_back(session, conversation, "hands: asked back" if asked else "hands: back")
        self.feeds.announce(conversation.public_id, *changed)

    def stop(self, conversation: Conversation) -> list[int]:
        """Stop what the model writes in this conversation; the ids of those messages, which end a step later."""
        runs = self.feeds.runs(conversation.public_id)
        for run in runs.values():
            self._model_run.stop(run)
        return list(runs)

    def follow(self, conversation: Conversation, message_id: int, heartbeat: float = 5.0) -> Iterator[Event]:
        """The events of one answer from its beginning to its end, an empty ``Delta`` when nothing else happens.

        Args:
            conversation: where the answer is.
            message_id: the answer.
            heartbeat: seconds of silence after which an empty ``Delta`` is sent.
        """
        changed = threading.Event()
        with self.feeds.watch(conversation.public_id, changed) as feed:
            run = feed.runs().get(message_id)
            with self._database.read() as session:
                answer = messages.get(session, conversation.id, message_id)
            if answer and (suggestions := choosing.offered(answer)) and answer.source != "faq":
                yield Suggested(suggestions)
            yield from live_events(run, changed, heartbeat) if run else stored_events(answer)

    def warm_up(self) -> None:
        """Let the model read its personas before anybody asks, in the background: first answers begin at once."""
        threading.Thread(target=self._model_run.read_personas, name="warm-up", daemon=True).start()
        threading.Thread(target=self._desk.warm_up, name="warm-up-policy", daemon=True).start()

    def close(self, timeout: float = 5.0) -> None:
        """Wait for the runs that end when the engine is closed."""
        for thread in list(self._threads):
            thread.join(timeout)

    def store_late(self) -> None:
        """Store the ends of runs that the database could not take when they came.

        Raises:
            StorageUnavailable: it still cannot.
        """
        self._model_run.store_late()

    def renew(self, session: Session) -> int:
        """Prolong the lease of this process's runs; how many there are.

        Without any it is worth asking too: a database that cannot be written any more is noticed by it.
        """
        return messages.renew_leases(session, self.owner, datetime.now(UTC) + LEASE)

    def _silence(self, conversation: Conversation) -> None:
        """Stop what the model writes in a conversation, and wait for its end."""
        changed, end = threading.Event(), time.monotonic() + _STOPPING
        with self.feeds.watch(conversation.public_id, changed) as feed:
            self.stop(conversation)
            while feed.runs() and changed.wait(max(end - time.monotonic(), 0)):
                changed.clear()

    def _earlier(self, where: Conversation | Opening, before_id: int | None = None) -> list[str]:
        """What the visitor said before in this conversation, latest last."""
        if isinstance(where, Opening):
            return []
        with self._database.read() as session:
            return messages.asked_before(session, where.id, before_id=before_id, limit=_LOOKED_BACK)

    def _require_room(self, asker: Asker) -> None:
        """Bound what waits: in the engine's queue, before it while the model is being loaded, and of one asker."""
        under_way = list(self._threads.values())
        if (seconds := self._engine.queue_full(expected=len(under_way))) is not None:
            raise Busy(seconds)
        visitors = sum(asker.visitor_id is not None and other.visitor_id == asker.visitor_id for other in under_way)
        addresses = sum(other.address == asker.address for other in under_way)
        most_of_address = max(_LEAST_FOR_AN_ADDRESS, self._engine.places * _MOST_OF_ONE_ADDRESS)
        if visitors >= _MOST_OF_ONE_VISITOR or addresses >= most_of_address:
            raise Busy(_SHARE_RETRY)

    def _require_assistant(self, session: Session, conversation: Conversation) -> None:
        conversations.touch(session, conversation.id)  # locks its row, as a question does
        if conversations.held_by(session, conversation.id):
            raise NotTheLast

    def _require_quiet(self, session: Session, conversation_id: int) -> None:
        if messages.unfinished(session, conversation_id):
            raise StillAnswering

    def _store(
        self,
        session: Session,
        where: Conversation | Opening,
        text: str,
        client_id: str,
        *,
        verdict: Verdict,
        asker: Asker,
        replacing: int | None,
    ) -> Turn:
        if not isinstance(where, Opening):
            conversations.touch(session, where.id)  # locks its row: of two questions at once, one sees the other
        if before := self._sent_before(session, where, client_id):
            return before
        changed: tuple[int, ...] = ()
        if isinstance(where, Opening):
            conversation = conversations.open_conversation(
                session,
                visitor_id=where.visitor_id,
                channel=where.channel,
                language=where.language,
                title=text,
                client_id=client_id,
                page=where.page,
            )
        else:
            conversation = where
            changed = hands.leave_if_gone(session, conversation)
            if conversations.held_by(session, conversation.id):
                if replacing:
                    raise NotTheLast
                question = messages.add_question(session, conversation.id, text, client_id, reason=hands.TO_PERSON)
                return Turn(conversation, question, None, repeated=False)
            if replacing and not messages.is_last_question(session, conversation.id, replacing):
                raise NotTheLast
            if verdict.decision:
                self._require_quiet(session, conversation.id)
        if verdict.decision:
            self._require_room(asker)
        question = messages.add_question(session, conversation.id, text, client_id, verdict.tags)
        suggested = choosing.as_stored(verdict.found)
        answer = self._add_answer(session, conversation.id, question.id, verdict.known, suggested)
        faq_hits.record(session, answer.id, text, choosing.hits_of(verdict.found))
        if replacing:
            changed += messages.replace(session, conversation.id, from_id=replacing, by=question.id)
        return Turn(conversation, question, answer, repeated=False, changed=changed)

    def _add_answer(
        self,
        session: Session,
        conversation_id: int,
        question_id: int,
        known: dict[str, Any],
        suggested: list[dict[str, Any]],
    ) -> Message:
        if not known:
            return messages.add_answer(
                session,
                conversation_id=conversation_id,
                question_id=question_id,
                source="model",
                status="queued",
                owner=self.owner,
                lease_until=datetime.now(UTC) + LEASE,
                model=self._engine.name,
                suggested=suggested,
                reason="unsure" if suggested else "no entry",
            )
        if entry_id := known.get("entry"):
            faq.count_hit(session, entry_id)
        return messages.add_answer(
            session,
            conversation_id=conversation_id,
            question_id=question_id,
            status="done",
            finish_reason="stop",
            suggested=suggested,
            **known,
        )

    def _sent_before(self, session: Session, where: Conversation | Opening, client_id: str) -> Turn | None:
        conversation: Conversation | None = None
        if not isinstance(where, Opening):
            conversation = where
        elif where.visitor_id:
            conversation = conversations.opened_with(session, where.visitor_id, client_id)
        question = conversation and messages.question_with_client_id(session, conversation.id, client_id)
        answer = question and messages.answer_to(session, question.id)
        if conversation and question and (answer or question.reason == hands.TO_PERSON):
            return Turn(conversation, question, answer or None, repeated=True)
        return None

    def _start(
        self, turn: Turn, answer: Message, asker: Asker, decision: Decision, found: Found, *, again: bool = False
    ) -> None:
        conversation, question = turn.conversation, turn.question
        run = Run(conversation.public_id, answer.id)
        near = [(suggestion.question, suggestion.answer) for suggestion in found.suggestions]
        asked = ModelQuestion(conversation.id, conversation.language, question.id, question.text, decision, near, again)
        watching = ExitStack()
        feed = watching.enter_context(self.feeds.watch(run.conversation, threading.Event()))
        feed.start(run, question.id)  # here, so that who reads the row after us finds the run

        def drive() -> None:
            with watching:
                self._model_run.drive(feed, run, asked)
            self._threads.pop(threading.current_thread(), None)

        context = contextvars.copy_context()  # the log lines of the run carry the id of the request that began it
        thread = threading.Thread(target=context.run, args=(drive,), name=f"run-{answer.id}", daemon=True)
        self._threads[thread] = asker
        try:
            thread.start()
        except RuntimeError:  # the machine has no thread left
            self._threads.pop(thread, None)
            self._model_run.give_up(run)
            feed.end(run, Failed("engine_error"))
            watching.close()
            raise
