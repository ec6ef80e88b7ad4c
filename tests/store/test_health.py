from collections.abc import Iterator
from pathlib import Path

import pysqlite3.dbapi2
import pytest

from wgctl.core.errors import Unavailable
from wgctl.core.health import Health, Record
from wgctl.store.health import HealthFile

GOOD = Record(1).moved(Health.HEALTHY, at=5, reason="tcp 80: connected")
BAD = Record(2).moved(Health.UNHEALTHY, at=6, reason="http 80: 503, expected 2xx")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "health.sqlite"


@pytest.fixture
def file(path: Path) -> Iterator[HealthFile]:
    opened = HealthFile(path)
    yield opened
    opened.close()


def test_what_was_written_last_is_read_back_after_a_restart(file: HealthFile, path: Path) -> None:
    later = GOOD.moved(Health.UNHEALTHY, at=9, reason="tcp 80: connection refused")
    for record in (BAD, GOOD, later):
        file.write(record)
    again = HealthFile(path)
    found = again.read()
    again.close()

    assert found == [later, BAD]


def test_what_is_forgotten_is_gone(file: HealthFile) -> None:
    file.write(GOOD)
    file.write(BAD)
    file.forget([GOOD.machine_id, 99])

    assert file.read() == [BAD]


def test_it_is_its_owners_alone(file: HealthFile, path: Path) -> None:
    assert path.stat().st_mode & 0o077 == 0


def test_a_damaged_file_is_made_anew(path: Path) -> None:
    path.write_bytes(b"no database" * 100)
    file = HealthFile(path)
    file.write(GOOD)

    assert file.read() == [GOOD]
    file.close()


@pytest.mark.parametrize(
    "body",
    ["", "{}", '["fine", []]', '["healthy", [[1, "healthy", "fine", "x"]]]', '["healthy", [[1]]]'],
)
def test_a_record_that_cannot_be_read_is_left_out(file: HealthFile, path: Path, body: str) -> None:
    file.write(GOOD)
    beside = pysqlite3.dbapi2.connect(path)
    beside.execute("INSERT INTO records VALUES (7, ?)", (body,))
    beside.commit()
    beside.close()

    assert file.read() == [GOOD]


def test_a_folder_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    file = HealthFile(tmp_path / "nowhere" / "health.sqlite")

    with pytest.raises(Unavailable, match="nowhere"):
        file.read()
