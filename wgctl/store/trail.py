"""The audit trail in the store: records are added to the end of a chain, and never changed.

What a record says and how it is bound to the last one is `wgctl.core.audit`. The database refuses
to change or remove one.
"""

from collections.abc import Sequence
from dataclasses import fields

from sqlalchemy import Connection, bindparam, insert, select

from wgctl.core.access import Asker, Caller
from wgctl.core.audit import NO_HEAD, Head, Made, Record, describe, link
from wgctl.core.feed import Kind
from wgctl.store.prepared import Prepared
from wgctl.store.tables import audit

__all__ = ["OF_DEPLOYMENT", "note_changes", "note_denial", "read_trail"]

# An org may go with 100,000 peers: a record of about 50 kB can still be read at once.
_MOST_CHANGES = 100

# Each change runs these.
_LAST = Prepared(
    select(audit.c.place, audit.c.hash)
    .where(audit.c.chain == bindparam("chain"))
    .order_by(audit.c.place.desc())
    .limit(1)
)
_ADD = Prepared(insert(audit), columns=audit.c.keys())
_FIELDS = [field.name for field in fields(Record)]

OF_DEPLOYMENT = 0
"""The chain of what no org owns; that of an org is its id, which no other org ever has."""


def note_changes(
    connection: Connection, caller: Caller, changes: Sequence[Made], *, now: int
) -> None:
    """Add what `caller` changed in this transaction to the chains of those that own it.

    What comes or goes with an org is the deployment's. Of what roles tell, only gateways count:
    that a peer announced a machine or fell silent is nobody's deed.
    """
    if caller.asker is Asker.NODE:
        changes = [made for made in changes if made.kind is Kind.GATEWAY]
    chains: dict[int, list[Made]] = {}
    whole_orgs = any(made.kind is Kind.ORG for made in changes)
    for made in changes:
        row = made.before if made.after is None else made.after
        chain = OF_DEPLOYMENT if whole_orgs else getattr(row, "org_id", OF_DEPLOYMENT)
        chains.setdefault(chain, []).append(made)
    for chain, of_chain in chains.items():
        for at in range(0, len(of_chain), _MOST_CHANGES):
            part = of_chain[at : at + _MOST_CHANGES]
            _add(connection, chain, describe(caller, allowed=True, changes=part), now=now)


def note_denial(connection: Connection, caller: Caller, request: str, *, now: int) -> None:
    """Add to the caller's chain that they were denied `request`."""
    chain = OF_DEPLOYMENT if caller.org is None else caller.org.id
    _add(connection, chain, describe(caller, allowed=False, request=request), now=now)


def read_trail(connection: Connection, chain: int, *, after: int, limit: int) -> list[Record]:
    """Return up to `limit` records of `chain` in their order, from the one past `after`."""
    found = connection.execute(
        select(audit)
        .where(audit.c.chain == chain, audit.c.place > after)
        .order_by(audit.c.place)
        .limit(limit)
    ).mappings()
    return [Record(**{k: v for k, v in row.items() if k != "chain"}) for row in found]


def _add(connection: Connection, chain: int, body: str, *, now: int) -> None:
    last = _LAST.rows(connection, {"chain": chain})
    head = Head(**last[0]) if last else NO_HEAD
    record = link(head, at=now, body=body)
    told = {name: getattr(record, name) for name in _FIELDS}  # `asdict` copies each as it goes.
    _ADD.run(connection, {"chain": chain, **told})
