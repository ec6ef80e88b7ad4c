from contextlib import closing
from pathlib import Path

import pytest

from wgctl.core.errors import Unavailable
from wgctl.store.side_file import SideFile

SCHEMA = "CREATE TABLE IF NOT EXISTS numbers (number INTEGER PRIMARY KEY)"
INSERT = "INSERT INTO numbers VALUES (?)"


class Numbers(SideFile):
    def read(self) -> list[int]:
        return [number for (number,) in self.ask("SELECT number FROM numbers")]


def test_what_is_written_outlives_the_process_and_is_the_roles_own(tmp_path: Path) -> None:
    path = tmp_path / "side.sqlite"
    with closing(Numbers(path, schema=SCHEMA)) as first:
        first.change(INSERT, [(1,), (2,)])
    with closing(Numbers(path, schema=SCHEMA)) as second:
        found = second.read()

    assert found == [1, 2]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_change_is_made_wholly_or_not_at_all(tmp_path: Path) -> None:
    with closing(Numbers(tmp_path / "side.sqlite", schema=SCHEMA)) as made:
        with pytest.raises(Unavailable, match=r"side\.sqlite: UNIQUE"):
            made.change(INSERT, [(1,), (1,)])

        assert made.read() == []


def test_what_is_damaged_later_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "side.sqlite"
    with closing(Numbers(path, schema=SCHEMA)) as made:
        made.change(INSERT, [(1,)])
    path.write_bytes(path.read_bytes()[:4096] + b"\xff" * 4096)
    with closing(Numbers(path, schema=SCHEMA)) as found, pytest.raises(Unavailable):
        found.read()


def test_a_file_of_another_form_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "side.sqlite").write_bytes(b"not a database, for longer than its header is" * 9)

    with closing(Numbers(tmp_path / "side.sqlite", schema=SCHEMA)) as made:
        made.change(INSERT, [(1,)])

        assert made.read() == [1]


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"side\.sqlite"):
        SideFile(tmp_path / "no" / "side.sqlite", schema=SCHEMA)
