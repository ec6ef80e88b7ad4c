"""Count network ids, in an order of this store's own, and note which stores this one came from."""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Go to this revision."""
    made = op.create_table(
        "network_ids",
        sa.Column("one", sa.Integer(), nullable=False),
        sa.Column("key", sa.LargeBinary(length=16), nullable=False),
        sa.Column("next_index", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("one = 1", name=op.f("ck_network_ids_one")),
        sa.PrimaryKeyConstraint("one", name=op.f("pk_network_ids")),
    )
    op.bulk_insert(made, [{"one": 1, "key": secrets.token_bytes(16), "next_index": 0}])
    op.create_table(
        "ancestors",
        sa.Column("epoch", sa.Text(), nullable=False),
        sa.Column("cut", sa.BigInteger(), nullable=False),
        sa.Column("restored_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("epoch", name=op.f("pk_ancestors")),
    )
