"""Whose turn it is to write, and one commit for what one thread writes together.

Runs no statement but what begins and ends a transaction; what is written is said by `deployment`
and `org`.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, RootTransaction
from sqlalchemy.exc import DBAPIError

from wgctl.store.prepared import say

__all__ = ["NotKept", "Turn", "Turns"]

_POINT = "turn"


class NotKept(Exception):
    """Nothing was kept of what was written together; says why."""


@dataclass(slots=True)
class Turn:
    """One block that writes over `connection`; `keep` False: nothing of it is to stay.

    `revision` is that of the deployment after it; None: it has none of its own.
    """

    connection: Connection
    keep: bool = True
    revision: int | None = None


@dataclass(slots=True)
class _Group:
    """The turns of one thread in one transaction, which begins with the first of them.

    `size` is how many are to be kept, `revision` the last of theirs. `taken`: one is under way.
    `failure`: why there will be no more.
    """

    thread: int
    taken: bool = False
    transaction: RootTransaction | None = None
    size: int = 0
    revision: int | None = None
    failure: Exception | None = None


class Turns:
    """The writers of one database, one thread at a time.

    What a thread writes `together` shares a commit. Each turn has a savepoint of its own, so that
    one that raises leaves no trace.
    """

    def __init__(
        self, engine: Engine, *, on_kept: Callable[[int], None] = lambda _revision: None
    ) -> None:
        """Write to the database of `engine`, whose transactions take its lock as they begin.

        Its connections may go from thread to thread, and it keeps none that is closed. `on_kept`
        is called with the revision that has become durable, in the thread that wrote.
        """
        self._engine = engine
        self._on_kept = on_kept
        self._connection: Connection | None = None
        self._lock = threading.Lock()
        self._group: _Group | None = None
        self._closed = False

    def close(self) -> None:
        """Close the connection, once whoever writes has ended.

        Who comes later has another for as long as that takes.
        """
        with self._lock:
            self._closed = True
            self._disconnect()

    @property
    def written(self) -> Connection | None:
        """Where this thread sees what it wrote that is not yet durable; None: there is none."""
        group = self._own()
        return self._connection if group is not None and group.size else None

    @contextmanager
    def together(self) -> Iterator[None]:
        """Let the turns that this thread takes within the block share one commit, at its end.

        What they wrote is durable once this returns; when the block raises, nothing of it is kept.
        Raises NotKept when nothing could be, whatever each came to.
        """
        with self._lock:
            group = self._group = _Group(threading.get_ident())
            try:
                yield
                self._keep(group)
            finally:
                self._group = None
                self._end(group)
        if group.revision is not None:
            self._on_kept(group.revision)

    @contextmanager
    def turn(self) -> Iterator[Turn]:
        """Let the block write; what it wrote is durable once this returns, or `together` does.

        Raises NotKept when it is not, or will not be.
        """
        group = self._own()
        if group is None:
            with self.together(), self.turn() as turn:
                yield turn
            return
        if group.taken:
            raise RuntimeError("a turn within a turn, expected one after the other")
        group.taken = True
        try:
            with self._savepoint(group) as turn:
                yield turn
        finally:
            group.taken = False

    def _own(self) -> _Group | None:
        """Return the group of this thread, which no other can end."""
        group = self._group
        return group if group is not None and group.thread == threading.get_ident() else None

    @contextmanager
    def _savepoint(self, group: _Group) -> Iterator[Turn]:
        """Let the block be one of `group`; the first needs no savepoint: it is all there is."""
        connection = self._begun(group)
        turn, alone = Turn(connection), not group.size
        if not alone:
            say(connection, f"SAVEPOINT {_POINT}")
        try:
            yield turn
            if turn.keep and not alone:
                say(connection, f"RELEASE SAVEPOINT {_POINT}")
        except BaseException:
            self._undo(group, all_of_it=alone)
            raise
        if not turn.keep:
            self._undo(group, all_of_it=alone)
            return
        group.size += 1
        group.revision = turn.revision or group.revision

    def _begun(self, group: _Group) -> Connection:
        """Return the connection, within the transaction of `group`.

        One that could not begin is not tried again: each of many would wait as long for the lock.
        """
        if group.failure is not None:
            raise group.failure
        try:
            if self._connection is None:
                self._connection = self._engine.connect()
            if group.transaction is None:
                group.transaction = self._connection.begin()
            self._require_transaction()
        except Exception as error:
            group.failure = error
            raise
        return self._connection

    def _undo(self, group: _Group, *, all_of_it: bool) -> None:
        if all_of_it:
            transaction, group.transaction = group.transaction, None
            if transaction is not None:
                transaction.rollback()
        elif self._connection is not None:
            say(self._connection, f"ROLLBACK TO SAVEPOINT {_POINT}")
            say(self._connection, f"RELEASE SAVEPOINT {_POINT}")

    def _keep(self, group: _Group) -> None:
        if not group.size or group.transaction is None:
            return
        try:
            self._require_transaction()
            group.transaction.commit()
        except DBAPIError as error:
            raise NotKept(error.orig) from error
        group.transaction = None

    def _require_transaction(self) -> None:
        """Raise NotKept if it has ended: a full disk makes the database undo it by itself.

        To commit then is no error to its driver.
        """
        connection = self._connection
        if connection is None or not (
            connection.connection.driver_connection.in_transaction  # type: ignore[union-attr]  # it is open
        ):
            raise NotKept("the database has undone it")

    def _end(self, group: _Group) -> None:
        """Leave no transaction, and no connection that may still be within one."""
        broken = group.transaction is not None or group.failure is not None
        if broken and self._connection is not None:
            self._connection.invalidate()
        if broken or self._closed:
            self._disconnect()

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(DBAPIError):
                connection.close()
