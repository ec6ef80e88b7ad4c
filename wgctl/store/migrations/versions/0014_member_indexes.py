"""The admins of a whole org, and who is narrowed to networks, found without the other members."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Go to this revision."""
    for column, networks in (("role", "networks IS NULL"), ("name", "networks IS NOT NULL")):
        op.create_index(
            op.f(f"ix_members_org_id_{column}"),
            "members",
            ["org_id", column],
            sqlite_where=sa.text(networks),
        )
