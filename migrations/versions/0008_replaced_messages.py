"""Messages that were replaced: edited questions, and answers that were asked for once more.

The way back is the snapshot that is taken before a migration runs.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade():
    op.add_column("messages", sa.Column("replaced_by", sa.Integer(), nullable=True))
