import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import OperationalError

from tests.store.samples import engine
from wgctl.store.connections import Connections
from wgctl.store.prepared import say


class Opened:
    """A database, and how many connections to it were opened, and closed."""

    def __init__(self, path: Path) -> None:
        self.engine: Engine = engine(path)
        self.opened = self.closed = 0
        event.listen(self.engine, "connect", self._count)
        event.listen(self.engine, "close", self._count_closed)

    def _count(self, _connection: object, _record: object) -> None:
        self.opened += 1

    def _count_closed(self, _connection: object, _record: object) -> None:
        self.closed += 1


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    made = Opened(tmp_path / "file.sqlite")
    yield made
    made.engine.dispose()


def test_one_is_opened_when_it_is_wanted_and_kept(opened: Opened) -> None:
    with closing(Connections(opened.engine)) as connections:
        before = opened.opened
        for _ in range(3):
            with connections.one() as connection, connection.begin():
                say(connection, "SELECT 1")
        with pytest.raises(ZeroDivisionError), connections.one():
            raise ZeroDivisionError

        assert (before, opened.opened, opened.closed) == (0, 1, 0)
    assert opened.closed == 1


def test_one_that_failed_or_is_within_a_transaction_is_not_used_again(opened: Opened) -> None:
    with closing(Connections(opened.engine)) as connections:
        with pytest.raises(OperationalError), connections.one() as first:
            say(first, "SELECT nothing")
        with connections.one() as second:
            second.begin()
        with connections.one() as third:
            within = third.in_transaction()

    assert first.closed
    assert second.closed
    assert not within


def test_each_block_has_its_own_and_only_some_are_kept(opened: Opened) -> None:
    """A burst of readers must not leave a hundred open files behind."""
    connections = Connections(opened.engine, most=3)
    with ExitStack() as blocks:
        given = [blocks.enter_context(connections.one()) for _ in range(5)]

        assert len(set(map(id, given))) == 5
    left = [connection for connection in given if not connection.closed]
    connections.close()

    assert len(left) == 3
    assert all(connection.closed for connection in given)


def test_none_is_kept_once_they_were_closed(opened: Opened) -> None:
    connections = Connections(opened.engine)
    with connections.one() as connection:
        connections.close()
        say(connection, "SELECT 1")
    with connections.one() as connection:
        say(connection, "SELECT 1")

    assert (opened.opened, opened.closed) == (2, 2)


def test_threads_never_share_one(opened: Opened) -> None:
    inside: set[int] = set()
    shared: list[Connection] = []
    began = threading.Barrier(4)

    def ask(connections: Connections) -> None:
        began.wait()
        for _ in range(200):
            with connections.one() as connection:
                if id(connection) in inside:
                    shared.append(connection)
                inside.add(id(connection))
                say(connection, "SELECT 1")
                inside.discard(id(connection))

    with closing(Connections(opened.engine)) as connections, ThreadPoolExecutor(4) as threads:
        running = [threads.submit(ask, connections) for _ in range(4)]
    for each in running:
        each.result()

    assert shared == []
    assert opened.opened <= 4
