"""The tables. Words of a fixed set are plain strings typed as ``Literal``: a new one needs no migration."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from sqlalchemy import (
    JSON,
    CheckConstraint,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy import text as sql
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

if TYPE_CHECKING:
    from sqlalchemy import Dialect

Channel = Literal["page", "widget", "api"]
Language = Literal["zh", "en"]
ConversationStatus = Literal["open", "closed"]
Role = Literal["visitor", "assistant", "operator"]
Source = Literal["faq", "rule", "model", "human"]
Status = Literal["queued", "streaming", "done", "stopped", "interrupted", "failed"]
FinishReason = Literal["stop", "length", "stopped", "error"]
EntryStatus = Literal["draft", "published", "disabled"]
Origin = Literal["curated", "imported", "learned"]
RuleAction = Literal["reply", "handoff", "block", "tag"]
Band = Literal["answer", "suggest", "abstain"]
Vote = Literal["up", "down"]
Reason = Literal["off_topic", "wrong", "unclear", "other"]  # of a 👎
TicketStatus = Literal["open", "closed"]
GroupStatus = Literal["open", "answered", "dismissed"]
Outcome = Literal["model", "suggested", "refused", "voted_down"]  # how a question went that the FAQ did not settle
_WORDS = (
    *(Channel, Language, ConversationStatus, Role, Source, Status, FinishReason, EntryStatus, Origin),
    *(RuleAction, Band, Vote, Reason, TicketStatus, GroupStatus, Outcome),
)

UNFINISHED: tuple[Status, ...] = ("queued", "streaming")
RETRYABLE: tuple[Status, ...] = ("stopped", "interrupted", "failed")
_HIGHEST_ID = 2**31 - 1


def utc_now() -> datetime:
    """The present moment, in UTC."""
    return datetime.now(UTC)


class UtcDateTime(TypeDecorator[datetime]):
    """A moment. Aware and in UTC on our side; SQLite, which knows no zones, keeps it without one."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To the database."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("A time without a zone cannot be stored.")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """From the database."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if dialect.name == "sqlite" else value.astimezone(UTC)


class PlainText(TypeDecorator[str]):
    """Text. PostgreSQL refuses a NUL, so SQLite must too; cleaning what people send is the web's work."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002  # SQLAlchemy calls it
        """To the database."""
        if value is not None and "\0" in value:
            raise ValueError("Text that holds a NUL character cannot be stored.")
        return value


class RowId(TypeDecorator[int]):
    """A row's number. One typed into an address may be too large for the database: it meets no row, then."""

    impl = Integer
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: Dialect) -> int | None:  # noqa: ARG002  # SQLAlchemy calls it
        """To the database."""
        return value if value is None or 0 < value <= _HIGHEST_ID else 0


