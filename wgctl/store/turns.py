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

from wgctl.store.prepared import say

__all__ = ["NotKept", "Turn", "Turns"]

# Each of them waits for the statements of all: a millisecond or two for each.
_TOGETHER = 32
_POINT = "turn"


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
    def goes_on(self) -> bool:
        """Whether the transaction has not ended: a full disk makes the database undo it by itself.

        To commit then is no error to its driver.
        """
        return bool(self.connection.connection.driver_connection.in_transaction)  # type: ignore[union-attr]  # it is open


class Turns:
    """The writers of one database, one at a time.

    Who has others waiting behind it leaves the commit to them. Each has a savepoint of its own, so
    that one that raises leaves no trace; and none hears how it went before all that it has seen is
    durable.
    """

    def __init__(self, engine: Engine) -> None:
        """Write to the database of `engine`, whose transactions take its lock as they begin.

        Its connections may go from thread to thread, and it keeps none that is closed.
        """
        self._engine = engine
        self._connection: Connection | None = None
        self._lock = threading.Lock()
        self._counting = threading.Lock()
        self._waiting = 0
        self._group: _Group | None = None
        self._closed = False

    def close(self) -> None:
        """Commit what has been left to the next in line, and close the connection.

        Whoever waits by then, or comes later, begins a group of its own over another connection,
        which is closed with that group.
        """
        with self._lock:
            self._closed = True
            if self._group is not None:
                self._end(self._group)
            self._disconnect()

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
            if self._connection is None:
                self._connection = self._engine.connect()
            try:
                self._group = _Group(self._connection, self._connection.begin())
            except BaseException:
                self._disconnect()
                raise
        return self._group

    def _is_last(self, group: _Group) -> bool:
        return not (self._waiting and 0 < group.size < _TOGETHER and group.goes_on)

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
                if self._closed or group.failure is not None or group.goes_on:
                    self._disconnect()
            finally:
                group.ended.set()

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(DBAPIError):
                connection.close()


def _commit(group: _Group) -> None:
    if not group.goes_on:
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
    turn, alone = Turn(group.connection), not group.size
    if not alone:
        say(group.connection, f"SAVEPOINT {_POINT}")
    try:
        yield turn
        if turn.keep and not alone:
            say(group.connection, f"RELEASE SAVEPOINT {_POINT}")
    except BaseException:
        _undo(group, all_of_it=alone)
        raise
    if turn.keep:
        group.size += 1
    else:
        _undo(group, all_of_it=alone)


def _undo(group: _Group, *, all_of_it: bool) -> None:
    if all_of_it:
        group.transaction.rollback()
        return
    say(group.connection, f"ROLLBACK TO SAVEPOINT {_POINT}")
    say(group.connection, f"RELEASE SAVEPOINT {_POINT}")
