"""What the file of a copy could not take, held in memory and read as if the file had it.

A full disk must not let a name or peer stay that is removed. While there are such rows, a view of
SQLite's `temp` schema stands before the table `rows`: temporary names are found first, so whoever
selects from `rows` reads both; who means the file writes to `main.rows`.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

__all__ = ["drop", "lay", "settle"]

_LAY = """
CREATE TEMP TABLE IF NOT EXISTS ahead (
    kind TEXT NOT NULL, id INTEGER NOT NULL, network_id INTEGER, lookup TEXT, address TEXT,
    body TEXT,
    PRIMARY KEY (kind, id)
) WITHOUT ROWID;
CREATE TEMP VIEW IF NOT EXISTS rows AS
SELECT * FROM main.rows AS there
WHERE NOT EXISTS (SELECT 1 FROM ahead WHERE kind = there.kind AND id = there.id)
UNION ALL SELECT * FROM ahead WHERE body IS NOT NULL;
"""

_SETTLE = (
    "DELETE FROM main.rows WHERE (kind, id) IN (SELECT kind, id FROM ahead)",
    "INSERT INTO main.rows SELECT * FROM ahead WHERE body IS NOT NULL",
)


def lay(connection: "sqlite3.Connection", rows: Iterable[tuple[object, ...]]) -> None:
    """Hold `rows` in memory: the columns of the table, with the body None for one that is gone.

    Outside of a transaction, and on a connection whose `temp_store` is memory.
    """
    connection.executescript(_LAY)
    connection.executemany("INSERT OR REPLACE INTO ahead VALUES (?, ?, ?, ?, ?, ?)", rows)


def settle(connection: "sqlite3.Connection") -> None:
    """Write what is held to the file, in the transaction that is open; `drop` it after."""
    for statement in _SETTLE:
        connection.execute(statement)


def drop(connection: "sqlite3.Connection") -> None:
    """Hold nothing: the file has it, or all of it was replaced."""
    connection.executescript("DROP VIEW IF EXISTS temp.rows; DROP TABLE IF EXISTS temp.ahead;")
