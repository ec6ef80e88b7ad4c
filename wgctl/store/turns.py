"""Whose turn it is to write, and one commit for those who came while another was under way.

Runs no statement but what begins and ends a transaction; what is written is said by `deployment`
and `org`.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from sqlalchemy import Connection, Engine, RootTransaction
from sqlalchemy.exc import DBAPIError

__all__ = ["NotKept", "Turn", "Turns"]

# Each of them waits for the statements of all: a millisecond or two for each.
_TOGETHER = 32


class NotKept(Exception):
    """Nothing was kept of what several wrote together; says why."""


@dataclass(slots=True)
class Turn:
    """One block that writes over `connection`; `keep` False: nothing of it is to stay."""

    connection: Connection
    keep: bool = True


@dataclass(slots=True)
class _Group:
    """Blocks that share one transaction: how many there are, and why they were not kept."""

    connection: Connection
    transaction: RootTransaction
    size: int = 0
    ended: threading.Event = field(default_factory=threading.Event)
    failure: BaseException | None = None

    @property
    def lost(self) -> bool:
        """Whether the database has undone all by itself, which a full disk makes it do.

        To commit then is no error to its driver.
        """
        return not self.connection.connection.driver_connection.in_transaction  # type: ignore[union-attr]  # it is open


class Turns:
    """The writers of one database, one at a time.

    Who has others waiting behind it leaves the commit to them. Each has a savepoint of its own, so
    that one that raises leaves no trace; and none hears how it went before all that it has seen is
    durable.
    """

    def __init__(self, engine: Engine) -> None:
        """Write to the database of `engine`, whose transactions take its lock as they begin.

        Its connections may go from thread to thread.
        """
        self._engine = engine
        self._lock = threading.Lock()
        self._counting = threading.Lock()
        self._waiting = 0
        self._group: _Group | None = None

    @property
    def waiting(self) -> int:
        """How many threads wait for their turn."""
        return self._waiting

    @contextmanager
    def turn(self) -> Iterator[Turn]:
        """Let the block write; what it wrote is durable once this returns.

        Raises NotKept when it is not, whatever the block itself came to.
        """
        group = None
        self._wait()
        try:
            group = self._joined()
            with _savepoint(group) as turn:
                yield turn
        finally:
            try:
                if group is not None and self._is_last(group):
                    self._end(group)
            finally:
                self._lock.release()
            if group is not None:
                _see_end(group)

    def _wait(self) -> None:
        with self._counting:
            self._waiting += 1
        try:
            self._lock.acquire()
        finally:
            with self._counting:
                self._waiting -= 1

    def _joined(self) -> _Group:
        if self._group is None:
            connection = self._engine.connect()
            try:
                self._group = _Group(connection, connection.begin())
            except BaseException:
                connection.close()
                raise
        return self._group

    def _is_last(self, group: _Group) -> bool:
        return not (self._waiting and 0 < group.size < _TOGETHER) or group.lost

    def _end(self, group: _Group) -> None:
        self._group = None
        try:
            if group.size:
                _commit(group)
        except BaseException as error:
            group.failure = error
            group.connection.invalidate()  # It may still be within the transaction.
            if not isinstance(error, Exception):
                raise
        finally:
            try:
                with suppress(DBAPIError):
                    group.connection.close()
            finally:
                group.ended.set()


def _commit(group: _Group) -> None:
    if group.lost:
        raise NotKept("the database has undone it")
    group.transaction.commit()


def _see_end(group: _Group) -> None:
    group.ended.wait()
    if group.failure is not None:
        why = group.failure
        raise NotKept(why.orig if isinstance(why, DBAPIError) else why) from why


@contextmanager
def _savepoint(group: _Group) -> Iterator[Turn]:
    """Let the block be one of `group`; the first needs no savepoint: it is all there is."""
    turn = Turn(group.connection)
    point = group.connection.begin_nested() if group.size else group.transaction
    try:
        yield turn
        if turn.keep and group.size:
            point.commit()
    except BaseException:
        point.rollback()
        raise
    if turn.keep:
        group.size += 1
    else:
        point.rollback()
