"""What stands above orgs: the orgs themselves, the gateways, the counters and the feed.

What an org owns is behind `owned_by`, in `wgctl.store.org`; the feed alone reads across orgs.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from ipaddress import IPv6Network
from typing import NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Executable,
    Select,
    Table,
    bindparam,
    delete,
    func,
    insert,
    select,
    text,
    update,
)

from peers.keys import PublicKey
from peers.names import Label
from wgctl.core.access import Caller
from wgctl.core.allocate import network_id
from wgctl.core.audit import Record
from wgctl.core.errors import Denied, NotFound, Unidentified
from wgctl.core.feed import Delete, Kind, Put, Row
from wgctl.core.model import Gateway, Org, Peer, Token
from wgctl.store import rows, tables
from wgctl.store.changes import Recorder, read_changes
from wgctl.store.org import OrgDoor
from wgctl.store.prepared import Prepared, Values
from wgctl.store.standing import Standing, note_use, revision, standing, standing_still
from wgctl.store.trail import OF_DEPLOYMENT, note_denial, read_trail
from wgctl.store.unique import taken

__all__ = ["Counts", "Deployment", "EndedPeer"]

_BATCH = 1_000

# Asked for each peer that is added, or shown.
_GATEWAYS = Prepared(select(tables.gateways).order_by(tables.gateways.c.number))
_GATEWAY = Prepared(select(tables.gateways).where(tables.gateways.c.id == bindparam("id")))
_ORG = Prepared(select(tables.orgs).where(tables.orgs.c.slug == bindparam("slug")))


@dataclass(frozen=True, slots=True)
class Counts:
    """How many there are."""

    orgs: int
    networks: int
    peers: int


class EndedPeer(NamedTuple):
    """An ephemeral peer whose time is over, by the names that lead to it."""

    org: str
    network: str
    name: str
    peer_id: int


class Deployment:
    """The store within one transaction; without a recorder it can only be read."""

    def __init__(
        self,
        connection: Connection,
        *,
        pool: IPv6Network,
        caller: Caller,
        recorder: Recorder | None,
    ) -> None:
        """Stand on `connection`, whose transaction has begun, for `caller`."""
        self._connection = connection
        self._recorder = recorder
        self.caller = caller
        self.pool = pool

    def owned_by(self, slug: str) -> OrgDoor:
        """Return the door to what the org `slug` owns, as the caller stands in this transaction.

        Raises NotFound without that org, or when it is none of the caller's, Unidentified when
        their token is gone meanwhile and Denied when it no longer has what they are doing.
        """
        self.caller = self._standing_caller()
        return OrgDoor(
            self._connection,
            org=self.org(slug),
            pool=self.pool,
            caller=self.caller,
            recorder=self._recorder,
        )

    def org(self, slug: str) -> Org:
        """Return the org `slug`; raises NotFound."""
        found, own = _ORG.rows(self._connection, {"slug": slug}), self.caller.org
        if not found or (own is not None and own.id != found[0]["id"]):
            raise NotFound(f"no org {slug!a}: wgctl org list shows what there is")
        return rows.org_of(found[0])

    def standing(self, public_key: bytes) -> Standing | None:
        """Return how the token with `public_key` stands; None if there is none."""
        return standing(self._connection, public_key=public_key)

    def note_use(self, token: Token, *, now: int) -> None:
        """Note that `token` was used at `now`; this is no change."""
        note_use(self._connection, token, now=now)

    def note_denial(self, request: str, *, now: int) -> None:
        """Add to the caller's audit trail that they were denied `request`; this is no change."""
        note_denial(self._connection, self.caller, request, now=now)

    def trail(self, org: str | None, *, after: int, limit: int) -> list[Record]:
        """Return records of an org's audit trail, or of the deployment's own, past `after`."""
        chain = OF_DEPLOYMENT if org is None else self.owned_by(org).org.id
        return read_trail(self._connection, chain, after=after, limit=limit)

    def orgs(self, *, after: str, limit: int) -> list[Org]:
        """Return up to `limit` orgs by slug, from the first one past `after`."""
        found = self._rows(
            select(tables.orgs)
            .where(tables.orgs.c.slug > after, *self._in_reach)
            .order_by(tables.orgs.c.slug)
            .limit(limit)
        )
        return [rows.org_of(row) for row in found]

    def add_org(self, slug: Label, *, now: int) -> Org:
        """Add the org `slug`; raises Conflict when the slug is taken."""
        with taken(orgs_slug=f"org {slug!a} exists already"):
            row = self._rows(
                insert(tables.orgs).values(slug=slug, created_at=now).returning(tables.orgs)
            )[0]
        org = rows.org_of(row)
        self._record.put(Kind.ORG, org)
        return org

    def remove_org(self, slug: str) -> Org:
        """Remove the org `slug` and all that it owns; raises NotFound."""
        door = self.owned_by(slug)
        for network in door.networks():
            door.remove_network(network)
        door.remove_everybody()
        self._connection.execute(delete(tables.orgs).where(tables.orgs.c.id == door.org.id))
        self._record.delete(Kind.ORG, door.org)
        return door.org

    def gateways(self) -> list[Gateway]:
        """Return every gateway by number."""
        return [rows.gateway_of(row) for row in _GATEWAYS.rows(self._connection, {})]

    def gateway_of(self, peer: Peer) -> Gateway:
        """Return the gateway that `peer` connects to, which must be there."""
        return rows.gateway_of(_GATEWAY.rows(self._connection, {"id": peer.gateway_id})[0])

    def gateway(self, name: str) -> Gateway:
        """Return the gateway `name`; raises NotFound."""
        found = self._rows(select(tables.gateways).where(tables.gateways.c.name == name))
        if not found:
            raise NotFound(f"no gateway {name!a}: wgctl gateway list shows what there is")
        return rows.gateway_of(found[0])

    def next_gateway_number(self) -> int:
        """Return the number of the next gateway and count on; it is never given out again."""
        number: int = self._connection.execute(
            update(tables.deployment)
            .values(next_gateway_number=tables.deployment.c.next_gateway_number + 1)
            .returning(tables.deployment.c.next_gateway_number)
        ).scalar_one()
        return number - 1

    def next_network_id(self) -> int:
        """Return an id that no network has had, and count on; raises Exhausted past the last.

        Only ids that were given out before there was a count can come again.
        """
        while True:
            index, key = self._connection.execute(
                update(tables.network_ids)
                .values(next_index=tables.network_ids.c.next_index + 1)
                .returning(tables.network_ids.c.next_index, tables.network_ids.c.key)
            ).one()
            number = network_id(self.pool, index - 1, key=key)
            if number:
                return number

    def add_gateway(self, gateway: Gateway) -> Gateway:
        """Add `gateway`, whose id is chosen here; raises Conflict for a taken name or key."""
        with taken(
            gateways_name=f"gateway {gateway.name!a} exists already",
            gateways_public_key="another gateway has this public key",
        ):
            row = self._rows(
                insert(tables.gateways).values(**_values(gateway)).returning(tables.gateways)
            )[0]
        added = rows.gateway_of(row)
        self._record.put(Kind.GATEWAY, added)
        return added

    def update_gateway(self, gateway: Gateway) -> None:
        """Write `gateway` over the row with its id."""
        gateways = tables.gateways
        before = self._rows(select(gateways).where(gateways.c.id == gateway.id))[0]
        self._connection.execute(
            update(tables.gateways)
            .where(tables.gateways.c.id == gateway.id)
            .values(**_values(gateway))
        )
        self._record.put(Kind.GATEWAY, gateway, before=rows.gateway_of(before))

    def key_in_use(self, key: PublicKey) -> bool:
        """Whether a gateway or a peer of any org has `key`; no more than that is told."""
        return any(found.rows(self._connection, {"key": key.raw}) for found in _having_key())

    def peers_among(self, ids: Collection[int]) -> frozenset[int]:
        """Return those of `ids` that are ids of peers, of whichever org."""
        wanted, found = sorted(ids), set[int]()
        for at in range(0, len(wanted), _BATCH):
            part = wanted[at : at + _BATCH]
            rows_of = select(tables.peers.c.id).where(tables.peers.c.id.in_(part))
            found.update(self._connection.execute(rows_of).scalars())
        return frozenset(found)

    def ended_peers(self, *, now: int, most: int) -> list[EndedPeer]:
        """Return at most `most` ephemeral peers of any org whose time is over, oldest first."""
        values = {"now": now, "most": most}
        return [EndedPeer(*row) for row in self._connection.execute(_ended_peers(), values)]

    @property
    def epoch(self) -> str:
        """The name of this store, which no other has."""
        return str(self._connection.execute(select(tables.deployment.c.epoch)).scalar_one())

    @property
    def revision(self) -> int:
        """The revision of the last change."""
        return revision(self._connection)

    @property
    def kept_since(self) -> int:
        """The revision up to which changes are no longer kept."""
        found: int = self._connection.execute(select(tables.deployment.c.kept_since)).scalar_one()
        return found

    def cut(self, epoch: str) -> int | None:
        """Return the revision up to which this store has the changes of the store `epoch`.

        None for a store that this one was not restored from.
        """
        ancestors = tables.ancestors
        found: int | None = self._connection.execute(
            select(ancestors.c.cut).where(ancestors.c.epoch == epoch)
        ).scalar_one_or_none()
        return found

    def counts(self) -> Counts:
        """Count what there is."""
        return Counts(*(self._count(t) for t in (tables.orgs, tables.networks, tables.peers)))

    def changes(self, *, since: int, until: int, kinds: frozenset[Kind]) -> Iterator[Put | Delete]:
        """Yield the changes of `kinds` after `since` up to `until`, in their order."""
        return read_changes(self._connection, since=since, until=until, kinds=kinds)

    def count_rows(self, kinds: frozenset[Kind]) -> int:
        """Count the rows of `kinds`."""
        return sum(self._count(_TABLES[kind]) for kind in kinds)

    def snapshot(self, kinds: frozenset[Kind]) -> Iterator[Put]:
        """Yield every row of `kinds`, a kind after the other, parents first."""
        prefixes = {
            row["id"]: rows.network_of(row, pool=self.pool).prefix
            for row in self._rows(select(tables.networks))
        }
        for kind, table in _TABLES.items():
            if kind in kinds:
                for row in self._each(table):
                    yield Put(kind, self._value(kind, row, prefixes))

    def _standing_caller(self) -> Caller:
        caller = self.caller
        if caller.token is None or self._stands(caller):
            return caller
        found = standing_still(self._connection, caller.token)
        if found is None:
            raise Unidentified("the token is gone since the request came")
        caller = replace(caller, org=found.org, member=found.member, token=found.token)
        if caller.doing is not None and caller.extent(caller.doing) is None:
            raise Denied(f"{caller.title} may not {caller.doing}")
        return caller

    def _stands(self, caller: Caller) -> bool:
        """Whether nothing at all has changed since it was looked how `caller` stands."""
        if self._recorder is None:
            return caller.as_of == self.revision
        return caller.as_of == self._recorder.revision - 1 and not self._recorder.changed

    @property
    def _in_reach(self) -> tuple[ColumnElement[bool], ...]:
        own = self.caller.org
        return () if own is None else (tables.orgs.c.id == own.id,)

    def _value(self, kind: Kind, row: Values, prefixes: dict[int, IPv6Network]) -> Row:
        match kind:
            case Kind.NETWORK:
                return rows.network_of(row, pool=self.pool)
            case Kind.PEER:
                return rows.peer_of(row, prefix=prefixes[row["network_id"]])
            case Kind.APP:
                return rows.app_of(row, prefix=prefixes[row["network_id"]])
            case _:
                return _ROW_OF[kind](row)

    def _each(self, table: Table) -> Iterator[Values]:
        after = 0
        while batch := self._rows(
            select(table).where(table.c.id > after).order_by(table.c.id).limit(_BATCH)
        ):
            yield from batch
            after = batch[-1]["id"]

    @property
    def _record(self) -> Recorder:
        if self._recorder is None:
            raise TypeError("a change within Store.reading(), expected Store.writing()")
        return self._recorder

    def _rows(self, statement: Executable) -> Sequence[Values]:
        return self._connection.execute(statement).mappings().all()

    def _count(self, table: Table) -> int:
        found: int = self._connection.execute(select(func.count()).select_from(table)).scalar_one()
        return found


