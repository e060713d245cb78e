"""What was suggested, what the FAQ has hit, and what visitors think of answers.

The way back is the snapshot that is taken before a migration runs.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade():
    op.add_column("messages", sa.Column("suggested", sa.JSON()))
    op.create_table(
        "faq_hits",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("message_id", sa.Integer(), nullable=False),
        sa.Column("entry_id", sa.Integer(), nullable=False),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("band", sa.String(16), nullable=False),
        sa.Column("how", sa.Text(), nullable=False),
        sa.Column("score", sa.Float()),
        sa.Column("phrasing", sa.Text()),
        sa.Column("chosen", sa.Boolean(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["message_id"], ["messages.id"], name="fk_faq_hits_message_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["entry_id"], ["faq_entries.id"], name="fk_faq_hits_entry_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_faq_hits"),
        sa.UniqueConstraint("message_id", "entry_id", name="uq_faq_hits_message_id_entry_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_faq_hits_entry_id", "faq_hits", ["entry_id"])
    op.create_table(
        "feedback",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("message_id", sa.Integer(), nullable=False),
        sa.Column("visitor_id", sa.Text(), nullable=False),
        sa.Column("entry_id", sa.Integer()),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("vote", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(16)),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["message_id"], ["messages.id"], name="fk_feedback_message_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["entry_id"], ["faq_entries.id"], name="fk_feedback_entry_id", ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name="pk_feedback"),
        sa.UniqueConstraint("message_id", "visitor_id", name="uq_feedback_message_id_visitor_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_feedback_at", "feedback", ["at"])
    op.create_index("ix_feedback_entry_id", "feedback", ["entry_id"])
