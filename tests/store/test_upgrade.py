import subprocess
import sys
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import inspect

from tests.store.samples import engine
from wgctl.store import upgrade as module
from wgctl.store.tables import metadata
from wgctl.store.upgrade import LATEST, UnknownSchema, upgrade


def test_the_latest_is_the_last_migration_that_there_is() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(module.__file__).parent / "migrations"))

    assert ScriptDirectory.from_config(config).get_heads() == [LATEST]


def test_an_empty_database_gets_every_table_and_twice_is_once(tmp_path: Path) -> None:
    database = engine(tmp_path / "store.sqlite")

    upgrade(database)
    upgrade(database)

    assert {*inspect(database).get_table_names()} == {*metadata.tables, "alembic_version"}


def test_tables_of_another_migration_are_left_alone(tmp_path: Path) -> None:
    database = engine(tmp_path / "store.sqlite")
    upgrade(database)
    with database.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")

    with pytest.raises(UnknownSchema, match="9999"):
        upgrade(database)


def test_a_store_that_is_up_to_date_needs_no_alembic(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    upgrade(engine(path))
    script = (
        "import sys; from pathlib import Path; from tests.store.samples import engine;"
        "from wgctl.store.upgrade import upgrade; upgrade(engine(Path(sys.argv[1])));"
        "sys.exit('alembic' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", script, str(path)], check=False)

    assert done.returncode == 0
