"""The audit trail, whose records nobody changes or removes."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

_NEVER = """
CREATE TRIGGER audit_is_never_{verb}d BEFORE {verb} ON audit
BEGIN SELECT RAISE(ABORT, 'a record of the audit trail is never {verb}d'); END
"""


def upgrade() -> None:
    """Go to this revision."""
    op.create_table(
        "audit",
        sa.Column("chain", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("place", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("previous", sa.LargeBinary(length=32), nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("chain", "place", name=op.f("pk_audit")),
    )
    for verb in ("update", "delete"):
        op.execute(_NEVER.format(verb=verb))
