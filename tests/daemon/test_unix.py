import grp
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.running import folder_of_a_socket
from wgctl.core.errors import Unavailable
from wgctl.daemon.unix import OPERATORS_GROUP, listen


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
