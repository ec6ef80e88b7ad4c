import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.killing import killed_at
from tests.daemon.restoring import (
    LATER,
    add,
    backed_up,
    bare,
    initialised,
    peers,
    restored,
    settings_of,
    store_path,
    tree,
)
from tests.daemon.running import listening, running, until
from tests.store.samples import key, to_first_schema
from wgctl.client.api import Client
from wgctl.core.model import Role
from wgctl.core.schema import NewPeer
from wgctl.core.settings import (
    AUTHORITY_KEY_NAME,
    AUTHORITY_NAME,
    KEY_NAME,
    POOL_NAME,
    STORE_NAME,
)
from wgctl.daemon.restore import drafted
from wgctl.store import snapshot
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


def test_what_was_backed_up_is_there_again_and_what_came_after_is_kept_beside(
    config: Path, file: Path
) -> None:
    before = peers(config)
    add(config, 2, 3)
    after = peers(config)
    report = restored(config, file)

    assert peers(config) == before
    assert report.kept is not None
    snapshot.check(report.kept)
    shutil.copy(report.kept, store_path(config))
    assert peers(config) == after


def test_no_number_that_was_given_out_after_the_back_up_is_given_out_again(
    config: Path, file: Path
) -> None:
    add(config, *range(2, 12))
    given, revision = set(peers(config).values()), read_lineage(store_path(config)).marks.revision
    report = restored(config, file)
    kept = set(peers(config).values())
    add(config, *range(20, 30))

    assert set(peers(config).values()) & given == kept
    assert report.revision > revision


def test_a_second_restore_of_one_back_up_gives_out_nothing_of_the_first(
    config: Path, file: Path, elsewhere: Path
) -> None:
    """On another machine nothing is known of the first; the time between is."""
    restored(config, file)
    add(config, 2, 3)
    restored(elsewhere, file, now=LATER + 1)
    add(elsewhere, 4, 5)
    first, second = peers(config), peers(elsewhere)

    assert set(first.values()) & set(second.values()) == {first["peer-1"]}


def test_on_a_bare_machine_it_makes_everything(file: Path, config: Path, elsewhere: Path) -> None:
    report = restored(elsewhere, file)
    there, here = settings_of(config), settings_of(elsewhere)

    assert (report.kept, report.created_config) == (None, False)
    assert peers(elsewhere) == peers(config)
    for name, mode in (
        (KEY_NAME, 0o600),
        (AUTHORITY_KEY_NAME, 0o600),
        (AUTHORITY_NAME, 0o644),
        (f"{Role.GATEWAY}/{POOL_NAME}", 0o644),
    ):
        placed = here.state_dir / name
        assert placed.read_bytes() == (there.state_dir / name).read_bytes()
        assert placed.stat().st_mode & 0o777 == mode
    assert store_path(elsewhere).stat().st_mode & 0o777 == 0o600
    assert all(here.role_dir(role).stat().st_mode & 0o777 == 0o700 for role in Role)


def test_every_role_can_reach_its_folder_whatever_the_umask(file: Path, elsewhere: Path) -> None:
    text = elsewhere.read_text()
    elsewhere.write_text(text.replace(f"{elsewhere.parent}/state", f"{elsewhere.parent}/a/b/state"))
    mask = os.umask(0o077)
    try:
        restored(elsewhere, file)
    finally:
        os.umask(mask)
    state = settings_of(elsewhere).state_dir

    assert {folder.stat().st_mode & 0o777 for folder in (state, *state.parents[:2])} == {0o755}


