import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from peers.errors import Invalid
from peers.keys import PrivateKey
from tests.daemon.restoring import (
    LATER,
    NOW,
    backed_up,
    bare,
    execute,
    initialised,
    peers,
    restored,
    settings_of,
    store_path,
    tree,
)
from tests.drivers.mounts import in_private_mounts, mount_small
from tests.store.limits import limited
from wgctl.core.errors import Conflict, Denied, Unavailable
from wgctl.daemon.backup import copy_stopped_store
from wgctl.daemon.initialise import init
from wgctl.daemon.locks import only_one
from wgctl.daemon.restore import drafted
from wgctl.daemon.succession import succeed
from wgctl.drivers import archive
from wgctl.store.marks import read_lineage


@pytest.fixture
def config() -> Iterator[Path]:
    with initialised() as path:
        yield path


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    with bare() as path:
        yield path


@pytest.fixture
def file(config: Path) -> Path:
    return backed_up(config)


def test_while_the_controller_runs_nothing_is_restored(config: Path, file: Path) -> None:
    with (
        only_one(store_path(config).parent),
        pytest.raises(Unavailable, match="another controller runs"),
    ):
        restored(config, file)


def test_what_was_only_compared_with_a_store_does_not_replace_it(config: Path, file: Path) -> None:
    """It may have gone on since: the folder was not held."""
    before = tree(config.parent)

    with drafted(config, file, beside=True) as draft, pytest.raises(Conflict, match="look at it"):
        draft.put_in_place(now=LATER)
    assert tree(config.parent) == before


def test_a_store_of_a_newer_wgctl_is_left_alone(config: Path, file: Path) -> None:
    """It is not damaged: its marks count, and this version cannot read them."""
    execute(store_path(config), "UPDATE alembic_version SET version_num = '9999'")
    before = tree(config.parent)

    with pytest.raises(Unavailable, match=f"{store_path(config)} was made by a newer wgctl"):
        restored(config, file)
    assert tree(config.parent) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_a_full_temporary_folder_changes_nothing_and_never_hides_the_store(
    config: Path, file: Path, tmp_path: Path
) -> None:
    """With little room it fails at one step, with more at the next, until it is done."""
    epoch, before = read_lineage(store_path(config)).epoch, tree(config.parent)
    refused = 0

    def fill() -> None:
        nonlocal refused
        mount_small(tmp_path, size_bytes=2 << 20)
        tempfile.tempdir = str(tmp_path)
        for room in range(100_000, 2 << 20, 150_000):
            (tmp_path / "filler").write_bytes(bytes((2 << 20) - room))
            try:
                restored(config, file)
                break
            except Unavailable:
                refused += 1
            assert tree(config.parent) == before
        assert refused > 3
        assert epoch in read_lineage(store_path(config)).ancestors

    in_private_mounts(fill)


def test_a_draft_whose_log_cannot_be_written_back_is_not_put_in_place(
    config: Path, file: Path
) -> None:
    """SQLite says nothing when that fails at the end: the file alone would be the back-up's."""
    execute(
        store_path(config),
        "INSERT INTO spent_network_ids (number) WITH RECURSIVE n(i) AS "
        "(SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) SELECT i FROM n",
    )
    before = tree(config.parent)
    with drafted(config, file, beside=False) as draft:
        size = (draft.folder / archive.STORE).stat().st_size
        with limited(size), pytest.raises(Unavailable, match="cannot be written"):
            draft.put_in_place(now=LATER)

    assert tree(config.parent) == before


def test_of_two_restores_at_once_on_a_bare_machine_one_is_done(file: Path, elsewhere: Path) -> None:
    with (
        drafted(elsewhere, file, beside=False) as one,
        drafted(elsewhere, file, beside=True) as two,
    ):
        one.put_in_place(now=LATER)
        before = tree(elsewhere.parent)
        with pytest.raises(Conflict, match="meanwhile"):
            two.put_in_place(now=LATER + 1)

    assert tree(elsewhere.parent) == before


def test_while_another_restore_holds_a_bare_machine_nothing_is_placed(
    file: Path, elsewhere: Path
) -> None:
    with drafted(elsewhere, file, beside=False) as draft:
        folder = store_path(elsewhere).parent
        folder.mkdir(parents=True)
        with only_one(folder), pytest.raises(Unavailable):
            draft.put_in_place(now=LATER)

    assert tree(elsewhere.parent).keys() == {"wgctl.toml"}


