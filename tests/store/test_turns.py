import inspect
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pysqlite3.dbapi2
import pytest
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from tests.system.hosts import eventually
from wgctl.store.turns import NotKept, Turns

_ADD = "INSERT INTO numbers VALUES (?)"
_ZERO, _ONE, _TWO, _THREE = (_ADD.replace("?", str(number)) for number in range(4))


class Written:
    """A database of two tables, its writers, how often they began and committed, what is open.

    `kept` is each revision that was told, and the numbers that another connection saw by then.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.engine = _engine(path)
        self.commits = self.opened = self.begun = 0
        self.kept: list[tuple[int, list[int]]] = []
        with self.engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE numbers (number INTEGER PRIMARY KEY)")
            connection.exec_driver_sql(
                "CREATE TABLE after (number REFERENCES numbers DEFERRABLE INITIALLY DEFERRED)"
            )
        event.listen(self.engine, "commit", self._count)
        event.listen(self.engine, "connect", lambda _connection, _record: self._open(1))
        event.listen(self.engine, "close", lambda _connection, _record: self._open(-1))
        event.listen(self.engine, "begin", self._begin)
        self.turns = Turns(
            self.engine, on_kept=lambda told: self.kept.append((told, self.numbers()))
        )

    def _keep(self, revision: int) -> None:
        self.kept.append((revision, self.numbers()))

    def _open(self, more: int) -> None:
        self.opened += more

    def _begin(self, connection: Connection) -> None:
        self.begun += 1
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    def _count(self, _connection: Connection) -> None:
        self.commits += 1

    def write(self, statement: str, *values: int) -> None:
        with self.turns.turn() as turn:
            turn.connection.exec_driver_sql(statement, values)

    def add(self, number: int) -> None:
        self.write(_ADD, number)

    def numbers(self) -> list[int]:
        """Return what another connection sees."""
        with closing(pysqlite3.dbapi2.connect(self.path)) as connection:
            return [number for (number,) in connection.execute("SELECT number FROM numbers")]

    def together(self, *statements: str) -> list[str]:
        """Run each in a turn of its own, after one that adds 0; return what those that failed said.

        Raises NotKept when nothing was kept.
        """
        said = []
        with self.turns.together():
            for statement in (_ZERO, *statements):
                try:
                    self.write(statement)
                except (DBAPIError, NotKept) as error:
                    said.append(str(error))
        return said


def _engine(path: Path) -> Engine:
    engine = create_engine(
        f"sqlite:///{path}",
        module=pysqlite3.dbapi2,
        connect_args={"timeout": 0.2},
        poolclass=NullPool,
    )
    event.listen(engine, "connect", lambda connection, _record: _prepare(connection))
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


def test_those_together_share_one_commit(written: Written) -> None:
    assert written.together(_ONE, _TWO, _THREE) == []
    assert (written.numbers(), written.commits) == ([0, 1, 2, 3], 1)


def test_what_is_together_is_seen_there_and_nowhere_else_before_its_end(written: Written) -> None:
    with ThreadPoolExecutor(1) as threads, written.turns.together():
        nothing = written.turns.written
        written.add(1)
        here = written.turns.written
        assert here is not None
        seen = list(here.exec_driver_sql("SELECT number FROM numbers").scalars())
        elsewhere = threads.submit(lambda: (written.turns.written, written.numbers())).result()

    assert (nothing, seen, elsewhere) == (None, [1], (None, []))
    assert (written.turns.written, written.numbers()) == (None, [1])


def test_another_thread_waits_until_all_that_is_together_is_durable(written: Written) -> None:
    seen: list[int] = []

    def look() -> None:
        with written.turns.turn() as turn:
            seen.extend(turn.connection.exec_driver_sql("SELECT number FROM numbers").scalars())
            turn.keep = False

    with ThreadPoolExecutor(1) as threads:
        with written.turns.together():
            written.add(1)
            other = threads.submit(look)
            eventually(lambda: _is_in(Turns.together, threads))
            written.add(2)
            assert not other.done()
        other.result()

    assert seen == [1, 2]


def _is_in(function: Callable[..., object], threads: ThreadPoolExecutor) -> bool:
    """Whether the one thread of `threads` runs `function`, or waits in it."""
    (thread,) = threads._threads  # noqa: SLF001  # nothing else says which it is
    frame = sys._current_frames().get(thread.ident or 0)  # noqa: SLF001  # its name in the library
    codes = set()
    while frame is not None:
        codes.add(frame.f_code)
        frame = frame.f_back
    return inspect.unwrap(function).__code__ in codes


def test_one_that_raises_leaves_no_trace_and_the_others_stay(written: Written) -> None:
    bad = "INSERT INTO numbers VALUES (7), (0)"
    said = written.together(_ONE, bad, _TWO, bad)

    assert len(said) == 2
    assert all("UNIQUE" in one for one in said)
    assert (written.numbers(), written.commits) == ([0, 1, 2], 1)


def test_a_first_one_that_raises_takes_none_with_it(written: Written) -> None:
    with written.turns.together():
        with pytest.raises(DBAPIError, match="UNIQUE"):
            written.write("INSERT INTO numbers VALUES (1), (1)")
        written.add(2)

    assert written.numbers() == [2]


def test_what_is_not_to_be_kept_leaves_no_trace(written: Written) -> None:
    with written.turns.together():
        for number in (1, 2, 3):
            with written.turns.turn() as turn:
                turn.connection.exec_driver_sql(_ADD, (number,))
                turn.keep = number == 2

    assert (written.numbers(), written.commits) == ([2], 1)


def test_what_raises_beside_the_turns_undoes_them_all(written: Written) -> None:
    def raise_after_one() -> None:
        with written.turns.together():
            written.add(1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        raise_after_one()
    assert written.numbers() == []
    written.add(2)
    assert written.numbers() == [2]


@pytest.mark.parametrize(
    ("statements", "why"),
    [
        pytest.param([_ONE, "INSERT INTO after VALUES (99)"], "FOREIGN KEY", id="the commit fails"),
        pytest.param(["INSERT OR ROLLBACK INTO numbers VALUES (0)", _ONE], "undone", id="undone"),
    ],
)
def test_what_fails_for_all_leaves_nothing(
    written: Written, statements: list[str], why: str
) -> None:
    """To commit after the database has undone all is no error to the driver: it must be seen."""
    with pytest.raises(NotKept, match=why):
        written.together(*statements)

    assert (written.numbers(), written.kept) == ([], [])
    written.add(5)
    assert written.numbers() == [5]


def test_one_alone_hears_that_its_commit_failed(written: Written) -> None:
    with pytest.raises(NotKept, match="FOREIGN KEY"):
        written.write("INSERT INTO after VALUES (99)")


def test_a_lock_that_is_not_had_is_waited_for_once(written: Written) -> None:
    """Else the last of many would wait for it as often as there are many."""
    with closing(pysqlite3.dbapi2.connect(written.path)) as other:
        other.execute("BEGIN EXCLUSIVE")
        said = written.together(_ONE, _TWO)

    assert ["locked" in one for one in said] == [True, True, True]
    assert written.begun == 1
    written.add(1)
    assert written.numbers() == [1]


def test_a_turn_within_a_turn_is_refused(written: Written) -> None:
    with pytest.raises(RuntimeError, match="within a turn"), written.turns.turn():
        written.add(1)

    assert written.numbers() == []


def test_the_last_revision_is_told_once_it_is_durable(written: Written) -> None:
    with written.turns.together():
        for number, keep in ((1, True), (2, True), (3, False)):
            with written.turns.turn() as turn:
                turn.connection.exec_driver_sql(_ADD, (number,))
                turn.revision, turn.keep = number, keep
        before = list(written.kept)

    assert (before, written.kept) == ([], [(2, [1, 2])])


def test_who_comes_after_they_were_closed_leaves_nothing_open(written: Written) -> None:
    written.add(1)
    kept = written.opened
    written.turns.close()
    with written.turns.together():
        written.add(2)
        meanwhile = written.opened

    assert (kept, meanwhile, written.opened) == (1, 1, 0)
    assert written.numbers() == [1, 2]


def test_who_closes_waits_for_who_writes(written: Written) -> None:
    with ThreadPoolExecutor(1) as threads:
        with written.turns.together():
            written.add(1)
            ended = threads.submit(written.turns.close)
            eventually(lambda: _is_in(Turns.close, threads))
            written.add(2)
        ended.result()

    assert (written.numbers(), written.opened) == ([1, 2], 0)


def test_many_at_once_lose_nothing(written: Written) -> None:
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(written.add, range(400)))

    assert written.numbers() == list(range(400))
