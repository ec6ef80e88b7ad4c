"""How a token and its owner stand, read across orgs: before it is known which org is asked.

The one place beside the scoped door that reads members and tokens.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, Select, bindparam, select, update

from wgctl.core.model import OPERATOR, Member, Org, Proof, Token
from wgctl.store import rows, tables

__all__ = ["Standing", "note_use", "revision", "standing", "standing_still"]

# Asked for each request: made once, since making one takes longer than running it.
_REVISION = select(tables.deployment.c.revision)
_BY_KEY = select(tables.tokens).where(tables.tokens.c.public_key == bindparam("key"))
_BY_ID = select(tables.tokens).where(tables.tokens.c.id == bindparam("id"))
_ORG = select(tables.orgs).where(tables.orgs.c.id == bindparam("org"))
_OWNER = select(tables.members).where(
    tables.members.c.org_id == bindparam("org"), tables.members.c.name == bindparam("owner")
)
_NOTE = update(tables.tokens).where(tables.tokens.c.id == bindparam("token"))


@dataclass(frozen=True, slots=True)
class Standing:
    """A token, its org and its owner, at a revision. `member` None: an operator owns it."""

    token: Token
    proof: Proof
    org: Org
    member: Member | None
    last_used_at: int | None
    revision: int


def standing(connection: Connection, *, public_key: bytes) -> Standing | None:
    """Return how the token with `public_key` stands; None if there is none."""
    return _standing(connection, _BY_KEY, {"key": public_key})


def standing_still(connection: Connection, token: Token) -> Standing | None:
    """Return how `token` stands in this transaction; None if it is gone."""
    return _standing(connection, _BY_ID, {"id": token.id})


def _standing(
    connection: Connection, which: Select[*tuple[object, ...]], values: Mapping[str, object]
) -> Standing | None:
    row = connection.execute(which, values).mappings().one_or_none()
    if row is None:
        return None
    of_org = {"org": row["org_id"]}
    org = connection.execute(_ORG, of_org).mappings().one()
    owner = connection.execute(_OWNER, {**of_org, "owner": row["owner"]}).mappings()
    member = owner.one_or_none()
    if member is None and row["owner"] != OPERATOR:
        return None
    return Standing(
        token=rows.token_of(row),
        proof=Proof(row["public_key"], row["secret_hash"]),
        org=rows.org_of(org),
        member=None if member is None else rows.member_of(member),
        last_used_at=row["last_used_at"],
        revision=revision(connection),
    )


def revision(connection: Connection) -> int:
    """Return the revision of the last change."""
    found: int = connection.execute(_REVISION).scalar_one()
    return found


def note_use(connection: Connection, token: Token, *, now: int) -> None:
    """Note that `token` was used at `now`."""
    connection.execute(_NOTE, {"token": token.id, "last_used_at": now})
