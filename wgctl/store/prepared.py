"""Statements that are compiled once, and run again and again as the driver has them.

At each run SQLAlchemy looks for what it compiled, and makes an execution, a result and its columns
anew: ten times what SQLite takes to find a row by its key. Here it says once how a statement is
written for a database, and how its values are converted.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from sqlalchemy import Connection, Delete, Dialect, Insert, RowMapping, Select, Update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.types import TypeEngine

__all__ = ["Prepared", "Values", "say"]

Values: TypeAlias = dict[str, Any] | RowMapping
"""The values of a row by the names of its columns, as they are found here or by SQLAlchemy."""

_Convert: TypeAlias = Callable[[Any], Any] | None
_Any: TypeAlias = Select[*tuple[Any, ...]] | Insert | Update | Delete
_Statement = TypeVar("_Statement", bound=_Any)


class Prepared(Generic[_Statement]):
    """A statement whose values are given at each run, by name. Safe to use from several threads."""

    def __init__(self, statement: _Statement, *, columns: Iterable[str] = ()) -> None:
        """Prepare `statement`, which writes `columns`; each of its values has a name of its own."""
        self.statement = statement
        self._columns = list(columns)
        self._written: dict[str, _Written] = {}

    def rows(self, connection: Connection, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the rows that it finds, or gives back, with `values`."""
        written = self._for(connection.dialect)
        found = _ran(connection, written.text, written.filled(values), fetch=True)
        return [written.row(row) for row in found]

    def run(self, connection: Connection, values: Mapping[str, Any]) -> None:
        """Run it with `values`, where it gives nothing back."""
        written = self._for(connection.dialect)
        _ran(connection, written.text, written.filled(values), fetch=False)

    def _for(self, dialect: Dialect) -> "_Written":
        try:
            return self._written[dialect.name]
        except KeyError:
            written = self._written[dialect.name] = _write(self.statement, self._columns, dialect)
            return written


def say(connection: Connection, text: str) -> None:
    """Run `text`, a statement that has no values and gives nothing back."""
    _ran(connection, text, (), fetch=False)


@dataclass(frozen=True, slots=True)
class _Written:
    """A statement in the words of one database.

    `places` are the names of its values in their order, and how each is converted; those that have
    no name outside are `fixed`. `converted` are the columns of a row that are not as the driver
    gives them.
    """

    text: str
    by_name: bool
    places: Sequence[tuple[str, _Convert]]
    fixed: Mapping[str, Any]
    columns: Sequence[str]
    converted: Sequence[tuple[str, Callable[[Any], Any]]]

    def filled(self, values: Mapping[str, Any]) -> Any:
        """Return `values` as the driver takes them."""
        given = {**self.fixed, **values} if self.fixed else values
        if self.by_name:
            return {n: given[n] if to is None else to(given[n]) for n, to in self.places}
        return [given[n] if to is None else to(given[n]) for n, to in self.places]

    def row(self, found: Sequence[Any]) -> dict[str, Any]:
        """Return the values of a row that the driver found."""
        values = dict(zip(self.columns, found, strict=True))
        for name, convert in self.converted:
            values[name] = convert(values[name])
        return values


def _write(statement: _Any, columns: list[str], dialect: Dialect) -> _Written:
    compiled = statement.compile(dialect=dialect, column_keys=columns)
    names = list(compiled.binds) if compiled.positiontup is None else compiled.positiontup
    found = statement.exported_columns
    kept = [(column.name, _reading(column.type, dialect)) for column in found]
    return _Written(
        text=str(compiled),
        by_name=compiled.positiontup is None,
        places=[(name, _writing(compiled.binds[name].type, dialect)) for name in names],
        fixed={n: compiled.binds[n].value for n in names if not compiled.binds[n].required},
        columns=[name for name, _ in kept],
        converted=[(name, convert) for name, convert in kept if convert is not None],
    )


def _writing(kind: TypeEngine[Any], dialect: Dialect) -> _Convert:
    return kind.dialect_impl(dialect).bind_processor(dialect)


def _reading(kind: TypeEngine[Any], dialect: Dialect) -> _Convert:
    return kind.dialect_impl(dialect).result_processor(dialect, None)


def _ran(connection: Connection, text: str, values: Any, *, fetch: bool) -> Sequence[Any]:
    """Run the statement `text`, and raise what goes wrong as SQLAlchemy does."""
    dialect = connection.dialect
    cursor = connection.connection.cursor()
    try:
        cursor.execute(text, values)
        return cursor.fetchall() if fetch else ()
    except dialect.loaded_dbapi.Error as error:
        base = dialect.loaded_dbapi.Error
        raise DBAPIError.instance(text, None, error, base, dialect=dialect) from error
    finally:
        cursor.close()