class Base(DeclarativeBase):
    """What all tables share: names of constraints, and how Python types are stored."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        str: PlainText,
        datetime: UtcDateTime,
        dict[str, Any]: JSON(none_as_null=True),
        list[str]: JSON(none_as_null=True),
        list[dict[str, Any]]: JSON(none_as_null=True),
        **dict.fromkeys(_WORDS, String(16)),
    }


# Without this SQLite gives a removed last row's number to the next row, and a cookie, a link or an audit
# record that names the old row would mean the new one.
_NEVER_REUSE_IDS = {"sqlite_autoincrement": True}


class Conversation(Base):
    """What one visitor and the shop say to each other."""

    __tablename__ = "conversations"
    __table_args__ = (
        UniqueConstraint("visitor_id", "opening_client_id"),
        Index(None, "visitor_id", "active_at"),
        Index(None, "active_at"),
        # Few are with an operator, so this index stays tiny however many there were.
        Index(
            "ix_conversations_with_person",
            "operator_id",
            sqlite_where=sql("operator_id IS NOT NULL"),
            postgresql_where=sql("operator_id IS NOT NULL"),
        ),
        _NEVER_REUSE_IDS,
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    public_id: Mapped[str] = mapped_column(unique=True, default=lambda: secrets.token_urlsafe(18))
    visitor_id: Mapped[str | None]  # None: opened through the API, where the public id is the capability
    channel: Mapped[Channel]
    language: Mapped[Language]
    title: Mapped[str]
    opening_client_id: Mapped[str | None]  # the first question's, so that sent twice it opens one conversation
    status: Mapped[ConversationStatus] = mapped_column(default="open")
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    active_at: Mapped[datetime] = mapped_column(default=utc_now)
    page_url: Mapped[str | None]  # where the widget was opened
    page_title: Mapped[str | None]
    # Who has taken it, and when they were last there. No foreign key: SQLite would have to make the table anew.
    operator_id: Mapped[int | None] = mapped_column(RowId)
    operator_seen_at: Mapped[datetime | None]


class Message(Base):
    """One bubble: a question, or an answer with how it came about."""

    __tablename__ = "messages"
    __table_args__ = (
        UniqueConstraint("conversation_id", "client_id"),
        CheckConstraint("(status IN ('queued', 'streaming')) = (lease_until IS NOT NULL)", "unfinished_has_lease"),
        Index(None, "conversation_id", "id"),
        # Only unfinished answers have a lease, so this index stays tiny however much was said.
        Index(
            "ix_messages_unfinished",
            "lease_until",
            sqlite_where=sql("lease_until IS NOT NULL"),
            postgresql_where=sql("lease_until IS NOT NULL"),
        ),
        _NEVER_REUSE_IDS,
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    conversation_id: Mapped[int] = mapped_column(RowId, ForeignKey("conversations.id", ondelete="CASCADE"))
    role: Mapped[Role]
    text: Mapped[str]
    source: Mapped[Source | None]
    status: Mapped[Status]
    finish_reason: Mapped[FinishReason | None]
    client_id: Mapped[str | None]
    question_id: Mapped[int | None] = mapped_column(RowId, ForeignKey("messages.id", ondelete="SET NULL"), index=True)
    # What came in its place: an edited question, or another answer. It can still be read, and counts for nothing more.
    # No foreign key: messages go with their conversation alone, and SQLite would have to make the table anew.
    replaced_by: Mapped[int | None] = mapped_column(RowId)
    model: Mapped[str | None]  # the weights' file stem
    entry_id: Mapped[int | None] = mapped_column(RowId, ForeignKey("faq_entries.id", ondelete="SET NULL"), index=True)
    matched: Mapped[dict[str, Any] | None]  # the entry as it was: question, answer, how it was found
    # Entries the question may have meant, as they were offered: {"entry", "question"}, and "chosen" once it was.
    suggested: Mapped[list[dict[str, Any]] | None]
    reason: Mapped[str | None]  # why this source was chosen, or why it failed
    tags: Mapped[list[str] | None]  # of a question: what the operators' rules say it is about
    stats: Mapped[dict[str, Any] | None]
    run_owner: Mapped[str | None]  # the process that writes this answer
    lease_until: Mapped[datetime | None]  # when others may take that process for dead
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    finished_at: Mapped[datetime | None]


class Entry(Base):
    """One FAQ answer with the questions that must hit it."""

    __tablename__ = "faq_entries"
    __table_args__ = (_NEVER_REUSE_IDS,)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    group_name: Mapped[str] = mapped_column(default="")
    answer: Mapped[str]  # Markdown
    status: Mapped[EntryStatus] = mapped_column(default="published")
    valid_from: Mapped[datetime | None]
    valid_until: Mapped[datetime | None]
    origin: Mapped[Origin] = mapped_column(default="curated")
    batch: Mapped[str | None] = mapped_column(index=True)  # the import it came with, removable at once
    hits: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    updated_at: Mapped[datetime] = mapped_column(default=utc_now, index=True)

    phrasings: Mapped[list[Phrasing]] = relationship(
        order_by="Phrasing.position", cascade="all, delete-orphan", passive_deletes=True, lazy="selectin"
    )
    negatives: Mapped[list[Negative]] = relationship(
        order_by="Negative.id", cascade="all, delete-orphan", passive_deletes=True, lazy="select"
    )
    cases: Mapped[list[Case]] = relationship(
        order_by="Case.id", cascade="all, delete-orphan", passive_deletes=True, lazy="select"
    )

    @property
    def question(self) -> str:
        """The first phrasing: how the entry is shown."""
        return self.phrasings[0].text

    def valid(self, moment: datetime) -> bool:
        """Whether the entry may answer at this time, once it is published."""
        return (self.valid_from is None or self.valid_from <= moment) and (
            self.valid_until is None or moment < self.valid_until
        )


class Phrasing(Base):
    """One way to ask for an entry."""

    __tablename__ = "faq_phrasings"
    __table_args__ = (UniqueConstraint("entry_id", "text"), _NEVER_REUSE_IDS)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    entry_id: Mapped[int] = mapped_column(RowId, ForeignKey("faq_entries.id", ondelete="CASCADE"))
    position: Mapped[int]
    text: Mapped[str]


class Negative(Base):
    """A question that must not lead to an entry, however alike it is."""

    __tablename__ = "faq_negatives"
    __table_args__ = (UniqueConstraint("entry_id", "text"), _NEVER_REUSE_IDS)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    entry_id: Mapped[int] = mapped_column(RowId, ForeignKey("faq_entries.id", ondelete="CASCADE"))
    text: Mapped[str]


class Case(Base):
    """A question that an entry must answer by itself, or must not: asked again before every change of the FAQ."""

    __tablename__ = "faq_cases"
    __table_args__ = (UniqueConstraint("entry_id", "text"), _NEVER_REUSE_IDS)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    entry_id: Mapped[int] = mapped_column(RowId, ForeignKey("faq_entries.id", ondelete="CASCADE"))
    text: Mapped[str]
    must_hit: Mapped[bool]


class FaqChange(Base):
    """Which entry a version of the FAQ has changed, so that an index in memory need not read them all."""

    __tablename__ = "faq_changes"

    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    entry_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)  # of a removed entry too


class FaqVector(Base):
    """What an encoder made of a text. Found by the text: an edit, its undo and a second import need no encoder."""

    __tablename__ = "faq_vectors"

    encoder: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[bytes] = mapped_column(primary_key=True)
    vector: Mapped[bytes]  # 16-bit floats, little endian


class Rule(Base):
    """What happens with questions that meet a condition; see ``webchat.answering.rules`` for how it is read."""

    __tablename__ = "rules"
    __table_args__ = (_NEVER_REUSE_IDS,)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    position: Mapped[int]  # rules are tried in this order
    shipped: Mapped[str | None] = mapped_column(unique=True)  # which of our own it is; None: the operators made it
    name: Mapped[str] = mapped_column(default="")  # of those that the operators made
    enabled: Mapped[bool] = mapped_column(default=True)
    condition: Mapped[dict[str, Any]]
    action: Mapped[RuleAction]
    reply_zh: Mapped[str] = mapped_column(default="")  # empty: what the site says by itself
    reply_en: Mapped[str] = mapped_column(default="")
    tag: Mapped[str] = mapped_column(default="")
    faq_first: Mapped[bool] = mapped_column(default=False)  # an entry with exactly this question goes before it
    slow_at: Mapped[datetime | None]  # when its pattern last ran out of time
    updated_at: Mapped[datetime] = mapped_column(default=utc_now)


class FaqHit(Base):
    """An entry that answered a question, or was suggested to it."""

    __tablename__ = "faq_hits"
    __table_args__ = (UniqueConstraint("message_id", "entry_id"), _NEVER_REUSE_IDS)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    message_id: Mapped[int] = mapped_column(RowId, ForeignKey("messages.id", ondelete="CASCADE"))  # the answer
    entry_id: Mapped[int] = mapped_column(RowId, ForeignKey("faq_entries.id", ondelete="CASCADE"), index=True)
    question: Mapped[str]  # as it was asked
    band: Mapped[Band]
    how: Mapped[str]  # exact, matched, suggested, chosen
    score: Mapped[float | None] = mapped_column(Float)
    phrasing: Mapped[str | None]  # the entry's that was nearest
    chosen: Mapped[bool] = mapped_column(default=False)  # the visitor clicked it: the question asks for this entry
    at: Mapped[datetime] = mapped_column(default=utc_now)


class Feedback(Base):
    """What a visitor thinks of an answer. Of an entry's answer it is a label: its question asks for it, or not."""

    __tablename__ = "feedback"
    __table_args__ = (UniqueConstraint("message_id", "visitor_id"), _NEVER_REUSE_IDS)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    message_id: Mapped[int] = mapped_column(RowId, ForeignKey("messages.id", ondelete="CASCADE"))  # the answer
    visitor_id: Mapped[str]
    entry_id: Mapped[int | None] = mapped_column(RowId, ForeignKey("faq_entries.id", ondelete="SET NULL"), index=True)
    question: Mapped[str]  # as it was asked
    vote: Mapped[Vote]
    reason: Mapped[Reason | None]
    comment: Mapped[str] = mapped_column(default="")
    at: Mapped[datetime] = mapped_column(default=utc_now, index=True)


