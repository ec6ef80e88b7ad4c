"""The marks of a store, read and raised: how a store that was restored goes on from further up.

How far they are raised is `wgctl.core.marks`; this is for a store that nobody else has open.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from peers.addresses import FIRST_PEER, SERVICE_HOST
from wgctl.core.access import CONTROLLER
from wgctl.core.audit import NO_HEAD, Head, describe, link
from wgctl.core.errors import Unavailable
from wgctl.core.marks import Marks
from wgctl.store.trail import OF_DEPLOYMENT

if TYPE_CHECKING:
    import sqlite3
else:
    from pysqlite3 import dbapi2 as sqlite3

__all__ = ["Lineage", "begin_anew", "read_lineage"]


@dataclass(frozen=True, slots=True)
class Lineage:
    """Which store it is, which stores it came from, and what it has given out.

    `ancestors` has the revision up to which it has the changes of each; `spent` are the ids of
    every network that it has ever had.
    """

    epoch: str
    ancestors: dict[str, int]
    marks: Marks
    spent: frozenset[int]

    def related(self, other: "Lineage") -> bool:
        """Whether both are states of one deployment."""
        return not {self.epoch, *self.ancestors}.isdisjoint({other.epoch, *other.ancestors})


def read_lineage(path: Path) -> Lineage:
    """Return the lineage of the store at `path`, whose tables are up to date."""
    with _opened(path) as connection:
        return _read(connection)


def begin_anew(path: Path, *, epoch: str, marks: Marks, past: Lineage | None, now: int) -> None:
    """Make the store at `path` a new one, `epoch`, that goes on from `marks`; all or nothing.

    The old epoch becomes an ancestor, and so does every store that `past`, what it takes the place
    of, came from. Ids of networks that `past` has spent are spent here too. The kept changes go:
    whoever followed an older epoch takes a snapshot. Every token goes too. Raises Unavailable when
    it cannot be written. What was written may still be in the store's log: `snapshot.settle` is for
    that.
    """
    with _opened(path) as connection:
        found = _read(connection)
        connection.execute("BEGIN IMMEDIATE")
        _note_ancestors(connection, found, past, now=now)
        _raise(connection, marks, jump=marks.revision - found.marks.revision)
        if past is not None:
            connection.executemany(
                "INSERT OR IGNORE INTO spent_network_ids (number) VALUES (?)",
                [(number,) for number in sorted(past.spent)],
            )
        connection.execute("DELETE FROM changes")
        # A back-up cannot know which were revoked or used up since.
        connection.execute("DELETE FROM tokens")
        _note_restore(connection, found, now=now)
        connection.execute(
            "UPDATE deployment "
            "SET epoch = ?, revision = ?, kept_since = ?, kept_bytes = 0, next_gateway_number = ?",
            (epoch, marks.revision, marks.revision, marks.gateways),
        )
        connection.execute("COMMIT")


@contextmanager
def _opened(path: Path) -> Iterator["sqlite3.Connection"]:
    try:
        connection = sqlite3.connect(path, isolation_level=None)
        try:
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            yield connection
        finally:
            connection.close()
    except sqlite3.OperationalError as error:
        raise Unavailable(f"the marks of the store at {path} cannot be used: {error}") from error


def _read(connection: "sqlite3.Connection") -> Lineage:
    epoch, revision, gateways = connection.execute(
        "SELECT epoch, revision, next_gateway_number FROM deployment"
    ).fetchone()
    (networks,) = connection.execute("SELECT next_index FROM network_ids").fetchone()
    counted = connection.execute(
        """
        SELECT n.number, g.number, coalesce(c.next_number, ?)
        FROM networks n CROSS JOIN (SELECT number FROM gateways UNION ALL SELECT ?) g
        LEFT JOIN address_counters c ON c.network_id = n.id AND c.gateway_number = g.number
        """,
        (FIRST_PEER, SERVICE_HOST),
    )
    addresses = {(network, gateway): number for network, gateway, number in counted}
    return Lineage(
        epoch=epoch,
        ancestors=dict(connection.execute("SELECT epoch, cut FROM ancestors").fetchall()),
        marks=Marks(revision, gateways, networks, addresses),
        spent=frozenset(n for (n,) in connection.execute("SELECT number FROM spent_network_ids")),
    )


def _note_ancestors(
    connection: "sqlite3.Connection", found: Lineage, past: Lineage | None, *, now: int
) -> None:
    """Note what this store has of each: of one that only `past` knows, as much as of its own."""
    cut = found.marks.revision
    known = {**found.ancestors, found.epoch: cut}
    if past is not None:
        known = {**dict.fromkeys((past.epoch, *past.ancestors), cut), **known}
    connection.executemany(
        "INSERT OR IGNORE INTO ancestors (epoch, cut, restored_at) VALUES (?, ?, ?)",
        [(epoch, cut, now) for epoch, cut in known.items()],
    )


def _note_restore(connection: "sqlite3.Connection", found: Lineage, *, now: int) -> None:
    """Add to the deployment's audit trail, which goes on from the back-up's, that this was done."""
    last = connection.execute(
        "SELECT place, hash FROM audit WHERE chain = ? ORDER BY place DESC LIMIT 1",
        (OF_DEPLOYMENT,),
    ).fetchone()
    said = f"restore of store {found.epoch} as it was at revision {found.marks.revision}"
    record = link(
        NO_HEAD if last is None else Head(*last),
        at=now,
        body=describe(CONTROLLER, allowed=True, request=said),
    )
    connection.execute(
        "INSERT INTO audit (chain, place, at, body, previous, hash) VALUES (?, ?, ?, ?, ?, ?)",
        (OF_DEPLOYMENT, record.place, record.at, record.body, record.previous, record.hash),
    )


def _raise(connection: "sqlite3.Connection", marks: Marks, *, jump: int) -> None:
    connection.execute("UPDATE network_ids SET next_index = ?", (marks.networks,))
    connection.executemany(
        """
        INSERT OR REPLACE INTO address_counters (org_id, network_id, gateway_number, next_number)
        SELECT org_id, id, ?, ? FROM networks WHERE number = ?
        """,
        [(gateway, number, network) for (network, gateway), number in marks.addresses.items()],
    )
    # Row ids too: what a role says of a peer that is gone must not be taken for another's.
    counted = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND sql LIKE '%AUTOINCREMENT%'"
    )
    for (table,) in counted.fetchall():
        connection.execute(
            "INSERT INTO sqlite_sequence (name, seq) SELECT ?, 0 "
            "WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = ?)",
            (table, table),
        )
        connection.execute("UPDATE sqlite_sequence SET seq = seq + ? WHERE name = ?", (jump, table))
