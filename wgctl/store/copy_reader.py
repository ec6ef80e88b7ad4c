"""What a role's copy can be asked: rows by id, network, key or address, as they are at the moment.

Reads the file alone, also in a process beside the one that fills it: see `wgctl.store.copy`. What
that file could not take can be held here in memory, and is read as if it had it.

A file has no statistics, so a query says that few rows have what it looks for (`unlikely`): SQLite
would go through all rows of a kind, a million peers, for one.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peers.keys import PublicKey
from wgctl.core.errors import Unavailable
from wgctl.core.feed import Delete, Kind, Put, Row
from wgctl.core.model import App, Check, Gateway, LostSeal, Machine, Network, Org, Peer, Seal
from wgctl.store import ahead
from wgctl.store.copy_row import VERSION, decoded, held

if TYPE_CHECKING:
    import sqlite3
else:
    from pysqlite3 import dbapi2 as sqlite3

__all__ = ["CopyReader", "connected"]


class CopyReader:
    """The rows of one role. Safe to use from several threads.

    `position` is the pair (epoch, revision) that the file stands at: ("", 0) when it is empty, and
    from a row that cannot be read until everything is replaced. `reached` is where the rows stand
    that are read here: further on, while some are held that the file has not.
    """

    def __init__(
        self, path: Path, *, on_damage: Callable[[str], None] = lambda _found: None
    ) -> None:
        """Open the copy at `path`, and never write to it.

        What cannot be read is left out, a row or the rest of the file, and `on_damage` hears of it.
        Raises Unavailable when there is no copy that this version can read.
        """
        self._lock = threading.RLock()
        self._path = path
        self._on_damage = on_damage
        self._damaged = False
        self._ahead_at: tuple[str, int] | None = None
        self._connection = _opened(path)

    def close(self) -> None:
        """Close the file; nothing may be asked of the copy after."""
        with self._lock:
            self._connection.close()

    def reopen(self) -> None:
        """Read the file that is there by now: a damaged one makes room for another.

        Raises Unavailable as the first opening does.
        """
        with self._lock:
            opened = _opened(self._path)
            self._connection.close()
            self._connection, self._damaged, self._ahead_at = opened, False, None

    @property
    def position(self) -> tuple[str, int]:
        """The epoch and revision that the file stands at."""
        with self._lock:
            if self._damaged:
                return "", 0
            found = self._connection.execute("SELECT epoch, revision FROM position").fetchone()
        return (found[0], found[1]) if found else ("", 0)

    @property
    def reached(self) -> tuple[str, int]:
        """The epoch and revision that the rows stand at which are read here."""
        with self._lock:
            return (not self._damaged and self._ahead_at) or self.position

    @property
    def held(self) -> frozenset[str]:
        """The kinds of rows that the last snapshot was of."""
        with self._lock:
            return frozenset(kind for (kind,) in self._connection.execute("SELECT kind FROM held"))

    @property
    def setback(self) -> tuple[int, str] | None:
        """When, in seconds since 1970, the rows last went back to an earlier state, and how."""
        with self._lock:
            found = self._connection.execute("SELECT at, told FROM setback").fetchone()
        return (found[0], found[1]) if found else None

    def hold(self, events: Iterable[Put | Delete], *, epoch: str, revision: int) -> None:
        """Hold what the file could not take, and read it as if the file had it."""
        with self._lock:
            ahead.lay(self._connection, map(held, events))
            self._ahead_at = epoch, revision

    def let_go(self) -> None:
        """Hold nothing: the file has it."""
        with self._lock:
            if self._ahead_at is not None:
                ahead.drop(self._connection)
                self._ahead_at = None

    def orgs(self) -> Iterator[Org]:
        """Return every org, by id."""
        return (row for row in self._all(Kind.ORG) if isinstance(row, Org))

    def networks(self) -> Iterator[Network]:
        """Return every network, by id."""
        return (row for row in self._all(Kind.NETWORK) if isinstance(row, Network))

    def gateways(self) -> Iterator[Gateway]:
        """Return every gateway, by id."""
        return (row for row in self._all(Kind.GATEWAY) if isinstance(row, Gateway))

    def peers(self) -> Iterator[Peer]:
        """Return every peer, by id, expired ones too."""
        return (row for row in self._all(Kind.PEER) if isinstance(row, Peer))

    def seals(self) -> Iterator[Seal | LostSeal]:
        """Return the sealed preshared keys, by id; also those of which only their peer is known."""
        return self._seals(self._each(Kind.SEAL))

    def seals_of(self, peer_id: int) -> Iterator[Seal | LostSeal]:
        """Return the sealed preshared key of a peer, nothing if it has none."""
        found = self._found(
            "SELECT id, lookup, body FROM rows WHERE kind = 'seal' AND unlikely(lookup = ?)",
            (peer_id,),
        )
        return self._seals(found)

    def _seals(
        self, rows: Iterable[tuple[int, bytes | int | None, bytes]]
    ) -> Iterator[Seal | LostSeal]:
        for id_, peer_id, body in rows:
            row = next(self._decoded(Kind.SEAL, body), None)
            if isinstance(row, Seal):
                yield row
            elif isinstance(peer_id, int):
                yield LostSeal(id_, peer_id)

    def checks(self) -> Iterator[Check]:
        """Return the checks of all machines, by id."""
        return (row for row in self._all(Kind.CHECK) if isinstance(row, Check))

    def machine(self, machine_id: int) -> Machine | None:
        """Return the machine `machine_id`, or None."""
        row = self._one(
            "SELECT kind, body FROM rows WHERE kind = 'machine' AND id = ?", (machine_id,)
        )
        return row if isinstance(row, Machine) else None

    def leased_machines(self) -> list[Machine]:
        """Return the machines that have a lease."""
        found = self._many(
            "SELECT kind, body FROM rows WHERE kind = 'machine' AND unlikely(lookup NOTNULL)", ()
        )
        return [row for row in found if isinstance(row, Machine)]

    def apps(self) -> Iterator[App]:
        """Return every app, by id."""
        return (row for row in self._all(Kind.APP) if isinstance(row, App))

    def machines(self) -> Iterator[Machine]:
        """Return every machine, by id."""
        return (row for row in self._all(Kind.MACHINE) if isinstance(row, Machine))

    def org(self, org_id: int) -> Org | None:
        """Return the org `org_id`, or None."""
        row = self._one("SELECT kind, body FROM rows WHERE kind = 'org' AND id = ?", (org_id,))
        return row if isinstance(row, Org) else None

    def network_of(self, prefix: IPv6Network) -> Network | None:
        """Return the network whose `/48` is `prefix`, or None."""
        row = self._one(
            "SELECT kind, body FROM rows WHERE kind = 'network' AND unlikely(lookup = ?)",
            (prefix.network_address.packed,),
        )
        return row if isinstance(row, Network) else None

    def peer(self, peer_id: int) -> Peer | None:
        """Return the peer `peer_id`, or None."""
        row = self._one("SELECT kind, body FROM rows WHERE kind = 'peer' AND id = ?", (peer_id,))
        return row if isinstance(row, Peer) else None

    def peer_by_key(self, key: PublicKey) -> Peer | None:
        """Return the peer whose public key is `key`, or None."""
        row = self._one(
            "SELECT kind, body FROM rows WHERE kind = 'peer' AND unlikely(lookup = ?)", (key.raw,)
        )
        return row if isinstance(row, Peer) else None

    def peer_at(self, address: IPv6Address) -> Peer | None:
        """Return the peer that has `address`, or None."""
        row = self._one("SELECT kind, body FROM rows WHERE address = ?", (address.packed,))
        return row if isinstance(row, Peer) else None

    def network(self, network_id: int) -> Network | None:
        """Return the network `network_id`, or None."""
        row = self._one(
            "SELECT kind, body FROM rows WHERE kind = 'network' AND id = ?", (network_id,)
        )
        return row if isinstance(row, Network) else None

    def network_rows(self, network_id: int) -> tuple[list[Peer], list[App], list[Machine]]:
        """The peers, apps and machines of one network, each by id, at one moment."""
        found = self._many(
            "SELECT kind, body FROM rows WHERE network_id = ? "
            "AND kind IN ('peer', 'app', 'machine') ORDER BY id",
            (network_id,),
        )
        return (
            [row for row in found if isinstance(row, Peer)],
            [row for row in found if isinstance(row, App)],
            [row for row in found if isinstance(row, Machine)],
        )

    def _all(self, kind: Kind) -> Iterator[Row]:
        for _id, _lookup, body in self._each(kind):
            yield from self._decoded(kind, body)

    def _each(self, kind: Kind) -> Iterator[tuple[int, bytes | int | None, bytes]]:
        """Yield id, lookup and body of every row of `kind`, by id."""
        after = -1
        while batch := self._found(
            "SELECT id, lookup, body FROM rows WHERE kind = ? AND id > ? ORDER BY id LIMIT 1000",
            (kind.value, after),
        ):
            yield from batch
            after = batch[-1][0]

    def _one(self, sql: str, values: Sequence[object]) -> Row | None:
        found = self._many(sql, values)
        return found[0] if found else None

    def _many(self, sql: str, values: Sequence[object]) -> list[Row]:
        return [row for kind, body in self._found(sql, values) for row in self._decoded(kind, body)]

    def _found(self, sql: str, values: Sequence[object]) -> list[Any]:
        try:
            with self._lock:
                return self._connection.execute(sql, tuple(values)).fetchall()
        except sqlite3.DatabaseError as error:
            # Itself, it is for a file that is damaged; its kinds, for a lock or a statement.
            if type(error) is not sqlite3.DatabaseError:
                raise
            self._on_damage(f"{self._path}: {error}: what it holds there is left out")
            self._lose_file()
            return []

    def _decoded(self, kind: str, body: bytes) -> Iterator[Row]:
        """Yield the row, or nothing and forget the position: the next snapshot mends it."""
        try:
            yield decoded(kind, body)
        except (TypeError, ValueError) as error:
            self._on_damage(f"{self._path}: {error}: left out")
            self._lose_position()

    def _lose_position(self) -> None:
        self._damaged = True

    def _lose_file(self) -> None:
        self._damaged = True


def connected(path: Path, *, mode: str) -> "sqlite3.Connection":
    """Return a connection to the copy at `path`; `mode` is that of SQLite's URIs."""
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA temp_store = MEMORY")
    # A kind that is no UTF-8 must not fail all rows that are read with it.
    connection.text_factory = partial(str, encoding="utf-8", errors="surrogateescape")
    return connection


def _opened(path: Path) -> "sqlite3.Connection":
    try:
        connection = connected(path, mode="ro")
        try:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
        except sqlite3.DatabaseError:
            connection.close()
            raise
    except sqlite3.DatabaseError as error:
        raise Unavailable(f"{path}: {error}") from error
    if version != VERSION:
        connection.close()
        raise Unavailable(f"{path}: a copy of version {version}, expected {VERSION}")
    return connection
