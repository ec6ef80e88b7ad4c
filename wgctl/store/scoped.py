"""What every statement about an org's rows goes through, so that each names the org.

All are made by `_having`, `_select`, `_insert`, `_update`, `_delete`, `_count` or `_next_number`; a
test reads the syntax tree to prove it. A caller who is narrowed to networks, or to one peer, finds
nothing else: it looks like what is not there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv6Network

from sqlalchemy import (
    ColumnElement,
    Connection,
    CursorResult,
    Delete,
    Executable,
    Insert,
    RowMapping,
    Select,
    Table,
    Update,
    bindparam,
    delete,
    func,
    insert,
    select,
    tuple_,
    update,
)

from peers.addresses import FIRST_PEER
from wgctl.core.access import Caller
from wgctl.core.errors import Denied, NotFound
from wgctl.core.model import Network, Org
from wgctl.store import tables
from wgctl.store.changes import Recorder

__all__ = ["EVERYTHING", "Scoped"]

EVERYTHING = 1_000_000
"""More rows of a table than an org has."""


@dataclass(frozen=True, slots=True)
class _Filled:
    """A statement that was made before, and what is in it this time."""

    statement: Executable
    values: Mapping[str, object]


class Scoped:
    """The rows of `org` that `caller` may see, within one transaction.

    Without a recorder they can only be read.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        org: Org,
        pool: IPv6Network,
        caller: Caller,
        recorder: Recorder | None,
    ) -> None:
        """Stand on `connection`, whose transaction has begun."""
        self.org = org
        self.pool = pool
        self.caller = caller
        self._connection = connection
        self._recorder = recorder

    def require_own(self, owner: str, what: str) -> None:
        """Raise Denied when what the caller does reaches only things of their own."""
        if not self.caller.may_touch(owner):
            raise Denied(
                f"{self.caller.title} may do {self.caller.doing} to their own alone, and {what} is "
                f"of {owner!a}"
            )

    def _owned(self, table: Table) -> tuple[ColumnElement[bool], ...]:
        """Return what makes rows of `table` the org's, and in the caller's reach."""
        return (table.c.org_id == self.org.id, *self._in_reach(table))

    def _in_reach(self, table: Table) -> tuple[ColumnElement[bool], ...]:
        peer_id = None if self.caller.token is None else self.caller.token.only_peer_id
        of_peer = () if table is not tables.peers or peer_id is None else (table.c.id == peer_id,)
        names = self.caller.networks
        if names is None:
            return of_peer
        networks = tables.networks
        if table is networks:
            return (networks.c.name.in_(names),)
        if "network_id" not in table.c:
            return ()
        within = select(networks.c.id).where(
            networks.c.org_id == self.org.id, networks.c.name.in_(names)
        )
        return (table.c.network_id.in_(within), *of_peer)

    def _select(self, table: Table, *where: ColumnElement[bool]) -> Select[*tuple[object, ...]]:
        return select(table).where(*self._owned(table), *where)

    def _having(self, table: Table, **values: object) -> Sequence[RowMapping]:
        """Return the rows of `table` with these values in their columns."""
        statement, within = _having(table, tuple(values)), self._in_reach(table)
        if within:
            statement = statement.where(*within)
        return self._rows(_Filled(statement, {"org": self.org.id, **values}))

    def _insert(self, table: Table, **values: object) -> _Filled:
        return _Filled(_inserting(table), {"org_id": self.org.id, **values})

    def _update(self, table: Table, row_id: int, **values: object) -> _Filled:
        statement, within = _updating(table), self._in_reach(table)
        if within:
            statement = statement.where(*within)
        return _Filled(statement, {"org": self.org.id, "row": row_id, **values})

    def _delete(self, table: Table, row_id: int) -> _Filled:
        statement, within = _deleting(table), self._in_reach(table)
        if within:
            statement = statement.where(*within)
        return _Filled(statement, {"org": self.org.id, "row": row_id})

    @property
    def _record(self) -> Recorder:
        if self._recorder is None:
            raise TypeError("a change within Store.reading(), expected Store.writing()")
        return self._recorder

    def _page(
        self,
        table: Table,
        *where: ColumnElement[bool],
        having: Mapping[str, object],
        after: tuple[str, int] = ("", 0),
        limit: int = EVERYTHING,
    ) -> Sequence[RowMapping]:
        """Return rows with the values `having` by name and id, from the first one past `after`."""
        statement, within = _paging(table, tuple(having)), (*self._in_reach(table), *where)
        if within:
            statement = statement.where(*within)
        start = {"past": after[0], "past_id": after[1], "most": limit}
        return self._rows(_Filled(statement, {"org": self.org.id, **start, **having}))

    def _named(self, table: Table, name: str, *, what: str, within: Network | None) -> RowMapping:
        scope = {} if within is None else {"network_id": within.id}
        found = self._having(table, name=name, **scope)
        if not found:
            place = f"network {within.name!a} of " if within else ""
            raise NotFound(
                f"no {what} {name!a} in {place}org {self.org.slug!a}: "
                f"wgctl {what} list --org {self.org.slug} shows what there is"
            )
        return found[0]

    def _next_number(self, network: Network, host: int) -> int:
        """Return the next number below `host`, a gateway's or that of service addresses.

        Both begin at 2, and none is given out twice.
        """
        counted = self._connection.execute(
            _counting(), {"org": self.org.id, "network": network.id, "host": host}
        ).scalar_one_or_none()
        if counted is not None:
            return int(counted) - 1
        self._execute(
            self._insert(
                tables.address_counters,
                network_id=network.id,
                gateway_number=host,
                next_number=FIRST_PEER + 1,
            )
        )
        return FIRST_PEER

    def _rows(self, statement: Executable | _Filled) -> Sequence[RowMapping]:
        return self._run(statement).mappings().all()

    def _execute(self, statement: Insert | _Filled) -> None:
        self._run(statement)

    def _run(self, statement: Executable | _Filled) -> CursorResult[*tuple[object, ...]]:
        if isinstance(statement, _Filled):
            return self._connection.execute(statement.statement, statement.values)
        return self._connection.execute(statement)

    def _count(self, table: Table, *where: ColumnElement[bool]) -> int:
        found: int = self._connection.execute(
            select(func.count()).select_from(table).where(*self._owned(table), *where)
        ).scalar_one()
        return found


