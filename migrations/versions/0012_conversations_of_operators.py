"""What operators look for among conversations: the latest, and those that one of them has taken.

The way back is the snapshot that is taken before a migration runs.
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade():
    op.create_index("ix_conversations_active_at", "conversations", ["active_at"])
    taken = sa.text("operator_id IS NOT NULL")
    op.create_index(
        "ix_conversations_with_person", "conversations", ["operator_id"], sqlite_where=taken, postgresql_where=taken
    )
