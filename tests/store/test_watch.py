import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Engine, event
from sqlalchemy.exc import OperationalError

from tests.store.samples import engine
from wgctl.store.prepared import say
from wgctl.store.watch import Watch


class Opened:
    """A database, and how many connections to it were opened."""

    def __init__(self, path: Path) -> None:
        self.engine: Engine = engine(path)
        self.connections = 0
        event.listen(self.engine, "connect", self._count)

    def _count(self, _connection: object, _record: object) -> None:
        self.connections += 1


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    made = Opened(tmp_path / "file.sqlite")
    yield made
    made.engine.dispose()


def test_one_connection_is_opened_when_it_is_wanted_and_kept(opened: Opened) -> None:
    with closing(Watch(opened.engine)) as watch:
        before = opened.connections
        for _ in range(3):
            with watch.connected() as connection:
                say(connection, "SELECT 1")

    assert (before, opened.connections) == (0, 1)


def test_after_an_error_and_after_closing_there_is_another(opened: Opened) -> None:
    watch = Watch(opened.engine)
    for _ in range(2):
        with pytest.raises(OperationalError), watch.connected() as connection:
            say(connection, "SELECT nothing")
    with watch.connected() as connection:
        say(connection, "SELECT 1")
    watch.close()
    with closing(watch), watch.connected() as connection:
        say(connection, "SELECT 1")

    assert opened.connections == 3


def test_it_is_given_to_one_thread_at_a_time(opened: Opened) -> None:
    inside: list[int] = []
    most: list[int] = []

    def ask(watch: Watch) -> None:
        for _ in range(200):
            with watch.connected() as connection:
                inside.append(1)
                say(connection, "SELECT 1")
                most.append(len(inside))
                inside.pop()

    with closing(Watch(opened.engine)) as watch:
        threads = [threading.Thread(target=ask, args=(watch,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert set(most) == {1}
    assert opened.connections == 1
