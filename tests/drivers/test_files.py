import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.drivers.mounts import in_private_mounts, mount_small
from tests.drivers.syncing import synced
from wgctl.core.errors import Denied, Invalid, Unavailable
from wgctl.drivers.files import (
    draft_of,
    led_to,
    new_whole_file,
    open_itself,
    place,
    put,
    sync_folder,
)

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")


def _hide_proc() -> None:
    mount_small(Path("/proc"), size_bytes=4096)


def _in_place(work: Callable[[], None]) -> None:
    work()


def _without_nameless_files(work: Callable[[], None]) -> None:
    """A file without a name gets one through /proc."""

    def hidden() -> None:
        _hide_proc()
        work()

    in_private_mounts(hidden)


either_way = pytest.mark.parametrize(
    "way", [_in_place, pytest.param(_without_nameless_files, marks=as_root)]
)


@either_way
def test_a_file_has_its_name_only_when_it_is_whole(
    tmp_path: Path, way: Callable[[Callable[[], None]], None]
) -> None:
    path = tmp_path / "backup"

    def write() -> None:
        with new_whole_file(path) as into:
            into.write(b"half")
            assert not path.exists()
            assert bool(list(tmp_path.iterdir())) == (way is _without_nameless_files)
            into.write(b" and half")

    way(write)
    assert path.read_bytes() == b"half and half"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


@either_way
def test_a_file_that_fails_half_way_is_not_there(
    tmp_path: Path, way: Callable[[Callable[[], None]], None]
) -> None:
    def fail() -> None:
        with pytest.raises(ZeroDivisionError), new_whole_file(tmp_path / "backup") as into:
            into.write(b"%d" % (1 // 0))

    way(fail)
    assert list(tmp_path.iterdir()) == []


@either_way
def test_no_file_is_written_over_even_if_it_came_meanwhile(
    tmp_path: Path, way: Callable[[Callable[[], None]], None]
) -> None:
    path = tmp_path / "backup"

    def write() -> None:
        with pytest.raises(Invalid, match="exists already"), new_whole_file(path):
            path.write_text("another's")

    way(write)
    assert path.read_text() == "another's"
    assert list(tmp_path.iterdir()) == [path]


def test_neither_a_file_nor_a_link_is_written_over(tmp_path: Path) -> None:
    path = tmp_path / "backup"
    path.write_text("yesterday's")

    with pytest.raises(Invalid, match="exists already"), new_whole_file(path):
        pytest.fail("the file was opened")
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Invalid, match="exists already"), new_whole_file(path):
        pytest.fail("the file was opened")
    assert [found.name for found in tmp_path.iterdir()] == ["backup"]


@pytest.mark.parametrize("parent", ["missing", "file"])
def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path, parent: str) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(Invalid, match="is no folder"), new_whole_file(tmp_path / parent / "b"):
        pytest.fail("the file was opened")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_killed_it_leaves_nothing(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        with new_whole_file(tmp_path / "backup") as into:
            into.write(bytes(1 << 20))
            into.flush()
            os.kill(os.getpid(), signal.SIGKILL)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert list(tmp_path.iterdir()) == []


@as_root
@pytest.mark.parametrize("written", [1 << 20, 40_000])
def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path, written: int) -> None:
    """Also when only the last of it, which waited in memory, finds no room."""

    def fill() -> None:
        mount_small(tmp_path, size_bytes=32_768)
        with (
            pytest.raises(Unavailable, match="backup cannot be written: No space left"),
            new_whole_file(tmp_path / "backup") as into,
        ):
            into.writelines(bytes(1000) for _ in range(0, written, 1000))
        assert list(tmp_path.iterdir()) == []

    in_private_mounts(fill)


def test_its_name_is_on_the_disk_too(tmp_path: Path) -> None:
    with synced() as first, new_whole_file(tmp_path / "backup") as into:
        into.write(b"whole")
    with synced() as again:
        place(tmp_path / "backup", tmp_path / "other", mode=0o644)

    assert first[-1] == again[-1] == tmp_path
    assert len(first) == len(again) == 2


