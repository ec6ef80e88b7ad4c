"""A role's own copy of what it needs: one small SQLite file, filled from the feed.

Holds rows as the feed wrote them and finds them by id, network, key or address; it decides nothing.
The file outlives the controller: a role that starts alone serves what it last knew.
"""

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peers.keys import PublicKey
from wgctl.core.errors import Unavailable
from wgctl.core.feed import Delete, Kind, Put, Row, decode_row, encode_row
from wgctl.core.model import App, Check, Gateway, LostSeal, Machine, Network, Org, Peer, Seal
from wgctl.core.setback import Undone
from wgctl.store import ahead

if TYPE_CHECKING:
    import sqlite3
else:
    from pysqlite3 import dbapi2 as sqlite3

__all__ = ["Copy", "Replacement"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS position (
    one INTEGER PRIMARY KEY CHECK (one = 1), epoch TEXT NOT NULL, revision INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS setback (
    one INTEGER PRIMARY KEY CHECK (one = 1), at INTEGER NOT NULL, told TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS held (kind TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rows (
    kind TEXT NOT NULL, id INTEGER NOT NULL, network_id INTEGER, lookup TEXT, address TEXT,
    body TEXT NOT NULL,
    PRIMARY KEY (kind, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS staged (
    kind TEXT NOT NULL, id INTEGER NOT NULL, network_id INTEGER, lookup TEXT, address TEXT,
    body TEXT NOT NULL,
    PRIMARY KEY (kind, id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS rows_of_network ON rows (network_id, kind) WHERE network_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS rows_by_address ON rows (address) WHERE address IS NOT NULL;
CREATE INDEX IF NOT EXISTS rows_by_lookup ON rows (kind, lookup) WHERE lookup IS NOT NULL;
"""


_VERSION = 1
"""In the file's `user_version`; a copy of another version is worth nothing, and fetched anew."""

_BATCH = 1_000


class Copy:
    """The rows of one role. Safe to use from several threads; one writer at a time.

    `position` is the pair (epoch, revision) that the file stands at: ("", 0) when it is empty, and
    from a row that cannot be read until everything is replaced. `reached` is where the rows stand
    that are read here: further on, while the file cannot be written.
    """

    def __init__(
        self, path: Path, *, on_damage: Callable[[str], None] = lambda _found: None
    ) -> None:
        """Open the copy at `path` and make it if it is not there; its folder must exist.

        A file that is damaged, or of another version, is set aside, and a row that cannot be read
        is left out: the feed brings everything again. `on_damage` hears of either. Raises
        Unavailable when the file cannot be opened or written.
        """
        self._lock = threading.RLock()
        self._path = path
        self._on_damage = on_damage
        self._damaged = False
        self._ahead_at: tuple[str, int] | None = None
        try:
            self._connection = _opened(path)
        except _DamagedError as error:
            aside = path.with_name(f"{path.name}.damaged")
            path.replace(aside)
            for suffix in ("-wal", "-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
            on_damage(f"{path}: {error}: set aside as {aside.name}")
            self._connection = _opened(path)

    def close(self) -> None:
        """Close the file; nothing may be asked of the copy after."""
        with self._lock:
            self._connection.close()

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

    def write(self, events: Iterable[Put | Delete], *, epoch: str, revision: int) -> None:
        """Write `events` and the position that they lead to, all or nothing.

        Raises Unavailable when the file cannot be written: what is read here has the events
        nevertheless, and the next write brings them to the file. A copy with a row that cannot be
        read takes no position: it is for a snapshot to mend it.
        """
        taken = list(events)
        with self._lock:
            try:
                with self._transaction():
                    self._write_events(taken, epoch=epoch, revision=revision)
            except Unavailable:
                ahead.lay(self._connection, map(_held, taken))
                self._ahead_at = epoch, revision
                raise
            self._drop_ahead()

    @contextmanager
    def replacing(self, held: frozenset[Kind] = frozenset()) -> Iterator["Replacement"]:
        """Replace every row by those that are added, all of the kinds `held`, once committed.

        Without a commit, at the end of the block, nothing has changed. Others may read
        meanwhile: they see what was there before.
        """
        self.unstage()
        try:
            yield Replacement(self, held)
        finally:
            self.unstage()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield
            self._connection.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            self._roll_back()
            raise Unavailable(f"{self._path}: {error}") from error
        except BaseException:
            self._roll_back()
            raise

    def _roll_back(self) -> None:
        # A full disk ends the transaction by itself.
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def _write_position(self, epoch: str, revision: int) -> None:
        self._connection.execute(
            "INSERT OR REPLACE INTO position VALUES (1, ?, ?)", (epoch, revision)
        )

    def _write_events(self, events: list[Put | Delete], *, epoch: str, revision: int) -> None:
        if self._ahead_at is not None:
            ahead.settle(self._connection)
        for event in events:
            if isinstance(event, Delete):
                self._connection.execute(
                    "DELETE FROM main.rows WHERE kind = ? AND id = ?", (event.kind, event.id)
                )
            else:
                self._connection.execute(
                    "INSERT OR REPLACE INTO main.rows VALUES (?, ?, ?, ?, ?, ?)", _columns(event)
                )
        if not self._damaged:
            self._write_position(epoch, revision)

    def _drop_ahead(self) -> None:
        if self._ahead_at is not None:
            ahead.drop(self._connection)
            self._ahead_at = None

    def stage(self, rows: Sequence[Put]) -> None:
        """Put `rows` aside for a replacement; nothing that is read changes yet."""
        with self._lock, self._transaction():
            self._connection.executemany(
                "INSERT OR REPLACE INTO staged VALUES (?, ?, ?, ?, ?, ?)", map(_columns, rows)
            )

    def unstage(self) -> None:
        """Drop what was put aside."""
        with self._lock, self._transaction():
            self._connection.execute("DELETE FROM staged")

    def undone(self) -> Undone:
        """Return what the networks and peers that were put aside do to those that there are."""
        return Undone(
            gone=self._only_in("rows", "staged"),
            back=self._only_in("staged", "rows"),
            changed=self._networks_and_peers(
                "SELECT s.kind, s.body FROM staged s JOIN rows r USING (kind, id) "
                "WHERE s.kind = 'peer' AND s.lookup != r.lookup ORDER BY s.id"
            ),
        )

    def replace(
        self,
        *,
        epoch: str,
        revision: int,
        held: frozenset[Kind],
        setback: tuple[int, str] | None,
    ) -> None:
        """Make what was put aside all that there is, at its position, all or nothing.

        `held` are the kinds that it has every row of. `setback`, if it is one, is kept with it.
        """
        with self._lock:
            with self._transaction():
                self._take_staged(setback)
                self._connection.execute("DELETE FROM held")
                kinds = [(kind,) for kind in held]
                self._connection.executemany("INSERT INTO held VALUES (?)", kinds)
                self._write_position(epoch, revision)
            self._drop_ahead()
            self._damaged = False

    def _take_staged(self, setback: tuple[int, str] | None) -> None:
        if setback is not None:
            self._connection.execute("INSERT OR REPLACE INTO setback VALUES (1, ?, ?)", setback)
        self._connection.execute("DELETE FROM main.rows")
        self._connection.execute("INSERT INTO main.rows SELECT * FROM staged")

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
        for id_, lookup, body in self._each(Kind.SEAL):
            row = next(self._decoded(Kind.SEAL, body), None)
            if isinstance(row, Seal):
                yield row
            elif lookup is not None and lookup.isdigit():
                yield LostSeal(id_, int(lookup))

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
        # A damaged body would fail the whole query: it is found out where it is decoded.
        found = self._many(
            "SELECT kind, body FROM rows WHERE kind = 'machine' AND CASE "
            "WHEN json_valid(body) THEN json_extract(body, '$.lease_s') ELSE 1 END IS NOT NULL",
            (),
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
            "SELECT kind, body FROM rows WHERE kind = 'network' AND lookup = ?", (str(prefix),)
        )
        return row if isinstance(row, Network) else None

    def peer(self, peer_id: int) -> Peer | None:
        """Return the peer `peer_id`, or None."""
        row = self._one("SELECT kind, body FROM rows WHERE kind = 'peer' AND id = ?", (peer_id,))
        return row if isinstance(row, Peer) else None

    def peer_by_key(self, key: PublicKey) -> Peer | None:
        """Return the peer whose public key is `key`, or None."""
        row = self._one(
            "SELECT kind, body FROM rows WHERE kind = 'peer' AND lookup = ?", (str(key),)
        )
        return row if isinstance(row, Peer) else None

    def peer_at(self, address: IPv6Address) -> Peer | None:
        """Return the peer that has `address`, or None."""
        row = self._one("SELECT kind, body FROM rows WHERE address = ?", (str(address),))
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

    def _only_in(self, one: str, other: str) -> list[Network | Peer]:
        return self._networks_and_peers(
            f"SELECT kind, body FROM {one} WHERE kind IN ('network', 'peer') AND NOT EXISTS "  # noqa: S608 - our own tables
            f"(SELECT 1 FROM {other} WHERE kind = {one}.kind AND id = {one}.id) ORDER BY kind, id"
        )

    def _networks_and_peers(self, sql: str) -> list[Network | Peer]:
        return [row for row in self._many(sql, ()) if isinstance(row, Network | Peer)]

    def _all(self, kind: Kind) -> Iterator[Row]:
        for _id, _lookup, body in self._each(kind):
            yield from self._decoded(kind, body)

    def _each(self, kind: Kind) -> Iterator[tuple[int, str | None, str]]:
        """Yield id, lookup and body of every row of `kind`, by id."""
        after = -1
        while batch := self._found(
            "SELECT id, lookup, body FROM rows WHERE kind = ? AND id > ? ORDER BY id LIMIT 1000",
            (kind, after),
        ):
            yield from batch
            after = batch[-1][0]

    def _one(self, sql: str, values: Sequence[object]) -> Row | None:
        found = self._many(sql, values)
        return found[0] if found else None

    def _many(self, sql: str, values: Sequence[object]) -> list[Row]:
        return [row for kind, body in self._found(sql, values) for row in self._decoded(kind, body)]

    def _found(self, sql: str, values: Sequence[object]) -> list[Any]:
        with self._lock:
            return self._connection.execute(sql, tuple(values)).fetchall()

    def _decoded(self, kind: str, body: str) -> Iterator[Row]:
        """Yield the row, or nothing and forget the position: the next snapshot mends it."""
        try:
            # Encoded again, since a name with octets that were no UTF-8 would pass for a text.
            yield decode_row(Kind(kind), json.loads(body.encode()))
        except ValueError as error:
            self._on_damage(f"{self._path}: {error}: left out")
            with self._lock, suppress(sqlite3.DatabaseError):
                self._damaged = True
                self._connection.execute("DELETE FROM position")


class _DamagedError(Exception):
    """The file is no copy that this version can read."""


def _opened(path: Path) -> "sqlite3.Connection":
    try:
        path.touch(mode=0o600)
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    except (OSError, sqlite3.DatabaseError) as error:
        raise Unavailable(f"{path}: {error}") from error
    try:
        _prepare(connection)
    except sqlite3.OperationalError as error:
        connection.close()
        raise Unavailable(f"{path}: {error}") from error
    except sqlite3.DatabaseError as error:
        connection.close()
        raise _DamagedError(str(error)) from error
    return connection


def _prepare(connection: "sqlite3.Connection") -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA temp_store = MEMORY")
    # One row that is no UTF-8 must not fail all that are read with it.
    connection.text_factory = partial(str, encoding="utf-8", errors="surrogateescape")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if tables and version != _VERSION:
        raise sqlite3.DatabaseError(f"a copy of version {version}, expected {_VERSION}")
    (checked,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if checked != "ok":
        raise sqlite3.DatabaseError(str(checked))
    connection.executescript(_SCHEMA)
    connection.execute(f"PRAGMA user_version = {_VERSION}")


class Replacement:
    """Rows on their way to be all that a copy holds; memory does not grow with them."""

    def __init__(self, copy: Copy, held: frozenset[Kind]) -> None:
        """Collect for `copy` all rows of the kinds `held`; made by `Copy.replacing` only."""
        self._copy = copy
        self._held = held
        self._batch: list[Put] = []

    def add(self, event: Put) -> None:
        """Add a row."""
        self._batch.append(event)
        if len(self._batch) >= _BATCH:
            self._flush()

    def undone(self) -> Undone:
        """Return what the rows so far would change, were they all."""
        self._flush()
        return self._copy.undone()

    def commit(self, *, epoch: str, revision: int, setback: tuple[int, str] | None = None) -> None:
        """Make the rows all that there is, and `revision` of `epoch` the position.

        `setback` is when and how that is an earlier state than the one before, if it is.
        """
        self._flush()
        self._copy.replace(epoch=epoch, revision=revision, held=self._held, setback=setback)

    def _flush(self) -> None:
        self._copy.stage(self._batch)
        self._batch.clear()


def _columns(event: Put) -> tuple[object, ...]:
    row = event.row
    network_id = row.id if isinstance(row, Network) else getattr(row, "network_id", None)
    body = json.dumps(encode_row(event.kind, row), separators=(",", ":"))
    address = str(row.address) if isinstance(row, Peer) else None
    return (event.kind, row.id, network_id, _lookup(row), address, body)


def _held(event: Put | Delete) -> tuple[object, ...]:
    """Return the columns of a row that the file does not have yet; its body is None when gone."""
    if isinstance(event, Put):
        return _columns(event)
    return (event.kind, event.id, None, None, None, None)


def _lookup(row: Row) -> str | None:
    match row:
        case Network(prefix=prefix):
            return str(prefix)
        case Peer(public_key=key):
            return str(key)
        case Seal(peer_id=peer_id):
            return str(peer_id)
        case _:
            return None
