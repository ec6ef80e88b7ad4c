"""What the probes of a host have found, in a file of the resolver's: it outlives a restart.

Keeps records as they are; what they mean is `wgctl.core.health`. A file that cannot be read is
worth less than a start without it, and is made anew.
"""

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import astuple
from pathlib import Path
from typing import TYPE_CHECKING

from wgctl.core.errors import Unavailable
from wgctl.core.health import Health, Record, Transition

if TYPE_CHECKING:
    import sqlite3
else:
    from pysqlite3 import dbapi2 as sqlite3

__all__ = ["HealthFile"]

_SCHEMA = "CREATE TABLE IF NOT EXISTS records (machine_id INTEGER PRIMARY KEY, body TEXT NOT NULL)"


class HealthFile:
    """The records of one host; used by one thread."""

    def __init__(self, path: Path) -> None:
        """Open the file at `path` and make it if it is not there; its folder must exist.

        Raises Unavailable when it cannot be opened or written.
        """
        self._path = path
        try:
            self._connection = _opened(path)
        except (OSError, sqlite3.OperationalError) as error:
            raise Unavailable(f"{path}: {error}") from error
        except sqlite3.DatabaseError:
            for suffix in ("", "-wal", "-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
            self._connection = _opened(path)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def read(self) -> list[Record]:
        """Return every record that can be read, by machine."""
        records = []
        for machine_id, body in self._connection.execute(
            "SELECT machine_id, body FROM records ORDER BY machine_id"
        ):
            with suppress(ValueError, TypeError):
                records.append(_record(machine_id, json.loads(body)))
        return records

    def write(self, record: Record) -> None:
        """Keep `record` in the place of its machine's last one; raises Unavailable."""
        body = json.dumps([record.health, [astuple(moved) for moved in record.transitions]])
        self._change("INSERT OR REPLACE INTO records VALUES (?, ?)", [(record.machine_id, body)])

    def forget(self, machine_ids: Iterable[int]) -> None:
        """Keep nothing of these machines; raises Unavailable."""
        self._change("DELETE FROM records WHERE machine_id = ?", [(id_,) for id_ in machine_ids])

    def _change(self, statement: str, rows: list[tuple[object, ...]]) -> None:
        try:
            with self._connection:
                self._connection.executemany(statement, rows)
        except sqlite3.DatabaseError as error:
            raise Unavailable(f"{self._path}: {error}") from error


def _opened(path: Path) -> "sqlite3.Connection":
    path.touch(mode=0o600)
    connection = sqlite3.connect(path)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        # Not synced at each change, which takes milliseconds: what a power cut loses is seen anew.
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(_SCHEMA)
    except BaseException:
        connection.close()
        raise
    return connection


def _record(machine_id: int, body: object) -> Record:
    match body:
        case [str(health), list(transitions)]:
            return Record(machine_id, Health(health), tuple(map(_transition, transitions)))
    raise ValueError("a record of another form")


def _transition(values: object) -> Transition:
    match values:
        case [int(at), str(before), str(after), str(reason)]:
            return Transition(at, Health(before), Health(after), reason)
    raise ValueError("a transition of another form")
