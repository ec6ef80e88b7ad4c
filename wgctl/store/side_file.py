"""A small SQLite file beside a role's copy, which is worth less than a start without it.

Opens it and changes it; what is in it is the business of those that extend it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wgctl.core.errors import Unavailable

if TYPE_CHECKING:
    import sqlite3
else:
    from pysqlite3 import dbapi2 as sqlite3

__all__ = ["SideFile"]


class SideFile:
    """One file; used by one thread at a time. One that cannot be read is made anew."""

    def __init__(self, path: Path, *, schema: str) -> None:
        """Open the file at `path` and make it if it is not there; its folder must exist.

        `schema` is one statement that makes a table unless it is there. Raises Unavailable when
        the file cannot be opened or written.
        """
        self._path = path
        try:
            self._connection = _opened(path, schema)
        except (OSError, sqlite3.OperationalError) as error:
            raise Unavailable(f"{path}: {error}") from error
        except sqlite3.DatabaseError:
            for suffix in ("", "-wal", "-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
            self._connection = _opened(path, schema)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def ask(self, statement: str, values: Sequence[object] = ()) -> list[Any]:
        """Return the rows that `statement` finds; raises Unavailable."""
        try:
            return self._connection.execute(statement, values).fetchall()
        except sqlite3.DatabaseError as error:
            raise Unavailable(f"{self._path}: {error}") from error

    def change(self, statement: str, rows: Sequence[Sequence[object]]) -> None:
        """Run `statement` for each of `rows`, all or nothing; raises Unavailable."""
        try:
            with self._connection:
                self._connection.executemany(statement, rows)
        except sqlite3.DatabaseError as error:
            raise Unavailable(f"{self._path}: {error}") from error


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