_TABLES = {
    Kind.ORG: tables.orgs,
    Kind.GATEWAY: tables.gateways,
    Kind.NETWORK: tables.networks,
    Kind.PEER: tables.peers,
    Kind.SEAL: tables.seals,
    Kind.APP: tables.apps,
    Kind.MACHINE: tables.machines,
    Kind.CHECK: tables.checks,
    Kind.MEMBER: tables.members,
    Kind.TOKEN: tables.tokens,
}


_ROW_OF: Mapping[Kind, Callable[[Values], Row]] = {
    Kind.ORG: rows.org_of,
    Kind.GATEWAY: rows.gateway_of,
    Kind.SEAL: rows.seal_of,
    Kind.MACHINE: rows.machine_of,
    Kind.CHECK: rows.check_of,
    Kind.MEMBER: rows.member_of,
    Kind.TOKEN: rows.token_of,
}


@cache
def _having_key() -> list[Prepared[Select[int]]]:
    return [
        Prepared(select(table.c.id).where(table.c.public_key == bindparam("key")))
        for table in (tables.peers, tables.gateways)
    ]


@cache
def _ended_peers() -> Select[str, str, str, int]:
    """Return what is asked each second: making it takes longer than running it."""
    orgs, networks, peers = tables.orgs, tables.networks, tables.peers
    return (
        select(orgs.c.slug, networks.c.name, peers.c.name, peers.c.id)
        .join(orgs, orgs.c.id == peers.c.org_id)
        .join(networks, networks.c.id == peers.c.network_id)
        # In the words of the index, which SQLite takes for no others.
        .where(text("peers.ephemeral"), peers.c.expires_at <= bindparam("now"))
        .order_by(peers.c.expires_at, peers.c.id)
        .limit(bindparam("most"))
    )


def _values(gateway: Gateway) -> dict[str, object]:
    return {
        "number": gateway.number,
        "name": gateway.name,
        "region": gateway.region,
        "endpoint": str(gateway.endpoint),
        "public_key": gateway.public_key.raw,
        "mtu_bytes": gateway.mtu_bytes,
        "forwards": gateway.forwards,
        "created_at": gateway.created_at,
    }
