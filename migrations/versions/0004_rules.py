"""Rules that operators make, with those that come with the site; and the tags that rules give to questions.

The rules that come with the site are rows from here on, so that they have their place in the order and can be switched
off. Their words and their intents stay in the code (``webchat.answering.rules.shipped``): a later release that brings
another one adds its row in a migration of its own, and touches no other.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

# In the order in which they are tried; what each does until an operator changes it.
SHIPPED = (
    ("abuse", "block"),
    ("human", "handoff"),
    ("identity", "reply"),
    ("weather", "reply"),
    ("clock", "reply"),
    ("exchange", "reply"),
    ("news", "reply"),
    ("greeting", "reply"),
    ("thanks", "reply"),
)


def upgrade():
    rules = op.create_table(
        "rules",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("shipped", sa.Text()),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("condition", sa.JSON(), nullable=False),
        sa.Column("action", sa.String(length=16), nullable=False),
        sa.Column("reply_zh", sa.Text(), nullable=False),
        sa.Column("reply_en", sa.Text(), nullable=False),
        sa.Column("tag", sa.Text(), nullable=False),
        sa.Column("faq_first", sa.Boolean(), nullable=False),
        sa.Column("slow_at", sa.DateTime(timezone=True)),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_rules"),
        sa.UniqueConstraint("shipped", name="uq_rules_shipped"),
        sqlite_autoincrement=True,
    )
    op.add_column("messages", sa.Column("tags", sa.JSON()))
    now = sa.func.current_timestamp()
    for position, (shipped, action) in enumerate(SHIPPED):
        op.execute(
            sa.insert(rules).values(
                position=position, shipped=shipped, name="", enabled=True, condition={"intent": shipped}, action=action,
                reply_zh="", reply_en="", tag="", faq_first=True, updated_at=now,
            )
        )  # fmt: skip
    settings = sa.table("settings", sa.column("key"), sa.column("value", sa.JSON()), sa.column("updated_at"))
    op.execute(sa.insert(settings).values(key="rules_version", value=0, updated_at=now))
