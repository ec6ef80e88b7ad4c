"""What every statement about an org's rows goes through, so that each names the org.

All are made by `_having`, `_every`, `_page`, `_select`, `_insert`, `_update`, `_delete`, `_count`,
`_count_in` or `_next_number`, but for two of the modules beside, which fill in the org themselves:
`spend_use` and `count_machines`, the latter by `of_org`. A test reads the syntax tree to prove it.
A caller who is narrowed to networks, or to one peer, finds nothing else: it looks like what is not
there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv6Network
from typing import Any, TypeAlias

from sqlalchemy import (
    ColumnElement,
    Connection,
    Delete,
    Executable,
    Insert,
    ScalarSelect,
    Select,
    Table,
    Text,
    Update,
    bindparam,
    delete,
    exists,
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
from wgctl.store.prepared import Prepared, Values

__all__ = ["EVERYTHING", "SEALED", "Scoped", "lists", "of_org", "past"]

_Found: TypeAlias = Select[*tuple[Any, ...]]

EVERYTHING = 1_000_000
"""More rows of a table than an org has."""

SEALED = "sealed"
"""What a page of peers tells of each besides its columns: whether it has a preshared key."""


@dataclass(frozen=True, slots=True)
class _Filled:
    """A statement that was made before, and what is in it this time."""

    statement: Prepared[Any] | Executable
    values: Mapping[str, Any]


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

    def _having(self, table: Table, **values: object) -> Sequence[Values]:
        """Return the rows of `table` with these values in their columns."""
        statement = self._reaching(_having(table, tuple(values)), table)
        return self._rows(_Filled(statement, {"org": self.org.id, **values}))

    def _insert(self, table: Table, **values: object) -> _Filled:
        given = {"org_id": self.org.id, **values}
        return _Filled(_inserting(table, tuple(given)), given)

    def _update(self, table: Table, row_id: int, **values: object) -> _Filled:
        statement = self._reaching(_updating(table, tuple(values)), table)
        return _Filled(statement, {"org": self.org.id, "row": row_id, **values})

    def _delete(self, table: Table, row_id: int) -> _Filled:
        statement = self._reaching(_deleting(table), table)
        return _Filled(statement, {"org": self.org.id, "row": row_id})

    def _reaching(
        self,
        prepared: Prepared[_Found] | Prepared[Update] | Prepared[Delete],
        table: Table,
    ) -> Prepared[Any] | Executable:
        """Return what finds no more in `table` than is in the caller's reach."""
        within = self._in_reach(table)
        return prepared.statement.where(*within) if within else prepared

    @property
    def _record(self) -> Recorder:
        if self._recorder is None:
            raise TypeError("a change within Store.reading(), expected Store.writing()")
        return self._recorder

    def _page(
        self,
        table: Table,
        *,
        having: Mapping[str, object],
        after: tuple[str, int] = ("", 0),
        limit: int = EVERYTHING,
    ) -> Sequence[Values]:
        """Return rows with the values `having` by name and id, from the first one past `after`.

        Peers may be asked for by their `tag` too.
        """
        statement = self._reaching(_paging(table, tuple(having)), table)
        start = {"past": after[0], "past_id": after[1], "most": limit}
        return self._rows(_Filled(statement, {"org": self.org.id, **start, **having}))

    def _named(self, table: Table, name: str, *, what: str, within: Network | None) -> Values:
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
        counted = self._rows(
            _Filled(_counting(), {"org": self.org.id, "network": network.id, "host": host})
        )
        if counted:
            return int(counted[0]["next_number"]) - 1
        self._execute(
            self._insert(
                tables.address_counters,
                network_id=network.id,
                gateway_number=host,
                next_number=FIRST_PEER + 1,
            )
        )
        return FIRST_PEER

    def _rows(self, statement: Executable | _Filled) -> Sequence[Values]:
        if not isinstance(statement, _Filled):
            return self._connection.execute(statement).mappings().all()
        if isinstance(statement.statement, Prepared):
            return statement.statement.rows(self._connection, statement.values)
        return self._connection.execute(statement.statement, statement.values).mappings().all()

    def _execute(self, statement: Insert | _Filled) -> None:
        if not isinstance(statement, _Filled):
            self._connection.execute(statement)
        elif isinstance(statement.statement, Prepared):
            statement.statement.run(self._connection, statement.values)
        else:
            self._connection.execute(statement.statement, statement.values)

    def _every(self, table: Table, network: Network) -> Sequence[Values]:
        """Return every row of `table` in `network`, by id."""
        statement = self._reaching(_listing(table), table)
        return self._rows(_Filled(statement, {"org": self.org.id, "network_id": network.id}))

    def _count_in(self, table: Table, network: Network) -> int:
        statement = self._reaching(_counting_rows(table), table)
        values = {"org": self.org.id, "network_id": network.id}
        return int(self._rows(_Filled(statement, values))[0]["rows"])

    def _count(self, table: Table, *where: ColumnElement[bool]) -> int:
        found: int = self._connection.execute(
            select(func.count()).select_from(table).where(*self._owned(table), *where)
        ).scalar_one()
        return found


