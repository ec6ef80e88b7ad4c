"""How much the kept changes take, counted on with them."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

# Of the changes since the last thousandth revision, the next one takes account.
_COUNT = """
UPDATE deployment SET kept_bytes = (
    SELECT coalesce(sum(length(CAST(body AS TEXT))), 0) FROM changes
    WHERE changes.revision < deployment.revision - deployment.revision % 1000
)
"""


def upgrade() -> None:
    """Go to this revision."""
    kept = sa.Column("kept_bytes", sa.BigInteger(), nullable=False, server_default="0")
    op.add_column("deployment", kept)
    op.execute(_COUNT)
