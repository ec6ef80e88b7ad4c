"""Peers that leave by themselves."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Go to this revision."""
    op.add_column(
        "peers", sa.Column("ephemeral", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.create_index(
        op.f("ix_peers_expires_at"), "peers", ["expires_at"], sqlite_where=sa.text("ephemeral")
    )
