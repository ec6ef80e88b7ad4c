from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, Inspector, create_engine, inspect
from sqlalchemy.engine.interfaces import ReflectedForeignKeyConstraint

from tests.store.samples import create, engine
from wgctl.store.tables import metadata


def _migrated(folder: Path) -> Engine:
    store = create(folder)
    store.close()
    return engine(store.path)


def _cascades(key: ReflectedForeignKeyConstraint) -> bool:
    return key["options"].get("ondelete") == "CASCADE"


def test_the_migrations_make_exactly_these_tables(tmp_path: Path) -> None:
    migrated = _migrated(tmp_path)
    with migrated.connect() as connection:
        difference = compare_metadata(MigrationContext.configure(connection), metadata)
    migrated.dispose()

    assert difference == []


def test_constraints_have_the_names_that_the_tables_give_them(tmp_path: Path) -> None:
    migrated, made = _migrated(tmp_path), create_engine("sqlite://")
    metadata.create_all(made)
    found, expected = _names(inspect(migrated)), _names(inspect(made))
    migrated.dispose()
    made.dispose()

    assert found == expected
    assert "uq_peers_public_key" in found["peers"]


def test_what_an_org_owns_goes_with_it_in_the_file_too(tmp_path: Path) -> None:
    migrated = _migrated(tmp_path)
    inspector = inspect(migrated)
    owned = [table.name for table in metadata.sorted_tables if "org_id" in table.c]
    keys = {
        name: {tuple(key["constrained_columns"]): key for key in inspector.get_foreign_keys(name)}
        for name in owned
    }
    migrated.dispose()

    assert owned
    assert all(_cascades(keys[name]["org_id",]) for name in owned)
    assert all(
        _cascades(key)
        for name in owned
        for columns, key in keys[name].items()
        if columns[0] in {"network_id", "app_id", "peer_id"}
    )


def test_every_id_is_one_that_sqlite_never_gives_out_twice(tmp_path: Path) -> None:
    migrated = _migrated(tmp_path)
    with migrated.connect() as connection:
        found = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master")
        texts = {row.name: row.sql for row in found}
    migrated.dispose()
    counted = [table.name for table in metadata.sorted_tables if "id" in table.c]

    assert counted
    assert all("AUTOINCREMENT" in texts[name] for name in counted)


def _names(inspector: Inspector) -> dict[str, set[str | None]]:
    return {
        table: {
            inspector.get_pk_constraint(table)["name"],
            *(found["name"] for found in inspector.get_unique_constraints(table)),
            *(found["name"] for found in inspector.get_check_constraints(table)),
            *(found["name"] for found in inspector.get_foreign_keys(table)),
            *(found["name"] for found in inspector.get_indexes(table)),
        }
        for table in metadata.tables
    }