class Ticket(Base):
    """A visitor's wish for a person: what about, and how to reach them. The conversation is its transcript."""

    __tablename__ = "tickets"
    __table_args__ = (_NEVER_REUSE_IDS,)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    conversation_id: Mapped[int] = mapped_column(RowId, ForeignKey("conversations.id", ondelete="CASCADE"), index=True)
    client_id: Mapped[str] = mapped_column(unique=True)  # the form's, so that sent twice it is one ticket
    what: Mapped[str]
    contact: Mapped[str]  # as typed: the shop needs it; shown to operators only
    status: Mapped[TicketStatus] = mapped_column(default="open", index=True)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    closed_at: Mapped[datetime | None]
    closed_by: Mapped[str | None]  # the operator's name


class InboxGroup(Base):
    """Questions that ask the same and that no entry has settled: what an operator decides about at once."""

    __tablename__ = "inbox_groups"
    __table_args__ = (_NEVER_REUSE_IDS,)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    question: Mapped[str]  # the first of them: how the group is shown
    status: Mapped[GroupStatus] = mapped_column(default="open", index=True)
    drafted: Mapped[bool] = mapped_column(default=False)  # once: a draft that an operator deleted does not come back
    # The entry that was made of it, or got its wordings; of an open group: the draft.
    entry_id: Mapped[int | None] = mapped_column(RowId, ForeignKey("faq_entries.id", ondelete="SET NULL"), index=True)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    changed_at: Mapped[datetime] = mapped_column(default=utc_now)


