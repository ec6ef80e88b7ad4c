"""The tokens that somebody has made, and those narrowed to networks, found without the others."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Go to this revision."""
    made_by = ["org_id", "added_by", "name"]
    op.create_index(op.f("ix_tokens_org_id_added_by_name"), "tokens", made_by)
    op.create_index(
        op.f("ix_tokens_org_id_name"),
        "tokens",
        ["org_id", "name"],
        sqlite_where=sa.text("networks IS NOT NULL"),
    )
