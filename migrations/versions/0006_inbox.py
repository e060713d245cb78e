"""The inbox: questions that no entry has settled, grouped by meaning.

The way back is the snapshot that is taken before a migration runs.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade():
    op.create_table(
        "inbox_groups",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("drafted", sa.Boolean(), nullable=False),
        sa.Column("entry_id", sa.Integer()),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["entry_id"], ["faq_entries.id"], name="fk_inbox_groups_entry_id", ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name="pk_inbox_groups"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_inbox_groups_status", "inbox_groups", ["status"])
    op.create_index("ix_inbox_groups_entry_id", "inbox_groups", ["entry_id"])
    op.create_table(
        "inbox_questions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("group_id", sa.Integer(), nullable=False),
        sa.Column("message_id", sa.Integer(), nullable=False),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["group_id"], ["inbox_groups.id"], name="fk_inbox_questions_group_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["message_id"], ["messages.id"], name="fk_inbox_questions_message_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_inbox_questions"),
        sa.UniqueConstraint("message_id", name="uq_inbox_questions_message_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_inbox_questions_group_id", "inbox_questions", ["group_id"])
    # There from the beginning, so that of two processes one can hold it.
    settings = sa.table("settings", sa.column("key"), sa.column("value", sa.JSON), sa.column("updated_at"))
    op.execute(sa.insert(settings).values(key="inbox_seen", value=0, updated_at=sa.func.current_timestamp()))
