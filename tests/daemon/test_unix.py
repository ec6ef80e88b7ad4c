import grp
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.running import folder_of_a_socket
from wgctl.core.errors import Unavailable
from wgctl.daemon.unix import OPERATORS_GROUP, listen, remove


@pytest.fixture
def path() -> Iterator[Path]:
    with folder_of_a_socket() as folder:
        yield folder / "a.sock"


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _group_exists(name: str) -> bool:
    return name in {group.gr_name for group in grp.getgrall()}


def test_only_the_owner_may_open_it_without_a_group(path: Path) -> None:
    with listen(path, group=None):
        assert _mode(path) == 0o600


def test_a_group_of_the_host_may_open_it_too(path: Path) -> None:
    group = grp.getgrgid(1).gr_name
    with listen(path, group=group):
        assert _mode(path) == 0o660
        assert path.stat().st_gid == 1


def test_a_group_that_the_host_does_not_have_opens_it_to_nobody_else(path: Path) -> None:
    assert not _group_exists("wgctl-no-such-group")
    with listen(path, group="wgctl-no-such-group"):
        assert _mode(path) == 0o600


@pytest.mark.skipif(_group_exists(OPERATORS_GROUP), reason="this host has the operators' group")
def test_without_the_operators_group_only_root_is_an_operator(path: Path) -> None:
    with listen(path, group=OPERATORS_GROUP):
        assert _mode(path) == 0o600


def test_the_umask_of_the_process_opens_nothing_and_comes_back(path: Path) -> None:
    before = os.umask(0)
    try:
        with listen(path, group=None):
            assert _mode(path) == 0o600
        assert os.umask(0) == 0
    finally:
        os.umask(before)


def test_a_socket_that_nobody_listens_on_is_replaced(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    assert path.exists()

    with listen(path, group=None), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


def test_a_socket_in_use_is_refused_and_stays_in_use(path: Path) -> None:
    with listen(path, group=None):
        with pytest.raises(Unavailable, match="answers at"):
            listen(path, group=None)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))


def test_a_socket_that_cannot_be_made_leaves_nothing_open(path: Path) -> None:
    """An open one would be told by Python as a ResourceWarning, which is an error here."""
    with pytest.raises(FileNotFoundError):
        listen(path / "no" / "folder", group=None)
    with pytest.raises(OSError, match="too long"):
        listen(path.with_name("x" * 120), group=None)


def test_a_link_is_followed_and_stays_when_the_socket_goes(path: Path) -> None:
    link = path.with_name("link.sock")
    link.symlink_to(path.name)

    with listen(link, group=None), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(link))

        assert stat.S_ISSOCK(path.lstat().st_mode)

    remove(link)
    remove(link)

    assert not path.exists()
    assert link.is_symlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
def test_a_user_outside_the_group_opens_it_to_the_group_of_its_folder(path: Path) -> None:
    """As the resolver does for operators, without being one."""
    group = grp.getgrgid(1).gr_name
    os.chown(path.parent, 65534, 1)
    path.parent.chmod(0o2755)
    beside = path.with_name("b.sock")
    child = os.fork()
    if child == 0:  # pragma: no cover  # another process
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        listen(path, group=group)
        listen(beside, group=grp.getgrgid(2).gr_name)
        os._exit(0)

    assert os.waitpid(child, 0)[1] == 0
    assert (_mode(path), path.stat().st_gid) == (0o660, 1)
    assert _mode(beside) == 0o600