@cache
def _having(table: Table, columns: tuple[str, ...]) -> Prepared[_Found]:
    named = (table.c[column] == bindparam(column) for column in columns)
    return Prepared(select(table).where(table.c.org_id == bindparam("org"), *named))


@cache
def _paging(table: Table, columns: tuple[str, ...]) -> Prepared[_Found]:
    tags = tables.peer_tags
    by, place = (tags, (tags.c.name, tags.c.peer_id)) if "tag" in columns else (table, _at(table))
    owner = next((column for column in _OWNERS if column in columns), None)
    found = _having(by, columns).statement if owner is None else _within(by, owner, columns)
    if by is tags:
        found = found.join(table, table.c.id == tags.c.peer_id).with_only_columns(*table.c)
    if table is tables.peers:
        has_seal = exists().where(tables.seals.c.peer_id == table.c.id)
        found = found.add_columns(has_seal.label(SEALED))
    past = tuple_(*place) > tuple_(bindparam("past"), bindparam("past_id"))
    return Prepared(found.where(past).order_by(*place).limit(bindparam("most")))


def _at(table: Table) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    """Return by what rows of `table` are sorted."""
    return table.c.name, table.c.id


def _within(table: Table, owner: str, columns: tuple[str, ...]) -> _Found:
    """Return what finds rows by `columns`, of which one is `owner`: see `of_org`."""
    named = (table.c[column] == bindparam(column) for column in columns if column != owner)
    return select(table).where(table.c[owner] == of_org(_OWNERS[owner]), *named)


@cache
def _listing(table: Table) -> Prepared[_Found]:
    return Prepared(_within(table, "network_id", ("network_id",)).order_by(table.c.id))


@cache
def _counting_rows(table: Table) -> Prepared[_Found]:
    within = table.c.network_id == of_org(tables.networks)
    return Prepared(select(func.count().label("rows")).select_from(table).where(within))


def past(name: str) -> tuple[str, int]:
    """Return where a page begins that is of what comes after `name`, which is there once."""
    return name, _LAST_ID


def lists(column: ColumnElement[Any], label: str) -> ColumnElement[bool]:
    """Return whether the JSON list of labels in `column` has `label`."""
    # A label in its quotes is in the text of the list only then.
    return column.cast(Text).contains(f'"{label}"', autoescape=True)


def of_org(table: Table) -> ScalarSelect[int]:
    """Return the id in `table` that is given as `network_id` or the like, where it is the org's.

    For rows that are found by it alone: by the org too, SQLite would go through all of the org's.
    """
    its = (table.c.org_id == bindparam("org"), table.c.id == bindparam(_ID_OF[table]))
    return select(table.c.id).where(*its).scalar_subquery()


# The narrower one first: an app is of one network.
_OWNERS = {"app_id": tables.apps, "network_id": tables.networks}
_ID_OF = {table: column for column, table in _OWNERS.items()}
_LAST_ID = 2**63 - 1


@cache
def _updating(table: Table, columns: tuple[str, ...]) -> Prepared[Update]:
    """Return what changes `columns` of one row."""
    its = (table.c.org_id == bindparam("org"), table.c.id == bindparam("row"))
    return Prepared(update(table).where(*its).returning(table), columns=columns)


@cache
def _deleting(table: Table) -> Prepared[Delete]:
    its = (table.c.org_id == bindparam("org"), table.c.id == bindparam("row"))
    return Prepared(delete(table).where(*its))


@cache
def _inserting(table: Table, columns: tuple[str, ...]) -> Prepared[Insert]:
    """Return what `Scoped._insert` fills, `org_id` with the rest."""
    return Prepared(insert(table).returning(table), columns=columns)


@cache
def _counting() -> Prepared[Update]:
    counters = tables.address_counters
    return Prepared(
        update(counters)
        .where(
            counters.c.org_id == bindparam("org"),
            counters.c.network_id == bindparam("network"),
            counters.c.gateway_number == bindparam("host"),
        )
        .values(next_number=counters.c.next_number + 1)
        .returning(counters.c.next_number)
    )
