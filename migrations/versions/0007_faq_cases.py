"""Questions that an entry must answer by itself, or must not.

The way back is the snapshot that is taken before a migration runs.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade():
    op.create_table(
        "faq_cases",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("entry_id", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("must_hit", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["entry_id"], ["faq_entries.id"], name="fk_faq_cases_entry_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_faq_cases"),
        sa.UniqueConstraint("entry_id", "text", name="uq_faq_cases_entry_id_text"),
        sqlite_autoincrement=True,
    )