@as_root
def test_a_folder_that_may_only_be_written_is_not_in_the_way(tmp_path: Path) -> None:
    tmp_path.chmod(0o300)
    os.chown(tmp_path, 12_345, 12_345)

    def sync() -> None:
        os.chdir(tmp_path)
        os.seteuid(12_345)
        with pytest.raises(PermissionError):
            list(Path().iterdir())
        sync_folder(Path())

    in_private_mounts(sync)


def test_a_folder_that_no_disk_holds_is_not_in_the_way() -> None:
    sync_folder(Path("/proc/self"))


def test_what_is_put_takes_the_place_of_what_was_there_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "file"
    put(path, b"one")
    path.chmod(0o644)
    for content in (b"two, and longer", b""):
        put(path, content)

        assert path.read_bytes() == content
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert list(path.parent.iterdir()) == [path]


@as_root
def test_what_cannot_be_put_whole_leaves_what_was_there(tmp_path: Path) -> None:
    folder = tmp_path / "small"
    folder.mkdir()

    def fill() -> None:
        mount_small(folder, size_bytes=65_536)
        put(folder / "file", b"before")
        with pytest.raises(OSError, match="No space left"):
            put(folder / "file", b"x" * 1_000_000)

        assert (folder / "file").read_bytes() == b"before"
        assert list(folder.iterdir()) == [folder / "file"]

    in_private_mounts(fill)


def test_a_draft_goes_unless_it_was_named(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_text("text")
    with draft_of(source, tmp_path, mode=0o640) as draft:
        assert (draft.read_text(), draft.stat().st_mode & 0o777) == ("text", 0o640)
    with draft_of(source, tmp_path, mode=0o640) as draft:
        draft.rename(tmp_path / "named")

    assert sorted(path.name for path in tmp_path.iterdir()) == ["named", "source"]


def test_a_place_that_is_taken_is_left_alone(tmp_path: Path) -> None:
    for name in ("source", "target"):
        (tmp_path / name).write_text(name)

    with pytest.raises(Invalid, match="exists already"):
        place(tmp_path / "source", tmp_path / "target", mode=0o600)
    assert (tmp_path / "target").read_text() == "target"
    assert len(list(tmp_path.iterdir())) == 2


@as_root
def test_what_is_placed_belongs_to_whoever_has_the_folder(tmp_path: Path) -> None:
    (tmp_path / "role").mkdir()
    os.chown(tmp_path / "role", 12_345, 12_345)
    (tmp_path / "source").write_text("text")
    place(tmp_path / "source", tmp_path / "role" / "target", mode=0o600)

    assert (tmp_path / "role" / "target").stat().st_uid == 12_345


def test_links_of_ours_lead_to_the_file(tmp_path: Path) -> None:
    first, second, file = tmp_path / "first", tmp_path / "second", tmp_path / "file"
    first.symlink_to("second")
    second.symlink_to(file)

    assert led_to(first) == file
    file.touch()
    assert led_to(first) == led_to(file) == file
    file.unlink()
    file.symlink_to(first)
    with pytest.raises(Denied, match="more than 40 links"):
        led_to(first)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a link away")
@pytest.mark.parametrize("first_is_roots", [True, False])
def test_a_link_of_somebody_else_s_leads_nowhere(tmp_path: Path, first_is_roots: bool) -> None:  # noqa: FBT001
    first, second = tmp_path / "first", tmp_path / "second"
    first.symlink_to(second)
    second.symlink_to(tmp_path / "file")
    os.chown(second if first_is_roots else first, 12_345, 12_345, follow_symlinks=False)

    with pytest.raises(Denied, match="user 12345"):
        led_to(first)


def test_what_is_no_file_itself_is_not_read(tmp_path: Path) -> None:
    secret, link, pipe = tmp_path / "secret", tmp_path / "link", tmp_path / "pipe"
    secret.write_text("a secret")
    link.symlink_to(secret)
    os.mkfifo(pipe)

    for path in (link, pipe, tmp_path):
        with pytest.raises(OSError, match=r"link|regular"):
            open_itself(path)
        with pytest.raises(OSError, match=r"link|regular"):
            place(path, tmp_path / "copy", mode=0o600)
    assert {path.name for path in tmp_path.iterdir()} == {"secret", "link", "pipe"}
    with open_itself(secret) as file:
        assert file.read() == b"a secret"
