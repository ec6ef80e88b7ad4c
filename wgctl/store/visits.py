"""What a gateway remembers of the peers that were in its device, in a file of its own.

Keeps visits as they are; who comes and goes is `wgctl.core.presence`.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from wgctl.core.presence import Visit
from wgctl.store.side_file import SideFile

__all__ = ["VisitFile"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS visits (
    peer_id INTEGER PRIMARY KEY, key BLOB NOT NULL, timestamp BLOB NOT NULL, endpoint TEXT,
    last_handshake INTEGER, received_bytes INTEGER NOT NULL, sent_bytes INTEGER NOT NULL
) STRICT
"""


class VisitFile(SideFile):
    """The visits of one host; used by one thread at a time."""

    def __init__(self, path: Path) -> None:
        """Open the file at `path` and make it if it is not there."""
        super().__init__(path, schema=_SCHEMA)

    def find(self, peer_id: int) -> Visit | None:
        """Return what is remembered of a peer, None if it was never here; raises Unavailable."""
        rows = self.ask("SELECT * FROM visits WHERE peer_id = ?", (peer_id,))
        return next(_visits(rows), None)

    def some(self, *, after: int, most: int) -> list[Visit]:
        """Return the next `most` visits after that of the peer `after`, by peer.

        Raises Unavailable.
        """
        rows = self.ask(
            "SELECT * FROM visits WHERE peer_id > ? ORDER BY peer_id LIMIT ?", (after, most)
        )
        return list(_visits(rows))

    def write(self, visits: Iterable[Visit]) -> None:
        """Keep these in the place of what was kept of their peers; raises Unavailable."""
        rows: list[tuple[object, ...]] = [
            (
                *(one.peer_id, one.key, one.timestamp, one.endpoint),
                *(one.last_handshake, one.received_bytes, one.sent_bytes),
            )
            for one in visits
        ]
        self.change("INSERT OR REPLACE INTO visits VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def forget(self, peer_ids: Iterable[int]) -> None:
        """Keep nothing of these peers; raises Unavailable."""
        self.change("DELETE FROM visits WHERE peer_id = ?", [(id_,) for id_ in peer_ids])


def _visits(rows: Iterable[tuple[object, ...]]) -> Iterator[Visit]:
    """Yield what can be read: one bit on a disk makes a text of bytes."""
    for row in rows:
        match row:
            case (
                int(id_),
                bytes(key),
                bytes(timestamp),
                str() | None as endpoint,
                int() | None as handshake,
                int(received),
                int(sent),
            ):
                yield Visit(
                    *(id_, key, timestamp, endpoint, handshake),
                    received_bytes=received,
                    sent_bytes=sent,
                )
