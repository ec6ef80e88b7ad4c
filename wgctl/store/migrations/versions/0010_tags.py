"""Tags of peers, and tokens that give them."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Go to this revision."""
    for table in ("peers", "tokens"):
        op.add_column(table, sa.Column("tags", sa.JSON(), nullable=False, server_default="[]"))
