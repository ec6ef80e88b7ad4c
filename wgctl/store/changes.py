"""The revision and the record of changes, written in the transaction that makes them.

Knows nothing of what changed beyond its kind and body: see `wgctl.core.feed`.
"""

from collections.abc import Iterator
from typing import cast

from sqlalchemy import Connection, Result, Text, delete, func, insert, select, update
from sqlalchemy import cast as sql_cast

from wgctl.core.audit import Made
from wgctl.core.feed import Delete, Kind, Put, Row, decode_row, encode_row
from wgctl.store.prepared import Prepared
from wgctl.store.tables import changes, deployment

__all__ = ["KEPT_BYTES", "KEPT_REVISIONS", "Recorder", "read_changes"]

KEPT_REVISIONS = 100_000
"""How many revisions a reader may fall behind before it takes a snapshot.

At one change a second that is a day and more; a row of `changes` is about 300 bytes.
"""

KEPT_BYTES = 64 << 20
"""How much those may take: what a peer announces of its machine can be 12 KB each time."""

_PRUNE_EVERY = 1_000

_LENGTH = func.coalesce(func.length(sql_cast(changes.c.body, Text)), 0)

# Every transaction runs these.
_NEXT_REVISION = Prepared(
    update(deployment).values(revision=deployment.c.revision + 1).returning(deployment.c.revision)
)
_RECORD = Prepared(insert(changes), columns=("revision", "place", "kind", "row_id", "body"))


class Recorder:
    """Takes the next revision and records what one transaction changes."""

    def __init__(self, connection: Connection) -> None:
        """Take the next revision: the row lock also orders the writers of every database."""
        self._connection = connection
        self._place = 0
        self.made: list[Made] = []
        self.revision: int = _NEXT_REVISION.rows(connection, {})[0]["revision"]
        if self.revision % _PRUNE_EVERY == 0:
            self._prune()

    @property
    def changed(self) -> bool:
        """Whether anything was recorded."""
        return self._place > 0

    def put(self, kind: Kind, row: Row, *, before: Row | None = None) -> None:
        """Record that `row` is so from this revision on, and what it was before: None if new."""
        self._record(kind, row.id, encode_row(kind, row))
        self.made.append(Made(kind, before, row))

    def delete(self, kind: Kind, row: Row) -> None:
        """Record that `row` is gone from this revision on."""
        self._record(kind, row.id, None)
        self.made.append(Made(kind, row, None))

    def _record(self, kind: Kind, row_id: int, body: dict[str, object] | None) -> None:
        _RECORD.run(
            self._connection,
            {
                "revision": self.revision,
                "place": self._place,
                "kind": kind,
                "row_id": row_id,
                "body": body,
            },
        )
        self._place += 1

    def _prune(self) -> None:
        """Forget what is too old, or too much; what was forgotten once stays so.

        Reads what came since the last time and what goes, and nothing of what stays.
        """
        forgotten, kept_bytes = self._connection.execute(
            select(deployment.c.kept_since, deployment.c.kept_bytes)
        ).one()
        came = select(func.sum(_LENGTH)).where(changes.c.revision >= self.revision - _PRUNE_EVERY)
        kept_bytes += self._connection.execute(came).scalar_one() or 0
        kept_since = max(forgotten, self.revision - KEPT_REVISIONS)
        with self._oldest() as oldest:
            for revision, length in oldest:
                if revision > kept_since and kept_bytes <= KEPT_BYTES:
                    break
                kept_since = max(kept_since, revision)
                kept_bytes -= length
        self._connection.execute(delete(changes).where(changes.c.revision <= kept_since))
        self._connection.execute(
            update(deployment).values(kept_since=kept_since, kept_bytes=kept_bytes)
        )

    def _oldest(self) -> Result[int, int]:
        """Return each kept revision, the oldest first, and how many bytes its changes take."""
        return self._connection.execute(
            select(changes.c.revision, func.sum(_LENGTH))
            .group_by(changes.c.revision)
            .order_by(changes.c.revision)
        )


def read_changes(
    connection: Connection, *, since: int, until: int, kinds: frozenset[Kind]
) -> Iterator[Put | Delete]:
    """Yield the changes of `kinds` after revision `since` up to `until`, in their order."""
    found = connection.execute(
        select(changes.c.kind, changes.c.row_id, changes.c.body)
        .where(changes.c.revision > since, changes.c.revision <= until, changes.c.kind.in_(kinds))
        .order_by(changes.c.revision, changes.c.place)
    )
    for kind, row_id, body in found:
        if body is None:
            yield Delete(Kind(kind), row_id)
        else:
            yield Put(Kind(kind), decode_row(Kind(kind), cast("dict[str, object]", body)))
