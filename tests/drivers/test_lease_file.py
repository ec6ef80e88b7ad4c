import os
from collections import UserDict
from collections.abc import Callable, ItemsView
from pathlib import Path

import pytest

from wgctl.core.errors import Invalid
from wgctl.core.lease import Standing
from wgctl.drivers.lease_file import LeaseReader, read, write

_ONE = {7: Standing(15.5, healthy=True, holder="a")}
_TWO = {**_ONE, 8: Standing(16.0, healthy=False, holder="")}


def test_what_is_written_is_read_by_whoever_has_the_group(tmp_path: Path) -> None:
    path = tmp_path / "leases" / "standings"
    write(path, _ONE)
    write(path, _TWO)

    assert read(path) == _TWO
    assert path.stat().st_mode & 0o777 == 0o640
    assert path.parent.stat().st_mode & 0o777 == 0o750
    assert [found.name for found in path.parent.iterdir()] == ["standings"]


def test_no_file_says_nothing_and_another_is_invalid(tmp_path: Path) -> None:
    assert read(tmp_path / "none") == {}
    (tmp_path / "other").write_text("[leases]")
    with pytest.raises(Invalid):
        read(tmp_path / "other")


def test_each_file_is_news_once(tmp_path: Path) -> None:
    path = tmp_path / "standings"
    reader = LeaseReader(path)
    assert reader.news() is None
    write(path, _ONE)
    assert [reader.news(), reader.news()] == [_ONE, None]
    write(path, _TWO)
    assert [reader.news(), reader.news()] == [_TWO, None]

    path.write_text("damaged")
    with pytest.raises(Invalid):
        reader.news()
    assert reader.news() is None


def test_a_folder_that_may_not_be_entered_is_told_once_each_time(tmp_path: Path) -> None:
    """Who asks four times a second must not fill the log."""
    folder = tmp_path / "leases"
    reader = LeaseReader(folder / "standings")
    for _ in range(2):
        folder.write_text("no folder at all")
        with pytest.raises(NotADirectoryError):
            reader.news()
        assert reader.news() is None
        folder.unlink()
        assert reader.news() is None
    write(folder / "standings", _ONE)

    assert reader.news() == _ONE


def _long(path: Path) -> None:
    path.touch()
    os.truncate(path, 16 * 1024 * 1024 + 1)


@pytest.mark.parametrize(
    "make",
    [os.mkfifo, Path.mkdir, _long, lambda path: path.symlink_to("/dev/zero")],
    ids=["pipe", "folder", "long", "link"],
)
def test_what_lies_in_the_place_of_the_file_is_neither_waited_for_nor_kept(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    path = tmp_path / "standings"
    make(path)
    reader = LeaseReader(path)

    with pytest.raises((Invalid, OSError), match=r"no plain file|symbolic links|Is a directory"):
        reader.news()
    assert reader.news() is None


def test_a_link_is_not_followed_even_to_good_leases(tmp_path: Path) -> None:
    path = tmp_path / "standings"
    write(tmp_path / "others", _ONE)
    path.symlink_to("others")

    with pytest.raises(OSError, match="symbolic links"):
        read(path)


def test_nothing_is_written_through_a_link_that_is_put_meanwhile(tmp_path: Path) -> None:
    others = tmp_path / "others"
    others.write_text("theirs")
    others.chmod(0o600)

    class Linking(UserDict[int, Standing]):
        def items(self) -> ItemsView[int, Standing]:
            (tmp_path / "standings.new").symlink_to(others)
            return super().items()

    with pytest.raises(FileExistsError):
        write(tmp_path / "standings", Linking(_ONE))

    assert others.read_text() == "theirs"
    assert others.stat().st_mode & 0o777 == 0o600
    write(tmp_path / "standings", _ONE)
    assert read(tmp_path / "standings") == _ONE
