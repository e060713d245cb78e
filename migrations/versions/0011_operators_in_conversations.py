"""Who of the shop has taken a conversation.

The way back is the snapshot that is taken before a migration runs.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade():
    op.add_column("conversations", sa.Column("operator_id", sa.Integer(), nullable=True))
    op.add_column("conversations", sa.Column("operator_seen_at", sa.DateTime(timezone=True), nullable=True))