class InboxQuestion(Base):
    """A question that no entry has settled. It goes with its conversation."""

    __tablename__ = "inbox_questions"
    __table_args__ = (_NEVER_REUSE_IDS,)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    group_id: Mapped[int] = mapped_column(RowId, ForeignKey("inbox_groups.id", ondelete="CASCADE"), index=True)
    # The answer, by which it is known; what visitors made of that is asked of feedback and hits.
    message_id: Mapped[int] = mapped_column(RowId, ForeignKey("messages.id", ondelete="CASCADE"), unique=True)
    question: Mapped[str]  # as it was asked, personal numbers masked
    outcome: Mapped[Outcome]
    at: Mapped[datetime]


class Operator(Base):
    """Someone who may sign in to the admin pages."""

    __tablename__ = "operators"
    __table_args__ = (_NEVER_REUSE_IDS,)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    password_hash: Mapped[str]
    session_epoch: Mapped[int] = mapped_column(default=0)  # a cookie signed under another epoch is void
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    signed_in_at: Mapped[datetime | None]


class ApiKey(Base):
    """What a program shows to use ``/v1``. The key itself is nowhere but with whoever was given it."""

    __tablename__ = "api_keys"
    __table_args__ = (
        # Of the keys in force each has a name of its own; one that was revoked gives its name back.
        Index(
            "uq_api_keys_name_in_force",
            "name",
            unique=True,
            sqlite_where=sql("revoked_at IS NULL"),
            postgresql_where=sql("revoked_at IS NULL"),
        ),
        _NEVER_REUSE_IDS,
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    name: Mapped[str]
    key_hash: Mapped[str] = mapped_column(unique=True)
    per_minute: Mapped[int | None]  # completions; None: as many as it likes
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class Setting(Base):
    """A value that changes while the site runs."""

    __tablename__ = "settings"

    key: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[Any] = mapped_column(JSON)
    updated_at: Mapped[datetime] = mapped_column(default=utc_now, onupdate=utc_now)


class AuditRecord(Base):
    """Who did what, when."""

    __tablename__ = "audit"
    __table_args__ = (_NEVER_REUSE_IDS,)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    at: Mapped[datetime] = mapped_column(default=utc_now)
    operator_name: Mapped[str]
    action: Mapped[str]
    subject: Mapped[str]
    detail: Mapped[dict[str, Any]]
