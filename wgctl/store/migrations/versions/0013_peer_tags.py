"""Which peers have a tag, found without going through all."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

_TAKE_OVER = """
INSERT INTO peer_tags (org_id, network_id, peer_id, tag, name)
SELECT DISTINCT org_id, network_id, peers.id, json_each.value, name
FROM peers, json_each(peers.tags) WHERE peers.tags != '[]'
"""


def upgrade() -> None:
    """Go to this revision."""
    owned = [
        sa.ForeignKeyConstraint(
            [column],
            [f"{parent}.id"],
            ondelete="CASCADE",
            name=op.f(f"fk_peer_tags_{column}"),
        )
        for column, parent in (("org_id", "orgs"), ("network_id", "networks"), ("peer_id", "peers"))
    ]
    op.create_table(
        "peer_tags",
        sa.Column("org_id", sa.Integer(), nullable=False),
        sa.Column("network_id", sa.Integer(), nullable=False),
        sa.Column("peer_id", sa.Integer(), nullable=False),
        sa.Column("tag", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        *owned,
        sa.PrimaryKeyConstraint("network_id", "tag", "name", name=op.f("pk_peer_tags")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        op.f("ix_peer_tags_org_id_tag_name_peer_id"),
        "peer_tags",
        ["org_id", "tag", "name", "peer_id"],
    )
    op.create_index(op.f("ix_peer_tags_peer_id"), "peer_tags", ["peer_id"])
    op.execute(_TAKE_OVER)
