from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import pytest

from tests.drivers.mounts import in_private_mounts, mount_small
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


def test_what_is_damaged_later_is_told_once_and_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "side.sqlite"
    with closing(Numbers(path, schema=SCHEMA)) as made:
        made.change(INSERT, [(1,)])
    path.write_bytes(path.read_bytes()[:4096] + b"\xff" * 4096)
    with closing(Numbers(path, schema=SCHEMA)) as found:
        with pytest.raises(Unavailable, match="malformed"):
            found.read()
        found.change(INSERT, [(2,)])

        assert found.read() == [2]


def test_a_file_of_another_form_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "side.sqlite").write_bytes(b"not a database, for longer than its header is" * 9)

    with closing(Numbers(tmp_path / "side.sqlite", schema=SCHEMA)) as made:
        made.change(INSERT, [(1,)])

        assert made.read() == [1]


def test_what_cannot_be_opened_is_as_soon_as_it_can(tmp_path: Path) -> None:
    """A role that starts on a full disk does without it."""
    folder = tmp_path / "later"
    with closing(Numbers(folder / "side.sqlite", schema=SCHEMA)) as made:
        with pytest.raises(Unavailable, match=r"side\.sqlite"):
            made.read()
        folder.mkdir()
        made.change(INSERT, [(1,)])

        assert made.read() == [1]


def on_a_full_disk(folder: Path) -> None:
    """Have a file that cannot be opened for want of room, and is once there is some."""
    mount_small(folder, size_bytes=1 << 18)
    with closing(Numbers(folder / "side.sqlite", schema=SCHEMA)) as made:
        made.change(INSERT, [(1,)])
    ballast = folder / "ballast"
    with suppress(OSError), ballast.open("wb", buffering=0) as full:
        while True:
            full.write(bytes(4096))
    with closing(Numbers(folder / "side.sqlite", schema=SCHEMA)) as found:
        with pytest.raises(Unavailable):
            found.read()
        ballast.unlink()
        assert found.read() == [1]
        found.change(INSERT, [(2,)])


@pytest.mark.network
def test_on_a_full_disk_nothing_is_lost_and_there_is_room_for_more_later(tmp_path: Path) -> None:
    in_private_mounts(partial(on_a_full_disk, tmp_path))
