"""The tables of the controller's store, in SQLAlchemy's words.

Uniqueness and what goes with what are said here, because the database has the last word on both;
how the tables came to be is `migrations`. Times are whole seconds since 1970 UTC.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)

__all__ = [
    "address_counters",
    "ancestors",
    "apps",
    "audit",
    "changes",
    "checks",
    "deployment",
    "gateways",
    "machines",
    "members",
    "metadata",
    "network_ids",
    "networks",
    "orgs",
    "peer_tags",
    "peers",
    "seals",
    "spent_network_ids",
    "tokens",
]

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite numbers rows by itself only in a column of type INTEGER; elsewhere ids are 64 bits.
_Id = BigInteger().with_variant(Integer, "sqlite")


def _owned_by(parent: str) -> ForeignKey:
    return ForeignKey(f"{parent}.id", ondelete="CASCADE")


deployment = Table(
    "deployment",
    metadata,
    Column("one", Integer, CheckConstraint("one = 1", name="one"), primary_key=True),
    Column("epoch", Text, nullable=False),
    Column("pool", Text, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("kept_since", BigInteger, nullable=False),
    Column("kept_bytes", BigInteger, nullable=False, server_default="0"),
    Column("next_gateway_number", Integer, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

# The stores that this one was restored from, and the revision up to which it has their changes.
ancestors = Table(
    "ancestors",
    metadata,
    Column("epoch", Text, primary_key=True),
    Column("cut", BigInteger, nullable=False),
    Column("restored_at", BigInteger, nullable=False),
)

changes = Table(
    "changes",
    metadata,
    Column("revision", BigInteger, primary_key=True, autoincrement=False),
    Column("place", Integer, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("row_id", BigInteger, nullable=False),
    Column("body", JSON(none_as_null=True), nullable=True),
)

orgs = Table(
    "orgs",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("slug", Text, nullable=False, unique=True),
    Column("created_at", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)

# The order in which `wgctl.core.allocate.network_id` gives ids out, and how far it has come.
network_ids = Table(
    "network_ids",
    metadata,
    Column("one", Integer, CheckConstraint("one = 1", name="one"), primary_key=True),
    Column("key", LargeBinary(16), nullable=False),
    Column("next_index", BigInteger, nullable=False),
)

spent_network_ids = Table(
    "spent_network_ids",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
)

networks = Table(
    "networks",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("org_id", _owned_by("orgs"), nullable=False),
    Column("name", Text, nullable=False),
    Column("number", ForeignKey("spent_network_ids.number"), nullable=False, unique=True),
    Column("created_at", BigInteger, nullable=False),
    UniqueConstraint("org_id", "name"),
    sqlite_autoincrement=True,
)

gateways = Table(
    "gateways",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("number", Integer, nullable=False, unique=True),
    Column("name", Text, nullable=False, unique=True),
    Column("region", Text, nullable=False),
    Column("endpoint", Text, nullable=False),
    Column("public_key", LargeBinary(32), nullable=False, unique=True),
    Column("mtu_bytes", Integer, nullable=False),
    Column("forwards", Boolean, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)

address_counters = Table(
    "address_counters",
    metadata,
    Column("org_id", _owned_by("orgs"), nullable=False, index=True),
    Column("network_id", _owned_by("networks"), primary_key=True),
    Column("gateway_number", Integer, primary_key=True, autoincrement=False),
    Column("next_number", BigInteger, nullable=False),
)

peers = Table(
    "peers",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("org_id", _owned_by("orgs"), nullable=False),
    Column("network_id", _owned_by("networks"), nullable=False),
    Column("gateway_id", ForeignKey("gateways.id"), nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("public_key", LargeBinary(32), nullable=False, unique=True),
    Column("gateway_number", Integer, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=True),
    Column("ephemeral", Boolean, nullable=False, server_default=false()),
    Column("tags", JSON, nullable=False, server_default="[]"),
    UniqueConstraint("network_id", "name"),
    UniqueConstraint("network_id", "gateway_number", "number"),
    Index(None, "org_id", "name"),
    Index(None, "org_id", "owner"),
    Index(None, "expires_at", sqlite_where=text("ephemeral")),
    sqlite_autoincrement=True,
)

# The tags of `peers` again, to find peers by: neither a peer's name nor its tags ever change.
peer_tags = Table(
    "peer_tags",
    metadata,
    Column("org_id", _owned_by("orgs"), nullable=False),
    Column("network_id", _owned_by("networks"), primary_key=True),
    Column("peer_id", _owned_by("peers"), nullable=False, index=True),
    Column("tag", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Index(None, "org_id", "tag", "name", "peer_id"),
    sqlite_with_rowid=False,
)

seals = Table(
    "seals",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("org_id", _owned_by("orgs"), nullable=False, index=True),
    Column("network_id", _owned_by("networks"), nullable=False, index=True),
    Column("peer_id", _owned_by("peers"), nullable=False, unique=True),
    Column("sealed", LargeBinary(80), nullable=False),
    sqlite_autoincrement=True,
)

apps = Table(
    "apps",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("org_id", _owned_by("orgs"), nullable=False, index=True),
    Column("network_id", _owned_by("networks"), nullable=False),
    Column("name", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("service_number", BigInteger, nullable=True),
    UniqueConstraint("network_id", "name"),
    Index(None, "network_id", "service_number", unique=True),
    sqlite_autoincrement=True,
)

machines = Table(
    "machines",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("org_id", _owned_by("orgs"), nullable=False, index=True),
    Column("network_id", _owned_by("networks"), nullable=False),
    Column("app_id", _owned_by("apps"), nullable=False),
    Column("peer_id", _owned_by("peers"), nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("region", Text, nullable=False),
    Column("process_group", Text, nullable=False),
    Column("ports", JSON, nullable=False),
    Column("metadata", JSON, nullable=False),
    Column("state", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("lease_s", Integer, nullable=True),
    UniqueConstraint("network_id", "name"),
    Index(None, "app_id", "name"),
    sqlite_autoincrement=True,
)

checks = Table(
    "checks",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("org_id", _owned_by("orgs"), nullable=False, index=True),
    Column("network_id", _owned_by("networks"), nullable=False, index=True),
    Column("machine_id", _owned_by("machines"), nullable=False, unique=True),
    Column("target", Text, nullable=False),
    Column("interval_s", Integer, nullable=False),
    Column("timeout_s", Integer, nullable=False),
    Column("grace_s", Integer, nullable=False),
    Column("rise", Integer, nullable=False),
    Column("fall", Integer, nullable=False),
    sqlite_autoincrement=True,
)

members = Table(
    "members",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("org_id", _owned_by("orgs"), nullable=False),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("networks", JSON(none_as_null=True), nullable=True),
    Column("created_at", BigInteger, nullable=False),
    UniqueConstraint("org_id", "name"),
    Index(None, "org_id", "role", sqlite_where=text("networks IS NULL")),
    Index(None, "org_id", "name", sqlite_where=text("networks IS NOT NULL")),
    sqlite_autoincrement=True,
)

# What one proves a token with: the text itself is nowhere. See `wgctl.core.bearer`.
tokens = Table(
    "tokens",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("org_id", _owned_by("orgs"), nullable=False),
    Column("name", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("added_by", Text, nullable=False),
    Column("networks", JSON(none_as_null=True), nullable=True),
    Column("only_peer_id", _owned_by("peers"), nullable=True, index=True),
    Column("uses_left", Integer, nullable=True),
    Column("tags", JSON, nullable=False, server_default="[]"),
    Column("public_key", LargeBinary(32), nullable=False, unique=True),
    Column("secret_hash", LargeBinary(32), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("last_used_at", BigInteger, nullable=True),
    UniqueConstraint("org_id", "name"),
    Index(None, "org_id", "owner", "name"),
    Index(None, "org_id", "added_by", "name"),
    Index(None, "org_id", "name", sqlite_where=text("networks IS NOT NULL")),
    sqlite_autoincrement=True,
)

# Its triggers, which let nobody change or remove a record, are in the migration alone.
audit = Table(
    "audit",
    metadata,
    Column("chain", BigInteger, primary_key=True, autoincrement=False),
    Column("place", BigInteger, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
    Column("previous", LargeBinary(32), nullable=False),
    Column("hash", LargeBinary(32), nullable=False),
)
