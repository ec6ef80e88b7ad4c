"""A role's own copy of what it needs: one small SQLite file, filled from the feed.

Holds rows as the feed wrote them and decides nothing; how they are found is
`wgctl.store.copy_reader`. The file outlives the controller: a role that starts alone serves what it
last knew.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from wgctl.core.errors import Unavailable
from wgctl.core.feed import Delete, Kind, Put
from wgctl.core.model import Network, Peer
from wgctl.core.setback import NAMED, Some, Undone
from wgctl.store.copy_reader import CopyReader, connected
from wgctl.store.copy_row import COLUMNS, VERSION, columns

if TYPE_CHECKING:
    import sqlite3
else:
    from pysqlite3 import dbapi2 as sqlite3

__all__ = ["Copy", "Replacement"]

_STAGED = f"CREATE TABLE IF NOT EXISTS staged ({COLUMNS}, PRIMARY KEY (kind, id)) WITHOUT ROWID"
_INDEXES = """
CREATE INDEX IF NOT EXISTS rows_of_network ON rows (network_id, kind) WHERE network_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS rows_by_address ON rows (address) WHERE address IS NOT NULL;
CREATE INDEX IF NOT EXISTS rows_by_lookup ON rows (kind, lookup) WHERE lookup IS NOT NULL;
"""

_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS position (
    one INTEGER PRIMARY KEY CHECK (one = 1), epoch TEXT NOT NULL, revision INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS setback (
    one INTEGER PRIMARY KEY CHECK (one = 1), at INTEGER NOT NULL, told TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS held (kind TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rows ({COLUMNS}, PRIMARY KEY (kind, id)) WITHOUT ROWID;
{_INDEXES}
{_STAGED};
"""

_ONLY_IN = (
    "FROM {one} AS one WHERE kind IN ('network', 'peer') AND NOT EXISTS "
    "(SELECT 1 FROM {other} AS other WHERE other.kind = one.kind AND other.id = one.id)"
)

_BATCH = 1_000

_CHECKED_PAGES = 16_384
"""64 MiB, which are read in 0.2 s; a million rows are 500 MiB, and no start may wait for them."""


