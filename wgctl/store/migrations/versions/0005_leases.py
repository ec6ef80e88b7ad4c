"""Machines that are there for as long as their peer says so."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Go to this revision."""
    op.add_column("machines", sa.Column("lease_s", sa.Integer(), nullable=True))
