import threading
from collections.abc import Iterator

import pysqlite3.dbapi2
import pytest
from sqlalchemy import (
    Connection,
    Engine,
    Table,
    bindparam,
    create_engine,
    delete,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.pool import StaticPool

from tests.store.samples import engine
from wgctl.store import tables
from wgctl.store.prepared import Prepared, say
from wgctl.store.store import Store

_CHANGE = {"revision": 1, "place": 0, "kind": "org", "row_id": 7, "body": {"slug": "acme"}}


@pytest.fixture(params=["qmark", "named"])
def connection(request: pytest.FixtureRequest) -> Iterator[Connection]:
    """A database whose driver takes values by their places, or by their names."""
    made: Engine = create_engine(
        "sqlite://", module=pysqlite3.dbapi2, paramstyle=request.param, poolclass=StaticPool
    )
    tables.metadata.create_all(made)
    with made.connect() as connection:
        yield connection
    made.dispose()


def _put(connection: Connection, **values: object) -> None:
    Prepared(insert(tables.changes), columns=tuple(_CHANGE)).run(connection, _CHANGE | values)


@pytest.mark.parametrize("table", tables.metadata.sorted_tables, ids=str)
def test_rows_are_as_sqlalchemy_finds_them(furnished: Store, table: Table) -> None:
    """Of every type that a column has, in a store in which each table has rows."""
    with engine(furnished.path).connect() as connection:
        found = Prepared(select(table)).rows(connection, {})
        expected = connection.execute(select(table)).mappings().all()

    assert found == [dict(row) for row in expected]
    assert found or table.name == "ancestors"


def test_values_are_given_at_each_run_beside_those_of_the_statement(
    connection: Connection,
) -> None:
    changes = tables.changes
    moved = Prepared(
        update(changes)
        .where(changes.c.row_id > 5, changes.c.place == bindparam("which"))
        .values(row_id=changes.c.row_id + 100)
        .returning(changes),
        columns=["body"],
    )
    for place in (0, 1):
        _put(connection, place=place)
    for place, body in ((0, {"a": [1]}), (1, None)):
        found = moved.rows(connection, {"which": place, "body": body})

        assert found == [_CHANGE | {"place": place, "row_id": 107, "body": body}]
    assert moved.rows(connection, {"which": 2, "body": None}) == []


def test_a_statement_that_gives_nothing_back_is_run(connection: Connection) -> None:
    _put(connection)
    gone = Prepared(delete(tables.changes).where(tables.changes.c.place == bindparam("which")))
    gone.run(connection, {"which": 0})

    assert Prepared(select(tables.changes)).rows(connection, {}) == []


def test_a_value_that_is_not_given_is_an_error_and_never_a_null(connection: Connection) -> None:
    with pytest.raises(KeyError, match="body"):
        Prepared(insert(tables.changes), columns=tuple(_CHANGE)).run(
            connection, {name: value for name, value in _CHANGE.items() if name != "body"}
        )


def test_what_goes_wrong_is_raised_as_sqlalchemy_does_without_the_values(
    connection: Connection,
) -> None:
    _put(connection)
    with pytest.raises(IntegrityError) as violated:
        _put(connection, body={"key": "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="})
    with pytest.raises(OperationalError, match="no such savepoint"):
        say(connection, "RELEASE SAVEPOINT nowhere")

    assert str(violated.value.orig).startswith("UNIQUE constraint failed: changes.revision")
    assert "xTIB" not in str(violated.value)


def test_one_statement_serves_several_threads_and_databases(furnished: Store) -> None:
    orgs = Prepared(select(tables.orgs.c.slug).where(tables.orgs.c.slug == bindparam("slug")))
    opened = engine(furnished.path)
    found: list[list[dict[str, object]]] = []

    def look(slug: str) -> None:
        with opened.connect() as connection:
            found.extend(orgs.rows(connection, {"slug": slug}) for _ in range(50))

    threads = [threading.Thread(target=look, args=(slug,)) for slug in ("acme", "globex")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with create_engine("sqlite://", module=pysqlite3.dbapi2).connect() as other:
        tables.metadata.create_all(other)

        assert orgs.rows(other, {"slug": "acme"}) == []
    slugs = [row["slug"] for rows in found for row in rows]
    assert (len(slugs), slugs.count("acme")) == (100, 50)
