"""What the file of a copy could not take, held in memory and read as if the file had it.

A full disk must not let a name or peer stay that is removed. While there are such rows, a view of
SQLite's `temp` schema stands before the table `rows`: temporary names are found first, so whoever
selects from `rows` reads both.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from wgctl.store.copy_row import COLUMNS, CopyRow

if TYPE_CHECKING:
    import sqlite3

__all__ = ["drop", "lay"]

_LAY = f"""
CREATE TEMP TABLE IF NOT EXISTS ahead ({COLUMNS}, PRIMARY KEY (kind, id)) WITHOUT ROWID;
CREATE TEMP VIEW IF NOT EXISTS rows AS
SELECT * FROM main.rows AS there
WHERE NOT EXISTS (SELECT 1 FROM ahead WHERE kind = there.kind AND id = there.id)
UNION ALL SELECT * FROM ahead WHERE body IS NOT NULL;
"""  # noqa: S608  # our own columns


def lay(connection: "sqlite3.Connection", rows: Iterable[CopyRow]) -> None:
    """Hold `rows` in memory, above those that are held already; a body of None: it is gone.

    Outside of a transaction, and on a connection whose `temp_store` is memory.
    """
    connection.executescript(_LAY)
    connection.executemany("INSERT OR REPLACE INTO ahead VALUES (?, ?, ?, ?, ?, ?)", rows)


def drop(connection: "sqlite3.Connection") -> None:
    """Hold nothing: the file has it, or all of it was replaced."""
    connection.executescript("DROP VIEW IF EXISTS temp.rows; DROP TABLE IF EXISTS temp.ahead;")
