import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pysqlite3.dbapi2
import pytest
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import NullPool

from tests.system.hosts import eventually
from wgctl.store.turns import NotKept, Turns

_ADD = "INSERT INTO numbers VALUES (?)"
_ONE, _TWO, _THREE = (_ADD.replace("?", str(number)) for number in (1, 2, 3))


class Written:
    """A database of two tables, its writers, how often they committed, and what they have open."""

    def __init__(self, path: Path) -> None:
        self.engine = _engine(path)
        self.commits = self.opened = 0
        with self.engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE numbers (number INTEGER PRIMARY KEY)")
            connection.exec_driver_sql(
                "CREATE TABLE after (number REFERENCES numbers DEFERRABLE INITIALLY DEFERRED)"
            )
        event.listen(self.engine, "commit", self._count)
        event.listen(self.engine, "connect", lambda _connection, _record: self._open(1))
        event.listen(self.engine, "close", lambda _connection, _record: self._open(-1))
        self.turns = Turns(self.engine)

    def _open(self, more: int) -> None:
        self.opened += more

    def _count(self, _connection: Connection) -> None:
        self.commits += 1

    def write(self, statement: str, *values: int) -> None:
        with self.turns.turn() as turn:
            turn.connection.exec_driver_sql(statement, values)

    def add(self, number: int) -> None:
        self.write(_ADD, number)

    def numbers(self) -> list[int]:
        """Return what another connection sees."""
        with self.engine.connect() as connection:
            return list(connection.exec_driver_sql("SELECT number FROM numbers").scalars())

    @contextmanager
    def together(self, *statements: str) -> Iterator[list[Future[None]]]:
        """Run each in a thread of its own; all wait until the block, which adds 0, is over."""
        with ThreadPoolExecutor(len(statements)) as threads, self.turns.turn() as turn:
            turn.connection.exec_driver_sql(_ADD, (0,))
            running = []
            for statement in statements:
                running.append(threads.submit(self.write, statement))
                eventually(lambda: self.turns.waiting == len(running))  # at once
            yield running


def _engine(path: Path) -> Engine:
    engine = create_engine(f"sqlite:///{path}", module=pysqlite3.dbapi2, poolclass=NullPool)
    event.listen(engine, "connect", lambda connection, _record: _prepare(connection))
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    return engine


def _prepare(connection: pysqlite3.dbapi2.Connection) -> None:
    connection.isolation_level = None
    for pragma in ("journal_mode = WAL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")


@pytest.fixture
def written(tmp_path: Path) -> Iterator[Written]:
    made = Written(tmp_path / "file.sqlite")
    yield made
    made.turns.close()
    made.engine.dispose()


def test_each_alone_has_a_commit_of_its_own(written: Written) -> None:
    for number in range(3):
        written.add(number)

    assert (written.numbers(), written.commits) == ([0, 1, 2], 3)


def test_those_who_came_meanwhile_share_one_commit(written: Written) -> None:
    with written.together(_ONE, _TWO, _THREE) as others:
        pass

    assert [other.result() for other in others] == [None] * 3
    assert (written.numbers(), written.commits) == ([0, 1, 2, 3], 1)


def test_nobody_hears_of_the_end_before_all_is_durable(written: Written) -> None:
    """The last one has its turn only once it is let: until then no one has an answer."""
    let, began = threading.Event(), threading.Event()

    def dawdle() -> None:
        with written.turns.turn() as turn:
            turn.connection.exec_driver_sql(_ADD, (2,))
            began.set()
            let.wait()

    with ThreadPoolExecutor(2) as threads:
        with written.turns.turn() as turn:
            turn.connection.exec_driver_sql(_ADD, (1,))
            last = threads.submit(dawdle)
            eventually(lambda: written.turns.waiting == 1)
            looking = threads.submit(_look_before, began, let, written)

        assert looking.result() == []
        assert written.numbers() == [1, 2]
        last.result()


def _look_before(began: threading.Event, let: threading.Event, written: Written) -> list[int]:
    began.wait()
    try:
        return written.numbers()
    finally:
        let.set()


def test_one_that_raises_leaves_no_trace_and_the_others_stay(written: Written) -> None:
    bad = "INSERT INTO numbers VALUES (7), (0)"
    with written.together(_ONE, bad, bad) as others:
        pass

    assert others[0].result() is None
    for other in others[1:]:
        with pytest.raises(Exception, match="UNIQUE"):
            other.result()
    assert written.numbers() == [0, 1]


def test_what_is_not_to_be_kept_leaves_no_trace(written: Written) -> None:
    with written.turns.turn() as turn:
        turn.connection.exec_driver_sql(_ADD, (1,))
        turn.keep = False
    with written.together(_TWO), written.engine.connect():
        pass

    assert (written.numbers(), written.commits) == ([0, 2], 1)


@pytest.mark.parametrize(
    "statements",
    [
        pytest.param([_ONE, "INSERT INTO after VALUES (99)"], id="the commit fails"),
        # Alone: whoever has not begun when all is undone has a commit of its own.
        pytest.param(["INSERT OR ROLLBACK INTO numbers VALUES (0)"], id="the database undoes all"),
    ],
)
def test_what_fails_for_all_is_told_to_each_and_leaves_nothing(
    written: Written, statements: list[str]
) -> None:
    """To commit after the database has undone all is no error to the driver: it must be seen."""
    ended = []
    with (
        pytest.raises(NotKept),
        written.together(*statements) as others,
    ):
        ended = others

    for other in ended:
        with pytest.raises(NotKept, match=r"FOREIGN KEY|undone"):
            other.result()
    assert written.numbers() == []
    written.add(5)
    assert written.numbers() == [5]


def test_the_first_that_raises_holds_nobody_up(written: Written) -> None:
    with (
        pytest.raises(ZeroDivisionError),
        written.together(_ONE) as others,
    ):
        raise ZeroDivisionError

    assert others[0].result() is None
    assert written.numbers() == [1]


def test_who_closes_keeps_what_was_left_to_the_one_behind_and_holds_nobody_up(
    written: Written,
) -> None:
    rounds = 12  # Which of the two has the lock first is the system's choice.
    for number in range(0, 2 * rounds, 2):
        closing = threading.Thread(target=written.turns.close)
        with ThreadPoolExecutor(1) as threads:
            with written.turns.turn() as turn:
                turn.connection.exec_driver_sql(_ADD, (number,))
                closing.start()
                eventually(lambda: _is_in_close(closing))  # noqa: B023  # at once
                behind = threads.submit(written.add, number + 1)
                eventually(lambda: written.turns.waiting == 1)
            behind.result()
        closing.join()

    assert written.numbers() == list(range(2 * rounds))
    assert written.opened == 0


def _is_in_close(thread: threading.Thread) -> bool:
    frame = sys._current_frames().get(thread.ident or 0)  # noqa: SLF001  # its name in the library
    return frame is not None and frame.f_code is Turns.close.__code__


def test_who_comes_after_they_were_closed_leaves_nothing_open(written: Written) -> None:
    written.add(1)
    kept = written.opened
    written.turns.close()
    with written.together(_ONE, _TWO) as others:
        turn = written.opened

    assert (kept, turn, written.opened) == (1, 1, 0)
    assert written.numbers() == [0, 1, 2]
    with pytest.raises(Exception, match="UNIQUE"):
        others[0].result()


def test_many_at_once_lose_nothing(written: Written) -> None:
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(written.add, range(400)))

    assert written.numbers() == list(range(400))
    assert written.commits < 400
