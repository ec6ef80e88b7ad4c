"""A row of the feed as a row of a copy's table, and back.

Runs no statement: `copy` and `copy_reader` do.
"""

from typing import NamedTuple

from pydantic_core import from_json, to_json

from wgctl.core.feed import Delete, Kind, Put, Row, decode_row, encode_row
from wgctl.core.model import Machine, Network, Peer, Seal

__all__ = ["COLUMNS", "VERSION", "CopyRow", "columns", "decoded", "held"]

VERSION = 2
"""In the file's `user_version`; a copy of another version is worth nothing, and fetched anew."""

COLUMNS = "kind TEXT NOT NULL, id INTEGER NOT NULL, network_id INTEGER, lookup, address BLOB, body"
"""What a table of such rows has; `lookup` and `body` are whatever `columns` makes them."""


class CopyRow(NamedTuple):
    """One row, with what it can be found by.

    `lookup` is the prefix of a network and the key of a peer, as bytes, the peer's id of a seal and
    the length of a machine's lease in seconds; `address` that of a peer. None: nothing to be found
    by. `body` None: the row is gone.
    """

    kind: str
    id: int
    network_id: int | None
    lookup: bytes | int | None
    address: bytes | None
    body: bytes | None


def columns(event: Put) -> CopyRow:
    """Return what `event` is in the table."""
    kind, row = event.kind, event.row
    body = to_json(encode_row(kind, row)) if event.body is None else event.body
    if isinstance(row, Peer):  # Most rows are peers.
        key, address = row.public_key.raw, row.address.packed
        return CopyRow(kind, row.id, row.network_id, key, address, body)
    network_id = row.id if isinstance(row, Network) else getattr(row, "network_id", None)
    return CopyRow(kind, row.id, network_id, _lookup(row), None, body)


def held(event: Put | Delete) -> CopyRow:
    """Return what `event` is where rows are held that the file has not yet, or has still."""
    if isinstance(event, Put):
        return columns(event)
    return CopyRow(event.kind, event.id, None, None, None, None)


def decoded(kind: str, body: bytes) -> Row:
    """Return the row that `columns` wrote; raises TypeError or ValueError for anything else."""
    return decode_row(Kind(kind), from_json(body))


def _lookup(row: Row) -> bytes | int | None:
    match row:
        case Network(prefix=prefix):
            return prefix.network_address.packed
        case Seal(peer_id=peer_id):
            return peer_id
        case Machine(lease_s=lease_s):
            return lease_s
        case _:
            return None
