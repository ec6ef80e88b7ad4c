"""Connections that are kept open for those who read.

To take one from SQLAlchemy's own pool, and to give it back, costs as much as three reads of a row.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

__all__ = ["Connections"]

# About as many as ask at once on a busy controller; each holds two files open.
_MOST = 32


class Connections:
    """Connections to the database of `engine`, each for one block at a time. Safe for threads.

    The engine itself is to keep none, so that what is closed here is closed.
    """

    def __init__(self, engine: Engine, *, most: int = _MOST) -> None:
        """Open nothing yet: whoever finds none idle opens one, and `most` are kept."""
        self._engine = engine
        self._most = most
        self._idle: list[Connection] = []
        self._closed = False

    @contextmanager
    def one(self) -> Iterator[Connection]:
        """Give a connection on which no transaction has begun.

        After an error of the database it is not used again.
        """
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._engine.connect()
        try:
            yield connection
        except DBAPIError:
            connection.invalidate()
            raise
        finally:
            if (
                connection.invalidated
                or connection.in_transaction()
                or len(self._idle) >= self._most
            ):
                connection.close()
            else:
                self._idle.append(connection)
            # Looked at last: to look before would miss a `close` that comes between.
            if self._closed:
                self._close_idle()

    def close(self) -> None:
        """Close those that are idle, and any other as its block ends.

        Whoever asks from now on opens another, which is not kept either.
        """
        self._closed = True
        self._close_idle()

    def _close_idle(self) -> None:
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return
            connection.close()
