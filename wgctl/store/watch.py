"""A connection that is kept, for what is asked of the store with each request.

No transaction is begun on it: what is asked is one row, by one statement that changes nothing.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

__all__ = ["Watch"]


class Watch:
    """One connection of `engine`, for one thread at a time."""

    def __init__(self, engine: Engine) -> None:
        """Open nothing yet: the first that asks does."""
        self._engine = engine
        self._lock = threading.Lock()
        self._connection: Connection | None = None

    @contextmanager
    def connected(self) -> Iterator[Connection]:
        """Give the connection; after an error of the database the next one gets another."""
        with self._lock:
            if self._connection is None:
                self._connection = self._engine.connect()
            try:
                yield self._connection
            except DBAPIError:
                self._connection.invalidate()
                self._disconnect()
                raise

    def close(self) -> None:
        """Close the connection; who asks again opens another."""
        with self._lock:
            self._disconnect()

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
