from collections.abc import Iterator
from contextlib import closing

import pysqlite3.dbapi2
import pytest

from wgctl.store import ahead

_COLUMNS = "kind TEXT, id INTEGER, network_id INTEGER, lookup TEXT, address TEXT, body TEXT"


@pytest.fixture
def connection() -> Iterator[pysqlite3.dbapi2.Connection]:
    """A file with the rows 1 to 3."""
    with closing(pysqlite3.dbapi2.connect(":memory:", isolation_level=None)) as opened:
        opened.execute(f"CREATE TABLE rows ({_COLUMNS})")
        opened.executemany("INSERT INTO rows VALUES (?, ?, ?, ?, ?, ?)", map(_row, (1, 2, 3)))
        yield opened


def _row(id_: int, body: str | None = "filed") -> tuple[object, ...]:
    return ("org", id_, None, None, None, body)


def _read(connection: pysqlite3.dbapi2.Connection, table: str) -> dict[int, str]:
    return dict(connection.execute(f"SELECT id, body FROM {table}").fetchall())  # noqa: S608  # two names of ours


def test_what_is_held_is_read_before_the_file_and_settled_into_it(
    connection: pysqlite3.dbapi2.Connection,
) -> None:
    filed = _read(connection, "rows")
    ahead.lay(connection, [_row(1, None), _row(2, "held"), _row(4, "first")])
    ahead.lay(connection, [_row(4, "held"), _row(9, None)])
    expected = {2: "held", 3: "filed", 4: "held"}

    assert _read(connection, "rows") == expected
    assert _read(connection, "main.rows") == filed
    ahead.settle(connection)
    assert _read(connection, "main.rows") == expected
    ahead.drop(connection)
    assert _read(connection, "rows") == expected


def test_what_is_dropped_is_read_no_more(connection: pysqlite3.dbapi2.Connection) -> None:
    filed = _read(connection, "rows")
    ahead.lay(connection, [_row(1, None)])
    ahead.drop(connection)

    assert _read(connection, "rows") == filed
