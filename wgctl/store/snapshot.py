"""Whole copies of a store's file: made while it is written to, checked, and asked where they stand.

Opens files as they are and brings none up to date: see `wgctl.store.store`.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from wgctl.core.errors import Unavailable

if TYPE_CHECKING:
    import sqlite3
else:
    from pysqlite3 import dbapi2 as sqlite3

__all__ = ["BESIDE", "Damaged", "check", "settle", "standing", "take", "write_whole_log"]

BESIDE = ("-wal", "-journal", "-shm")
"""What SQLite puts behind a store's name for files of its own, all of which belong to that store.

Beside another store, it would play the first two into that.
"""

_BUSY_TIMEOUT_S = 10


class Damaged(Unavailable):
    """The file itself is damaged: neither a disk that is full nor another version is to blame."""


def take(path: Path, into: Path) -> None:
    """Write the store at `path`, as it is at one moment, into `into`.

    That is a file which is empty, or not there. Writers are not held up: a reader of a WAL stands
    in nobody's way. Raises Damaged, or Unavailable when the store cannot be read or the copy not
    written.
    """
    try:
        with _opened(path) as connection:
            connection.execute("VACUUM INTO ?", (str(into),))
    except sqlite3.DatabaseError as error:
        raise _refusal(f"the store cannot be copied into {into.parent}", error) from error


def check(path: Path) -> None:
    """Read every page of the store at `path`.

    Raises Damaged when it is that, or empty, and Unavailable when it cannot be told.
    """
    try:
        with _opened(path) as connection:
            connection.execute("PRAGMA cell_size_check = ON")
            faults = [fault for (fault,) in connection.execute("PRAGMA integrity_check(3)")]
            orphans = connection.execute("PRAGMA foreign_key_check").fetchall()
            tables = connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall()
            known = tables and connection.execute("SELECT 1 FROM deployment").fetchall()
    except sqlite3.DatabaseError as error:
        raise _refusal("the store cannot be read", error) from error
    if faults != ["ok"]:
        raise Damaged(f"the store is damaged: {'; '.join(faults)}")
    if orphans:
        raise Damaged(
            f"the store is damaged: {len(orphans)} rows belong to rows that are not there"
        )
    if known != [(1,)]:
        raise Damaged("the store is damaged: it is empty")


def settle(path: Path) -> None:
    """Write the log of the store at `path` back into it, so that one file is all.

    For a store that nobody has open. Raises Unavailable when that cannot be done, with the log
    still there.
    """
    try:
        with _opened(path) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    except sqlite3.DatabaseError as error:
        raise _refusal(f"the store at {path} cannot be written", error) from error
    for suffix in BESIDE:
        if path.with_name(path.name + suffix).exists():
            raise Unavailable(
                f"{path.name}{suffix} is still beside {path}: end what has that store open"
            )


def write_whole_log(path: Path, into: Path) -> None:
    """Write into `into` a log (WAL) that holds every page of the settled store at `path`.

    Beside any file of two bytes or more, whatever is in it, that log is that store to SQLite; of a
    smaller one, which is new to it, it throws the log away. So one rename, of the log, makes a
    store another one, where two, of log and store, would leave a moment with the wrong pair. `into`
    is a file which is not there. Raises Unavailable.
    """
    with tempfile.TemporaryDirectory(prefix="wgctl-log-", dir=path.parent) as name:
        copy, trial = Path(name) / "copy", Path(name) / "trial"
        shutil.copyfile(path, copy)
        try:
            with _opened(copy) as connection:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA wal_autocheckpoint = 0")
                connection.execute("VACUUM")
                # Before the connection ends: the last one takes the log with it.
                shutil.copyfile(f"{copy}-wal", into)
        except sqlite3.DatabaseError as error:
            raise _refusal(f"the log of {path} cannot be written", error) from error
        trial.write_bytes(b"anything")
        shutil.copyfile(into, f"{trial}-wal")
        check(trial)
        if standing(trial) != standing(path):
            raise Unavailable(f"the log of {path} has not all of it")


def standing(path: Path) -> tuple[str, int]:
    """Return the epoch and revision of the store at `path`; raises Unavailable."""
    try:
        with _opened(path) as connection:
            found: tuple[str, int] = connection.execute(
                "SELECT epoch, revision FROM deployment"
            ).fetchone()
    except sqlite3.DatabaseError as error:
        raise _refusal(f"the store at {path} cannot be read", error) from error
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


def _refusal(told: str, error: "sqlite3.DatabaseError") -> Unavailable:
    # The low byte is the kind (sqlite.org/rescode.html). Rows that break a rule of their own table
    # are found only when they are copied.
    damage = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CONSTRAINT)
    if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF in damage:
        return Damaged(f"the store is damaged: {error}")
    return Unavailable(f"{told}: {error}")
