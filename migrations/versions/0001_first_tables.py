"""First tables.

The way back is the snapshot that is taken before a migration runs.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade():
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("operator_name", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "conversations",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("public_id", sa.Text(), nullable=False),
        sa.Column("visitor_id", sa.Text()),
        sa.Column("channel", sa.String(length=16), nullable=False),
        sa.Column("language", sa.String(length=16), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("opening_client_id", sa.Text()),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("active_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_conversations"),
        sa.UniqueConstraint("public_id", name="uq_conversations_public_id"),
        sa.UniqueConstraint("visitor_id", "opening_client_id", name="uq_conversations_visitor_id_opening_client_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_conversations_visitor_id_active_at", "conversations", ["visitor_id", "active_at"])
    op.create_table(
        "faq_entries",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("group_name", sa.Text(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("valid_from", sa.DateTime(timezone=True)),
        sa.Column("valid_until", sa.DateTime(timezone=True)),
        sa.Column("origin", sa.String(length=16), nullable=False),
        sa.Column("batch", sa.Text()),
        sa.Column("hits", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_faq_entries"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_faq_entries_batch", "faq_entries", ["batch"])
    op.create_index("ix_faq_entries_updated_at", "faq_entries", ["updated_at"])
    op.create_table(
        "operators",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("session_epoch", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("signed_in_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="pk_operators"),
        sa.UniqueConstraint("name", name="uq_operators_name"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "settings",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_settings"),
    )
    op.create_table(
        "faq_phrasings",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("entry_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["entry_id"], ["faq_entries.id"], name="fk_faq_phrasings_entry_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_faq_phrasings"),
        sa.UniqueConstraint("entry_id", "text", name="uq_faq_phrasings_entry_id_text"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "messages",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("conversation_id", sa.Integer(), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("source", sa.String(length=16)),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("finish_reason", sa.String(length=16)),
        sa.Column("client_id", sa.Text()),
        sa.Column("question_id", sa.Integer()),
        sa.Column("model", sa.Text()),
        sa.Column("entry_id", sa.Integer()),
        sa.Column("matched", sa.JSON()),
        sa.Column("reason", sa.Text()),
        sa.Column("stats", sa.JSON()),
        sa.Column("run_owner", sa.Text()),
        sa.Column("lease_until", sa.DateTime(timezone=True)),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
        sa.CheckConstraint(
            "(status IN ('queued', 'streaming')) = (lease_until IS NOT NULL)",
            name=op.f("ck_messages_unfinished_has_lease"),
        ),
        sa.ForeignKeyConstraint(
            ["conversation_id"], ["conversations.id"], name="fk_messages_conversation_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["entry_id"], ["faq_entries.id"], name="fk_messages_entry_id", ondelete="SET NULL"),
        sa.ForeignKeyConstraint(["question_id"], ["messages.id"], name="fk_messages_question_id", ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name="pk_messages"),
        sa.UniqueConstraint("conversation_id", "client_id", name="uq_messages_conversation_id_client_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_messages_conversation_id_id", "messages", ["conversation_id", "id"])
    op.create_index("ix_messages_entry_id", "messages", ["entry_id"])
    op.create_index("ix_messages_question_id", "messages", ["question_id"])
    op.create_index(
        "ix_messages_unfinished",
        "messages",
        ["lease_until"],
        sqlite_where=sa.text("lease_until IS NOT NULL"),
        postgresql_where=sa.text("lease_until IS NOT NULL"),
    )

    # Counts the changes of the FAQ; there from the start, so that counting needs no "or else insert".
    settings = sa.table("settings", sa.column("key"), sa.column("value", sa.JSON()), sa.column("updated_at"))
    op.execute(sa.insert(settings).values(key="faq_version", value=0, updated_at=sa.func.current_timestamp()))
