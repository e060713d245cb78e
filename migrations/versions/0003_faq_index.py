"""What an index of the FAQ in memory needs: negatives, which entries a version has changed, vectors.

The way back is the snapshot that is taken before a migration runs.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade():
    op.create_table(
        "faq_negatives",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("entry_id", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["entry_id"], ["faq_entries.id"], name="fk_faq_negatives_entry_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_faq_negatives"),
        sa.UniqueConstraint("entry_id", "text", name="uq_faq_negatives_entry_id_text"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "faq_changes",
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("entry_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("version", "entry_id", name="pk_faq_changes"),
    )
    op.create_table(
        "faq_vectors",
        sa.Column("encoder", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("encoder", "digest", name="pk_faq_vectors"),
    )
