"""What a member owns, and an app's machines by name, found without going through all."""

from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Go to this revision."""
    op.create_index(op.f("ix_peers_org_id_owner"), "peers", ["org_id", "owner"])
    op.create_index(op.f("ix_tokens_org_id_owner_name"), "tokens", ["org_id", "owner", "name"])
    op.drop_index(op.f("ix_machines_app_id"), "machines")
    op.create_index(op.f("ix_machines_app_id_name"), "machines", ["app_id", "name"])