def test_a_key_that_came_meanwhile_is_looked_at(file: Path, elsewhere: Path) -> None:
    place = settings_of(elsewhere).key_file
    with drafted(elsewhere, file, beside=False) as draft:
        place.parent.mkdir(parents=True)
        place.write_text(PrivateKey.generate().text() + "\n")
        with pytest.raises(Conflict, match="gateway's key"):
            draft.put_in_place(now=LATER)

    assert not store_path(elsewhere).exists()


def test_a_back_up_of_a_newer_schema_is_refused(config: Path, elsewhere: Path) -> None:
    execute(store_path(config), "UPDATE alembic_version SET version_num = '9999'")
    file = backed_up(config)
    before = tree(elsewhere.parent)

    with pytest.raises(Unavailable, match="made by a newer wgctl"):
        restored(elsewhere, file)
    assert tree(elsewhere.parent) == before


@pytest.mark.parametrize("initialised", [True, False])
@pytest.mark.parametrize("tenth", range(0, 10, 3))
def test_a_damaged_file_changes_nothing(
    config: Path, elsewhere: Path, file: Path, *, tenth: int, initialised: bool
) -> None:
    target = config if initialised else elsewhere
    content = file.read_bytes()
    file.write_bytes(content[: len(content) * tenth // 10])
    before = tree(target.parent)

    with pytest.raises(Invalid, match="no whole back-up"):
        restored(target, file)
    assert tree(target.parent) == before
    assert initialised or not settings_of(target).state_dir.exists()


def test_another_deployments_host_is_left_alone(file: Path, elsewhere: Path) -> None:
    init(elsewhere, region=None, endpoint=None, pool="fdaa::/16")
    before = tree(elsewhere.parent)

    with pytest.raises(Conflict, match="another deployment's"):
        restored(elsewhere, file)
    assert tree(elsewhere.parent) == before


def test_another_gateways_key_is_not_written_over(file: Path, elsewhere: Path) -> None:
    place = settings_of(elsewhere).key_file
    place.parent.mkdir(parents=True)
    place.write_text(PrivateKey.generate().text() + "\n")
    before = tree(elsewhere.parent)

    with pytest.raises(Conflict, match="gateway's key"):
        restored(elsewhere, file)
    assert tree(elsewhere.parent) == before


def test_without_a_key_a_bare_machine_is_refused_until_it_is_there(
    config: Path, elsewhere: Path
) -> None:
    file = backed_up(config, with_key=False)
    with pytest.raises(Invalid, match="put it there"):
        restored(elsewhere, file)
    assert not settings_of(elsewhere).state_dir.exists()

    place = settings_of(elsewhere).key_file
    place.parent.mkdir(parents=True)
    shutil.copy(settings_of(config).key_file, place)
    restored(elsewhere, file)
    assert peers(elsewhere).keys() == {"peer-1"}


def test_a_clock_before_the_back_up_is_refused(config: Path, file: Path) -> None:
    """What was given out since is reckoned by it."""
    before = tree(config.parent)

    with pytest.raises(Invalid, match="set the clock"):
        restored(config, file, now=NOW - 1)
    assert tree(config.parent) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a link away")
@pytest.mark.parametrize("target", ["no database", None])
def test_a_link_that_the_role_made_is_followed_nowhere(
    config: Path, file: Path, target: str | None
) -> None:
    """A role that was taken over must not choose what root reads, or writes over."""
    store, victim = store_path(config), config.with_name("victim")
    store.unlink()
    store.symlink_to(victim)
    os.chown(store, 12_345, 12_345, follow_symlinks=False)
    if target is not None:
        victim.write_text(target)
    before = {path.name for path in config.parent.iterdir()}

    for work in (
        lambda: restored(config, file),
        lambda: copy_stopped_store(settings_of(config), config.with_name("copy")),
        lambda: succeed(config, store, standing=("", 0), now=NOW),
    ):
        with pytest.raises(Denied, match="link that user 12345 made"):
            work()
    assert {path.name for path in config.parent.iterdir()} == before
    assert target is None or victim.read_text() == target
