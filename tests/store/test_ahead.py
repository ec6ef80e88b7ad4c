from collections.abc import Iterator
from contextlib import closing

import pysqlite3.dbapi2
import pytest

from wgctl.store import ahead
from wgctl.store.copy_row import COLUMNS, CopyRow


@pytest.fixture
def connection() -> Iterator[pysqlite3.dbapi2.Connection]:
    """A file with the rows 1 to 3."""
    with closing(pysqlite3.dbapi2.connect(":memory:", isolation_level=None)) as opened:
        opened.execute(f"CREATE TABLE rows ({COLUMNS})")
        opened.executemany("INSERT INTO rows VALUES (?, ?, ?, ?, ?, ?)", map(_row, (1, 2, 3)))
        yield opened


def _row(id_: int, body: bytes | None = b"filed") -> CopyRow:
    return CopyRow("org", id_, None, None, None, body)


def _read(connection: pysqlite3.dbapi2.Connection, table: str) -> dict[int, bytes]:
    return dict(connection.execute(f"SELECT id, body FROM {table}").fetchall())  # noqa: S608  # two names of ours


def test_what_is_held_is_read_before_the_file(
    connection: pysqlite3.dbapi2.Connection,
) -> None:
    filed = _read(connection, "rows")
    ahead.lay(connection, [_row(1, None), _row(2, b"held"), _row(4, b"first")])
    ahead.lay(connection, [_row(4, b"held"), _row(9, None)])
    expected = {2: b"held", 3: b"filed", 4: b"held"}

    assert _read(connection, "rows") == expected
    assert _read(connection, "main.rows") == filed


def test_what_is_dropped_is_read_no_more(connection: pysqlite3.dbapi2.Connection) -> None:
    filed = _read(connection, "rows")
    ahead.lay(connection, [_row(1, None)])
    ahead.drop(connection)

    assert _read(connection, "rows") == filed
