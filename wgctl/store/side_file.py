"""A small SQLite file beside a role's copy, which is worth less than a start without it.

Opens it and changes it; what is in it is the business of those that extend it.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wgctl.core.errors import Unavailable

if TYPE_CHECKING:
    import sqlite3
else:
    from pysqlite3 import dbapi2 as sqlite3

__all__ = ["SideFile"]


class SideFile:
    """One file; used by one thread at a time. One that cannot be read is made anew.

    Where it cannot be opened, as on a full disk, each use tries to: a start does without it.
    """

    def __init__(self, path: Path, *, schema: str) -> None:
        """Open the file at `path` and make it if it is not there.

        `schema` is one statement that makes a table unless it is there.
        """
        self._path = path
        self._schema = schema
        self._connection: sqlite3.Connection | None = None
        for _ in range(2):  # The first time may find that it is to be made anew.
            with suppress(Unavailable), self._using():
                break

    def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            self._connection.close()

    def ask(self, statement: str, values: Sequence[object] = ()) -> list[Any]:
        """Return the rows that `statement` finds; raises Unavailable."""
        with self._using() as connection:
            return connection.execute(statement, values).fetchall()

    def change(self, statement: str, rows: Sequence[Sequence[object]]) -> None:
        """Run `statement` for each of `rows`, all or nothing; raises Unavailable."""
        with self._using() as connection, connection:
            connection.executemany(statement, rows)

    @contextmanager
    def _using(self) -> Iterator["sqlite3.Connection"]:
        try:
            if self._connection is None:
                self._connection = _opened(self._path, self._schema)
            yield self._connection
        except (OSError, sqlite3.DatabaseError) as error:
            # What is neither refused nor misused is damaged, or no database at all.
            if type(error) is sqlite3.DatabaseError:
                self._discard()
            raise Unavailable(f"{self._path}: {error}") from error

    def _discard(self) -> None:
        self.close()
        self._connection = None
        for suffix in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)


def _opened(path: Path, schema: str) -> "sqlite3.Connection":
    path.touch(mode=0o600)
    connection = sqlite3.connect(path, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        # Not synced at each change, which takes milliseconds: what a power cut loses is seen anew.
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(schema)
    except BaseException:
        connection.close()
        raise
    return connection
