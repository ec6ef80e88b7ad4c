"""What a gateway remembers of the peers that were in its device, in a file of its own.

Keeps visits as they are; who comes and goes is `wgctl.core.presence`. A file that cannot be read is
worth less than a start without it, and is made anew.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from wgctl.core.errors import Unavailable
from wgctl.core.presence import Visit

if TYPE_CHECKING:
    import sqlite3
else:
    from pysqlite3 import dbapi2 as sqlite3

__all__ = ["VisitFile"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS visits (
    peer_id INTEGER PRIMARY KEY, key BLOB NOT NULL, timestamp BLOB NOT NULL, endpoint TEXT,
    last_handshake INTEGER, received_bytes INTEGER NOT NULL, sent_bytes INTEGER NOT NULL
) STRICT
"""


class VisitFile:
    """The visits of one host; used by one thread at a time."""

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

    def find(self, peer_id: int) -> Visit | None:
        """Return what is remembered of a peer, None if it was never here."""
        row = self._connection.execute(
            "SELECT * FROM visits WHERE peer_id = ?", (peer_id,)
        ).fetchone()
        return None if row is None else Visit(*row)

    def some(self, *, after: int, most: int) -> list[Visit]:
        """Return the next `most` visits after that of the peer `after`, by peer."""
        rows = self._connection.execute(
            "SELECT * FROM visits WHERE peer_id > ? ORDER BY peer_id LIMIT ?", (after, most)
        )
        return [Visit(*row) for row in rows]

    def write(self, visits: Iterable[Visit]) -> None:
        """Keep these in the place of what was kept of their peers; raises Unavailable."""
        rows: list[tuple[object, ...]] = [
            (
                *(one.peer_id, one.key, one.timestamp, one.endpoint),
                *(one.last_handshake, one.received_bytes, one.sent_bytes),
            )
            for one in visits
        ]
        self._change("INSERT OR REPLACE INTO visits VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def forget(self, peer_ids: Iterable[int]) -> None:
        """Keep nothing of these peers; raises Unavailable."""
        self._change("DELETE FROM visits WHERE peer_id = ?", [(id_,) for id_ in peer_ids])

    def _change(self, statement: str, rows: list[tuple[object, ...]]) -> None:
        try:
            with self._connection:
                self._connection.executemany(statement, rows)
        except sqlite3.DatabaseError as error:
            raise Unavailable(f"{self._path}: {error}") from error


def _opened(path: Path) -> "sqlite3.Connection":
    path.touch(mode=0o600)
    connection = sqlite3.connect(path, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        # Not synced at each change, which takes milliseconds: a power cut loses the last few.
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(_SCHEMA)
    except BaseException:
        connection.close()
        raise
    return connection
