import os
from pathlib import Path

import pytest

from wgctl.core.errors import Denied, Unavailable
from wgctl.daemon.locks import only_one, only_one_serves


def test_a_second_is_refused_until_the_first_is_done(tmp_path: Path) -> None:
    with only_one(tmp_path), pytest.raises(Unavailable, match="stop it first"), only_one(tmp_path):
        pass
    with only_one(tmp_path):
        pass


def test_one_serves_a_state_folder_and_leaves_nothing_in_it(tmp_path: Path) -> None:
    with (
        only_one_serves(tmp_path),
        pytest.raises(Unavailable, match="already: stop that one first"),
        only_one_serves(tmp_path),
    ):
        pass
    with only_one_serves(tmp_path):
        pass

    assert list(tmp_path.iterdir()) == []


def test_without_a_state_folder_nothing_serves(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="wgctl init makes it"), only_one_serves(tmp_path / "no"):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_whoever_may_not_open_the_state_folder_is_told_to_be_root(tmp_path: Path) -> None:
    os.seteuid(65534)
    try:
        with pytest.raises(Denied, match="be root"), only_one_serves(tmp_path):
            pass
    finally:
        os.seteuid(0)


def test_two_folders_do_not_disturb_each_other(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()

    with only_one(tmp_path / "one"), only_one(tmp_path / "other"):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_the_lock_belongs_to_whoever_has_the_folder(tmp_path: Path) -> None:
    """Root may be the first to take it, for a back-up; the role must be able to after."""
    os.chown(tmp_path, 12_345, 12_345)
    with only_one(tmp_path):
        pass

    assert (tmp_path / "lock").stat().st_uid == 12_345