class Copy(CopyReader):
    """The rows of one role, and writing them: one writer at a time, in no reader's way."""

    def __init__(
        self, path: Path, *, on_damage: Callable[[str], None] = lambda _found: None
    ) -> None:
        """Open the copy at `path` and make it if it is not there; its folder must exist.

        A file that is damaged, or of another version, is set aside, and what cannot be read of one
        that was too large to be checked is left out: the feed brings everything again. `on_damage`
        hears of either. Raises Unavailable when the file cannot be opened or written.
        """
        self._writing = threading.RLock()
        self._owed: dict[tuple[Kind, int], Put | Delete] = {}
        self._torn = False
        self._stands: tuple[str, int] | None = None
        self._arriving: tuple[int, int] | None = None
        try:
            self._writer = _opened(path)
        except _DamagedError as error:
            aside = _set_aside(path)
            on_damage(f"{path}: {error}: set aside as {aside.name}")
            self._writer = _opened(path)
        super().__init__(path, on_damage=on_damage)

    def close(self) -> None:
        """Close the file; nothing may be asked of the copy after."""
        # A writer that closes last takes the log and its index away, and a start on a full disk has
        # no room for others. A reader leaves them.
        with self._writing:
            with suppress(sqlite3.DatabaseError):
                self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._writer.close()
        super().close()

    def write(self, events: Iterable[Put | Delete], *, epoch: str, revision: int) -> None:
        """Write `events` and the position that they lead to, all or nothing.

        Raises Unavailable when the file cannot be written: what is read here has the events
        nevertheless, and the next write brings them to the file. A copy with a row that cannot be
        read takes no position: it is for a snapshot to mend it.
        """
        taken = list(events)
        with self._writing:
            try:
                with self._transaction():
                    self._write_events([*self._owed.values(), *taken])
                    moves = not self._damaged
                    if moves:
                        self._write_position(epoch, revision)
            except Unavailable:
                self._owed.update({_place(event): event for event in taken})
                self.hold(taken, epoch=epoch, revision=revision)
                raise
            if moves:
                self._stand(epoch, revision)
            self._owed.clear()
            self.let_go()

    @property
    def position(self) -> tuple[str, int]:
        """The epoch and revision that the file stands at, as read once: nobody else writes it."""
        with self._lock:
            if self._damaged:
                return "", 0
            if self._stands is None:
                self._stands = super().position
            return self._stands

    def _stand(self, epoch: str, revision: int) -> None:
        with self._lock:
            self._stands = epoch, revision

    @property
    def arriving(self) -> tuple[int, int] | None:
        """How many rows of a replacement are there, and of how many; None: none is on its way."""
        return self._arriving

    @contextmanager
    def replacing(
        self, held: frozenset[Kind] = frozenset(), *, rows: int = 0
    ) -> Iterator["Replacement"]:
        """Replace every row by those that are added, all of the kinds `held`, once committed.

        `rows` is how many there will be. Without a commit, at the end of the block, nothing has
        changed. Others may read meanwhile: they see what was there before.
        """
        if self._torn:
            self._begin_anew()
        self.unstage()
        self._arriving = 0, rows
        try:
            yield Replacement(self, held)
        except GeneratorExit:
            # Whoever was in the block is gone, and the file may be closed: the next one unstages.
            raise
        except BaseException:
            self._leave()
            raise
        self._leave()

    def _leave(self) -> None:
        self._arriving = None
        self.unstage()

    def _begin_anew(self) -> None:
        """Set the damaged file aside; what could be read of it is there until all is replaced."""
        with self._writing, self._lock:
            self._writer.close()
            self._connection.close()
            _set_aside(self._path)
            self._writer = _opened(self._path)
            self._connection = connected(self._path, mode="ro")
            self._torn = False

    @contextmanager
    def _transaction(self, *, durable: bool = True) -> Iterator[None]:
        """Commit what is written in the block; not `durable`: a power cut may take it back."""
        try:
            self._writer.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self._writer.execute("BEGIN IMMEDIATE")
            yield
            self._writer.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            self._roll_back()
            raise Unavailable(f"{self._path}: {error}") from error
        except BaseException:
            self._roll_back()
            raise

    def _roll_back(self) -> None:
        # A full disk ends the transaction by itself.
        if self._writer.in_transaction:
            self._writer.execute("ROLLBACK")

    def _write_position(self, epoch: str, revision: int) -> None:
        self._writer.execute("INSERT OR REPLACE INTO position VALUES (1, ?, ?)", (epoch, revision))

    def _write_events(self, events: Iterable[Put | Delete]) -> None:
        for event in events:
            if isinstance(event, Delete):
                self._writer.execute(
                    "DELETE FROM rows WHERE kind = ? AND id = ?", (event.kind.value, event.id)
                )
            else:
                self._writer.execute(
                    "INSERT OR REPLACE INTO rows VALUES (?, ?, ?, ?, ?, ?)", columns(event)
                )

    def _lose_position(self) -> None:
        with self._writing, suppress(sqlite3.DatabaseError):
            super()._lose_position()
            self._writer.execute("DELETE FROM position")

    def _lose_file(self) -> None:
        super()._lose_file()
        self._torn = True

    def stage(self, rows: Sequence[Put]) -> None:
        """Put `rows` aside for a replacement; nothing that is read changes yet."""
        with self._writing, self._transaction(durable=False):
            self._writer.executemany(
                "INSERT OR REPLACE INTO staged VALUES (?, ?, ?, ?, ?, ?)", map(columns, rows)
            )
        if self._arriving is not None:
            self._arriving = self._arriving[0] + len(rows), self._arriving[1]

    def unstage(self) -> None:
        """Drop what was put aside."""
        with self._writing, self._transaction(durable=False):
            self._writer.execute("DROP TABLE IF EXISTS staged")
            self._writer.execute(_STAGED)

    def undone(self) -> Undone:
        """Return what the networks and peers that were put aside do to those that there are."""
        return Undone(
            gone=self._some(_ONLY_IN.format(one="rows", other="staged")),
            back=self._some(_ONLY_IN.format(one="staged", other="rows")),
            changed=self._some(
                "FROM staged AS one JOIN rows AS other USING (kind, id) "
                "WHERE kind = 'peer' AND one.lookup != other.lookup"
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
        with self._writing:
            with self._transaction():
                self._take_staged(setback)
                self._writer.execute("DELETE FROM held")
                kinds = [(kind.value,) for kind in held]
                self._writer.executemany("INSERT INTO held VALUES (?)", kinds)
                self._write_position(epoch, revision)
            self._stand(epoch, revision)
            self._owed.clear()
            self.let_go()
            self._damaged = False

    def _take_staged(self, setback: tuple[int, str] | None) -> None:
        if setback is not None:
            self._writer.execute("INSERT OR REPLACE INTO setback VALUES (1, ?, ?)", setback)
        self._writer.execute("DROP TABLE rows")
        self._writer.execute("ALTER TABLE staged RENAME TO rows")
        # Made last and at once, an index is sorted; row by row, each key would look for its place.
        for statement in (*_INDEXES.split(";"), _STAGED):
            self._writer.execute(statement)

    def _some(self, among: str) -> Some:
        """Count the networks and peers that the statement's end `among` leaves; read the first."""
        ((count,),) = self._found(f"SELECT count(*) {among}", ())
        first = self._many(
            f"SELECT one.kind, one.body {among} ORDER BY one.kind, one.id LIMIT ?", (NAMED,)
        )
        return Some(count, [row for row in first if isinstance(row, Network | Peer)])


class _DamagedError(Exception):
    """The file is no copy that this version can read."""


def _opened(path: Path) -> "sqlite3.Connection":
    try:
        path.touch(mode=0o600)
        connection = connected(path, mode="rw")
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


def _set_aside(path: Path) -> Path:
    aside = path.with_name(f"{path.name}.damaged")
    path.replace(aside)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    return aside


def _prepare(connection: "sqlite3.Connection") -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if tables and version != VERSION:
        raise sqlite3.DatabaseError(f"a copy of version {version}, expected {VERSION}")
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    if pages <= _CHECKED_PAGES:
        (checked,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if checked != "ok":
            raise sqlite3.DatabaseError(str(checked))
    connection.executescript(_SCHEMA)
    if version != VERSION:
        connection.execute(f"PRAGMA user_version = {VERSION}")


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


def _place(event: Put | Delete) -> tuple[Kind, int]:
    return event.kind, event.row.id if isinstance(event, Put) else event.id