# Those that are run again and again: making one takes three times as long as running it.


@cache
def _having(table: Table, columns: tuple[str, ...]) -> Select[*tuple[object, ...]]:
    named = (table.c[column] == bindparam(column) for column in columns)
    return select(table).where(table.c.org_id == bindparam("org"), *named)


@cache
def _paging(table: Table, columns: tuple[str, ...]) -> Select[*tuple[object, ...]]:
    past = tuple_(table.c.name, table.c.id) > tuple_(bindparam("past"), bindparam("past_id"))
    return (
        _having(table, columns)
        .where(past)
        .order_by(table.c.name, table.c.id)
        .limit(bindparam("most"))
    )


@cache
def _updating(table: Table) -> Update:
    """Return what changes the columns of one row whose values it is run with."""
    its = (table.c.org_id == bindparam("org"), table.c.id == bindparam("row"))
    return update(table).where(*its).returning(table)


@cache
def _deleting(table: Table) -> Delete:
    return delete(table).where(table.c.org_id == bindparam("org"), table.c.id == bindparam("row"))


@cache
def _inserting(table: Table) -> Insert:
    """Return what `Scoped._insert` fills, `org_id` with the rest."""
    return insert(table).returning(table)


@cache
def _counting() -> Update:
    counters = tables.address_counters
    return (
        update(counters)
        .where(
            counters.c.org_id == bindparam("org"),
            counters.c.network_id == bindparam("network"),
            counters.c.gateway_number == bindparam("host"),
        )
        .values(next_number=counters.c.next_number + 1)
        .returning(counters.c.next_number)
    )
