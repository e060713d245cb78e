"""The page on which a visitor has opened the widget.

The way back is the snapshot that is taken before a migration runs.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade():
    op.add_column("conversations", sa.Column("page_url", sa.Text(), nullable=True))
    op.add_column("conversations", sa.Column("page_title", sa.Text(), nullable=True))
