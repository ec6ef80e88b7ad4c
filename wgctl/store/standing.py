"""How a token and its owner stand, read across orgs: before it is known which org is asked.

The one place beside the scoped door that reads members and tokens.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, Table, and_, bindparam, select, update

from wgctl.core.model import OPERATOR, Member, Org, Proof, Token
from wgctl.store import rows, tables
from wgctl.store.prepared import Prepared

__all__ = ["Standing", "note_use", "revision", "standing", "standing_still"]


@dataclass(frozen=True, slots=True)
class Standing:
    """A token, its org and its owner, at a revision. `member` None: an operator owns it."""

    token: Token
    proof: Proof
    org: Org
    member: Member | None
    last_used_at: int | None
    revision: int


def _standings() -> Select[*tuple[Any, ...]]:
    """Return what finds tokens, each with its org, its owner if there is one, and the revision."""
    tokens, members = tables.tokens.c, tables.members.c
    owners = and_(members.org_id == tokens.org_id, members.name == tokens.owner)
    revision = select(tables.deployment.c.revision).scalar_subquery()
    beside = [
        column.label(_beside(table, column.name))
        for table in (tables.orgs, tables.members)
        for column in table.c
    ]
    return (
        select(tables.tokens, *beside, revision.label("revision"))
        .join(tables.orgs, tables.orgs.c.id == tokens.org_id)
        .outerjoin(tables.members, owners)
    )


def _beside(table: Table, column: str) -> str:
    return f"{table.name}_{column}"


# Asked for each request.
_REVISION = Prepared(select(tables.deployment.c.revision))
_BY_KEY = Prepared(_standings().where(tables.tokens.c.public_key == bindparam("key")))
_BY_ID = Prepared(_standings().where(tables.tokens.c.id == bindparam("id")))
_NOTE = Prepared(
    update(tables.tokens).where(tables.tokens.c.id == bindparam("token")),
    columns=["last_used_at"],
)


def standing(connection: Connection, *, public_key: bytes) -> Standing | None:
    """Return how the token with `public_key` stands; None if there is none."""
    return _standing(_BY_KEY.rows(connection, {"key": public_key}))


def standing_still(connection: Connection, token: Token) -> Standing | None:
    """Return how `token` stands in this transaction; None if it is gone."""
    return _standing(_BY_ID.rows(connection, {"id": token.id}))


def _standing(found: list[dict[str, Any]]) -> Standing | None:
    if not found:
        return None
    row = found[0]
    member = _of(tables.members, row)
    if member["id"] is None and row["owner"] != OPERATOR:
        return None
    return Standing(
        token=rows.token_of(row),
        proof=Proof(row["public_key"], row["secret_hash"]),
        org=rows.org_of(_of(tables.orgs, row)),
        member=None if member["id"] is None else rows.member_of(member),
        last_used_at=row["last_used_at"],
        revision=row["revision"],
    )


def _of(table: Table, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `row` has of `table` beside that of the token."""
    return {column: row[_beside(table, column)] for column in table.c.keys()}  # noqa: SIM118


def revision(connection: Connection) -> int:
    """Return the revision of the last change."""
    found: int = _REVISION.rows(connection, {})[0]["revision"]
    return found


def note_use(connection: Connection, token: Token, *, now: int) -> None:
    """Note that `token` was used at `now`."""
    _NOTE.run(connection, {"token": token.id, "last_used_at": now})
