"""What a violated UNIQUE constraint means to the one who asked.

Each database words the violation its own way; the refusal is the caller's.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import IntegrityError

from wgctl.core.errors import Conflict

__all__ = ["taken"]


@contextmanager
def taken(**messages: str) -> Iterator[None]:
    """Raise Conflict with a message instead of the database's own error.

    Each keyword is a table and the last column of a UNIQUE constraint, joined by `_`:
    `peers_name` is `UNIQUE (network_id, name)` of `peers`. Any other violation passes through.
    """
    try:
        yield
    except IntegrityError as error:
        said = str(error.orig)
        for constraint, message in messages.items():
            table, _, column = constraint.partition("_")
            # SQLite: «UNIQUE constraint failed: peers.network_id, peers.name».
            if said.endswith(f"{table}.{column}"):
                raise Conflict(message) from error
        raise
