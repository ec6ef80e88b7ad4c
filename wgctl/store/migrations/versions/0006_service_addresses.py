"""Service addresses of apps."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Go to this revision."""
    op.add_column("apps", sa.Column("service_number", sa.BigInteger(), nullable=True))
    op.create_index(
        op.f("ix_apps_network_id_service_number"),
        "apps",
        ["network_id", "service_number"],
        unique=True,
    )
