"""Whole copies of a store's file: made while it is written to, checked, and asked where they stand.

Opens files as they are and brings none up to date: see `wgctl.store.store`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from wgctl.core.errors import Invalid, Unavailable

if TYPE_CHECKING:
    import sqlite3
else:
    from pysqlite3 import dbapi2 as sqlite3

__all__ = ["check", "settle", "standing", "take"]

_BUSY_TIMEOUT_S = 10


def take(path: Path, into: Path) -> None:
    """Write the store at `path`, as it is at one moment, into `into`.

    That is a file which is empty, or not there. Writers are not held up: a reader of a WAL stands
    in nobody's way. Raises Unavailable when the store cannot be read or the copy not written.
    """
    try:
        with _opened(path) as connection:
            connection.execute("VACUUM INTO ?", (str(into),))
    except sqlite3.DatabaseError as error:
        raise Unavailable(f"the store at {path} cannot be copied: {error}") from error


def check(path: Path) -> None:
    """Read every page of the store at `path`; raises Invalid when it is damaged, or is no store."""
    try:
        with _opened(path) as connection:
            connection.execute("PRAGMA cell_size_check = ON")
            faults = [fault for (fault,) in connection.execute("PRAGMA integrity_check(3)")]
            orphans = connection.execute("PRAGMA foreign_key_check").fetchall()
            known = connection.execute("SELECT count(*) FROM deployment").fetchone()
    except sqlite3.DatabaseError as error:
        raise Invalid(f"the store is damaged: {error}") from error
    if faults != ["ok"]:
        raise Invalid(f"the store is damaged: {'; '.join(faults)}")
    if orphans:
        raise Invalid(
            f"the store is damaged: {len(orphans)} rows belong to rows that are not there"
        )
    if known != (1,):
        raise Invalid("the store is empty")


def settle(path: Path) -> None:
    """Write the log of the store at `path` back into it, so that one file is all.

    For a store that nobody has open. Raises Unavailable when that cannot be done.
    """
    try:
        with _opened(path) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    except sqlite3.DatabaseError as error:
        raise Unavailable(f"the store at {path} cannot be written: {error}") from error


def standing(path: Path) -> tuple[str, int]:
    """Return the epoch and revision of the store at `path`; raises Unavailable."""
    try:
        with _opened(path) as connection:
            found: tuple[str, int] = connection.execute(
                "SELECT epoch, revision FROM deployment"
            ).fetchone()
    except sqlite3.DatabaseError as error:
        raise Unavailable(f"the store at {path} cannot be read: {error}") from error
    return found


@contextmanager
def _opened(path: Path) -> Iterator["sqlite3.Connection"]:
    # `rw`: an empty store must not come to be where none was.
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw",
        uri=True,
        isolation_level=None,
        timeout=_BUSY_TIMEOUT_S,
    )
    try:
        yield connection
    finally:
        connection.close()