def test_a_machine_without_a_config_gets_the_back_ups(config: Path, file: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        state = settings_of(config).state_dir
        state.rename(Path(name) / "lost")
        report = restored(Path(name) / "etc" / "wgctl.toml", file)
        made = (Path(name) / "etc" / "wgctl.toml").read_bytes()

    assert report.created_config
    assert made == config.read_bytes()
    assert report.state_dir == state
    assert peers(config).keys() == {"peer-1"}


def test_a_controller_starts_on_what_was_restored(file: Path, elsewhere: Path) -> None:
    restored(elsewhere, file)
    settings = settings_of(elsewhere)
    with running(Role.CONTROLLER, settings):
        until(lambda: listening(settings.api_socket))
        found = Client(settings.api_socket).peers("acme")

    assert [peer.name for peer in found] == ["peer-1"]


def test_beside_a_controller_that_runs_they_are_compared(config: Path, file: Path) -> None:
    add(config, 2)
    settings = settings_of(config)
    with running(Role.CONTROLLER, settings):
        until(lambda: listening(settings.api_socket))
        before = tree(settings.state_dir)
        with drafted(config, file, beside=True) as draft:
            found = draft.differences()
        after = tree(settings.state_dir)

    assert [one.gone for one in found] == [("acme/default/peer-2",)]
    assert after == before


def test_a_store_that_cannot_be_read_is_replaced_and_kept(config: Path, file: Path) -> None:
    """It is what a back-up is for."""
    store_path(config).write_bytes(b"no database" * 1_000)
    report = restored(config, file)

    assert peers(config).keys() == {"peer-1"}
    assert report.kept is not None
    assert report.kept.read_bytes() == b"no database" * 1_000


def test_what_a_killed_controller_had_in_its_log_is_kept_with_the_old_store(
    config: Path, file: Path
) -> None:
    settings = settings_of(config)
    with running(Role.CONTROLLER, settings) as process:
        until(lambda: listening(settings.api_socket))
        new = NewPeer(network="default", name="late", public_key=key(7))
        Client(settings.api_socket).add_peer("acme", new)
        process.kill()
        process.wait()
    assert store_path(config).with_name(STORE_NAME + "-wal").stat().st_size > 0
    report = restored(config, file)

    assert peers(config).keys() == {"peer-1"}
    assert report.kept is not None
    shutil.copy(report.kept, store_path(config))
    assert peers(config).keys() == {"peer-1", "late"}


def test_a_back_up_of_an_older_schema_is_brought_up_to_date(
    config: Path, elsewhere: Path, tmp_path: Path
) -> None:
    to_first_schema(store_path(config))
    before = store_path(config).read_bytes()
    file = backed_up(config)
    restored(elsewhere, file)

    assert store_path(config).read_bytes() == before
    assert peers(elsewhere).keys() == {"peer-1"}


def test_a_restore_that_was_cut_short_can_be_done_again(file: Path, elsewhere: Path) -> None:
    """Up to the store, which comes last, there are only files that are the same next time."""
    restored(elsewhere, file)
    store_path(elsewhere).unlink()
    restored(elsewhere, file)

    assert peers(elsewhere).keys() == {"peer-1"}


def test_killed_at_any_step_it_leaves_nothing_or_the_new_and_can_be_done_again(
    elsewhere: Path, file: Path, tmp_path: Path
) -> None:
    """What becomes of a store that is there is for the tests of `succession`."""
    saved, scratch = tmp_path / "saved", tmp_path / "scratch"
    shutil.copytree(elsewhere.parent, saved)
    scratch.mkdir()

    def restore() -> None:
        tempfile.tempdir = str(scratch)
        restored(elsewhere, file)

    found = []
    for step in range(1, 50):
        shutil.rmtree(elsewhere.parent)
        shutil.copytree(saved, elsewhere.parent)
        killed = killed_at(step, elsewhere.parent, restore)
        found.append(store_path(elsewhere).exists())
        if found[-1]:
            assert peers(elsewhere).keys() == {"peer-1"}
        if not killed:
            break
        restored(elsewhere, file)
        assert peers(elsewhere).keys() == {"peer-1"}

    assert not killed
    assert found.count(False) > 3
    assert found.count(True) > 1
    assert found.index(True) == found.count(False)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_what_is_placed_belongs_to_whoever_has_the_folder(config: Path, file: Path) -> None:
    """Root restores; the controller's own user must be able to open it."""
    os.chown(store_path(config).parent, 12_345, 12_345)
    restored(config, file)

    assert store_path(config).stat().st_uid == 12_345
