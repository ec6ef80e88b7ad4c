"""Brings the tables of a database up to date.

What each step does is in `migrations`. Alembic, which takes a controller a fifth of its start, is
loaded only when there is a step to take.
"""

from pathlib import Path

from sqlalchemy import Connection, Engine, inspect

__all__ = ["LATEST", "UnknownSchema", "upgrade"]

LATEST = "0015"
"""The last of the migrations."""

_MIGRATIONS = Path(__file__).parent / "migrations"


class UnknownSchema(Exception):
    """The tables are of a migration that there is none of here."""


def upgrade(engine: Engine) -> None:
    """Take every migration that the database has not seen, all or none.

    Raises UnknownSchema for a database that has seen others.
    """
    with engine.connect() as connection, connection.begin():
        if _seen(connection) != LATEST:
            _migrate(connection)


def _seen(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return None if found is None else str(found)


def _migrate(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise UnknownSchema(str(error)) from error
