import os
from pathlib import Path

import pytest

from wgctl.core.errors import Unavailable
from wgctl.daemon.locks import only_one


def test_a_second_is_refused_until_the_first_is_done(tmp_path: Path) -> None:
    with only_one(tmp_path), pytest.raises(Unavailable, match="stop it first"), only_one(tmp_path):
        pass
    with only_one(tmp_path):
        pass


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
