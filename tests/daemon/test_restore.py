import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pysqlite3
import pytest

from peers.errors import Invalid
from peers.keys import PrivateKey
from peers.names import Label
from tests.daemon.killing import killed_at
from tests.daemon.running import folder_of_a_socket, listening, running, until
from tests.drivers.mounts import in_private_mounts, mount_small
from tests.store.limits import limited
from tests.store.samples import add_peer, key, to_first_schema
from wgctl.client.api import Client
from wgctl.core import settings as core_settings
from wgctl.core.errors import Conflict, Denied, Unavailable
from wgctl.core.model import Role
from wgctl.core.schema import NewPeer
from wgctl.core.settings import (
    AUTHORITY_KEY_NAME,
    AUTHORITY_NAME,
    KEY_NAME,
    POOL_NAME,
    STORE_NAME,
    Settings,
)
from wgctl.daemon.backup import back_up, copy_stopped_store
from wgctl.daemon.initialise import init
from wgctl.daemon.locks import only_one
from wgctl.daemon.restore import RestoreReport, drafted
from wgctl.daemon.succession import succeed
from wgctl.drivers import archive
from wgctl.services import org
from wgctl.store import snapshot
from wgctl.store.marks import read_lineage
from wgctl.store.store import Store

_NOW = 1_900_000_000
_LATER = _NOW + 3_600


def _host(folder: Path) -> Path:
    path = folder / "wgctl.toml"
    path.write_text(
        f'state_dir = "{folder}/state"\nruntime_dir = "{folder}/run"\n'
        '[gateway]\nregion = "ams"\nendpoint = "203.0.113.7:51820"\n'
    )
    return path


@pytest.fixture
def config() -> Iterator[Path]:
    """The config of a host that is initialised and has the org `acme` with `peer-1`."""
    with folder_of_a_socket() as folder:
        path = _host(folder)
        init(path, region=None, endpoint=None, pool="fdaa::/16")
        store = _store(path)
        org.add(store, Label("acme"), now=_NOW)
        add_peer(store, "acme", 1)
        store.close()
        yield path


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    """The config of a second machine, which has nothing else."""
    with folder_of_a_socket() as folder:
        yield _host(folder)


@pytest.fixture
def file(config: Path) -> Path:
    return _backed_up(config)


def _backed_up(config: Path, *, with_key: bool = True) -> Path:
    path = config.with_name("backup.tar.xz")
    with path.open("wb") as into:
        back_up(config, _settings(config), into, now=_NOW, with_key=with_key)
    return path


def _settings(config: Path) -> Settings:
    return core_settings.parse(config.read_text(), origin=str(config))


def _path(config: Path) -> Path:
    return _settings(config).role_dir(Role.CONTROLLER) / STORE_NAME


def _store(config: Path) -> Store:
    return Store(_path(config))


def _peers(config: Path) -> dict[str, str]:
    store = _store(config)
    with store.reading() as deployment:
        found = {str(peer.name): str(peer.address) for peer in deployment.owned_by("acme").peers()}
    store.close()
    return found


def _add(config: Path, *numbers: int) -> None:
    store = _store(config)
    for number in numbers:
        add_peer(store, "acme", number)
    store.close()


def _restore(config: Path, file: Path, *, now: int = _LATER) -> RestoreReport:
    with drafted(config, file, beside=False) as draft:
        return draft.put_in_place(now=now)


def _tree(folder: Path) -> dict[str, bytes]:
    """Return every file and what is in it, but for locks, which are taken to look."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "lock"
    }


def test_what_was_backed_up_is_there_again_and_what_came_after_is_kept_beside(
    config: Path, file: Path
) -> None:
    before = _peers(config)
    _add(config, 2, 3)
    after = _peers(config)
    report = _restore(config, file)

    assert _peers(config) == before
    assert report.kept is not None
    snapshot.check(report.kept)
    shutil.copy(report.kept, _path(config))
    assert _peers(config) == after


def test_no_number_that_was_given_out_after_the_back_up_is_given_out_again(
    config: Path, file: Path
) -> None:
    _add(config, *range(2, 12))
    given, revision = set(_peers(config).values()), read_lineage(_path(config)).marks.revision
    report = _restore(config, file)
    kept = set(_peers(config).values())
    _add(config, *range(20, 30))

    assert set(_peers(config).values()) & given == kept
    assert report.revision > revision


def test_a_second_restore_of_one_back_up_gives_out_nothing_of_the_first(
    config: Path, file: Path, elsewhere: Path
) -> None:
    """On another machine nothing is known of the first; the time between is."""
    _restore(config, file)
    _add(config, 2, 3)
    _restore(elsewhere, file, now=_LATER + 1)
    _add(elsewhere, 4, 5)
    first, second = _peers(config), _peers(elsewhere)

    assert set(first.values()) & set(second.values()) == {first["peer-1"]}


def test_on_a_bare_machine_it_makes_everything(file: Path, config: Path, elsewhere: Path) -> None:
    report = _restore(elsewhere, file)
    there, here = _settings(config), _settings(elsewhere)

    assert (report.kept, report.created_config) == (None, False)
    assert _peers(elsewhere) == _peers(config)
    for name, mode in (
        (KEY_NAME, 0o600),
        (AUTHORITY_KEY_NAME, 0o600),
        (AUTHORITY_NAME, 0o644),
        (f"{Role.GATEWAY}/{POOL_NAME}", 0o644),
    ):
        placed = here.state_dir / name
        assert placed.read_bytes() == (there.state_dir / name).read_bytes()
        assert placed.stat().st_mode & 0o777 == mode
    assert _path(elsewhere).stat().st_mode & 0o777 == 0o600
    assert all(here.role_dir(role).stat().st_mode & 0o777 == 0o700 for role in Role)


def test_every_role_can_reach_its_folder_whatever_the_umask(file: Path, elsewhere: Path) -> None:
    text = elsewhere.read_text()
    elsewhere.write_text(text.replace(f"{elsewhere.parent}/state", f"{elsewhere.parent}/a/b/state"))
    mask = os.umask(0o077)
    try:
        _restore(elsewhere, file)
    finally:
        os.umask(mask)
    state = _settings(elsewhere).state_dir

    assert {folder.stat().st_mode & 0o777 for folder in (state, *state.parents[:2])} == {0o755}


def test_a_machine_without_a_config_gets_the_back_ups(config: Path, file: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        state = _settings(config).state_dir
        state.rename(Path(name) / "lost")
        report = _restore(Path(name) / "etc" / "wgctl.toml", file)
        made = (Path(name) / "etc" / "wgctl.toml").read_bytes()

    assert report.created_config
    assert made == config.read_bytes()
    assert report.state_dir == state
    assert _peers(config).keys() == {"peer-1"}


def test_a_controller_starts_on_what_was_restored(file: Path, elsewhere: Path) -> None:
    _restore(elsewhere, file)
    settings = _settings(elsewhere)
    with running(Role.CONTROLLER, settings):
        until(lambda: listening(settings.api_socket))
        found = Client(settings.api_socket).peers("acme")

    assert [peer.name for peer in found] == ["peer-1"]


def test_while_the_controller_runs_nothing_is_restored(config: Path, file: Path) -> None:
    with (
        only_one(_path(config).parent),
        pytest.raises(Unavailable, match="another controller runs"),
    ):
        _restore(config, file)


def test_what_was_only_compared_with_a_store_does_not_replace_it(config: Path, file: Path) -> None:
    """It may have gone on since: the folder was not held."""
    before = _tree(config.parent)

    with drafted(config, file, beside=True) as draft, pytest.raises(Conflict, match="look at it"):
        draft.put_in_place(now=_LATER)
    assert _tree(config.parent) == before


def test_beside_a_controller_that_runs_they_are_compared(config: Path, file: Path) -> None:
    _add(config, 2)
    settings = _settings(config)
    with running(Role.CONTROLLER, settings):
        until(lambda: listening(settings.api_socket))
        before = _tree(settings.state_dir)
        with drafted(config, file, beside=True) as draft:
            found = draft.differences()
        after = _tree(settings.state_dir)

    assert [one.gone for one in found] == [("acme/default/peer-2",)]
    assert after == before


def test_a_store_that_cannot_be_read_is_replaced_and_kept(config: Path, file: Path) -> None:
    """It is what a back-up is for."""
    _path(config).write_bytes(b"no database" * 1_000)
    report = _restore(config, file)

    assert _peers(config).keys() == {"peer-1"}
    assert report.kept is not None
    assert report.kept.read_bytes() == b"no database" * 1_000


def test_a_store_of_a_newer_wgctl_is_left_alone(config: Path, file: Path) -> None:
    """It is not damaged: its marks count, and this version cannot read them."""
    _execute(_path(config), "UPDATE alembic_version SET version_num = '9999'")
    before = _tree(config.parent)

    with pytest.raises(Unavailable, match=f"{_path(config)} was made by a newer wgctl"):
        _restore(config, file)
    assert _tree(config.parent) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_a_full_temporary_folder_changes_nothing_and_never_hides_the_store(
    config: Path, file: Path, tmp_path: Path
) -> None:
    """With little room it fails at one step, with more at the next, until it is done."""
    epoch, before = read_lineage(_path(config)).epoch, _tree(config.parent)
    refused = 0

    def fill() -> None:
        nonlocal refused
        mount_small(tmp_path, size_bytes=2 << 20)
        tempfile.tempdir = str(tmp_path)
        for room in range(100_000, 2 << 20, 150_000):
            (tmp_path / "filler").write_bytes(bytes((2 << 20) - room))
            try:
                _restore(config, file)
                break
            except Unavailable:
                refused += 1
            assert _tree(config.parent) == before
        assert refused > 3
        assert epoch in read_lineage(_path(config)).ancestors

    in_private_mounts(fill)


def test_a_draft_whose_log_cannot_be_written_back_is_not_put_in_place(
    config: Path, file: Path
) -> None:
    """SQLite says nothing when that fails at the end: the file alone would be the back-up's."""
    _execute(
        _path(config),
        "INSERT INTO spent_network_ids (number) WITH RECURSIVE n(i) AS "
        "(SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) SELECT i FROM n",
    )
    before = _tree(config.parent)
    with drafted(config, file, beside=False) as draft:
        size = (draft.folder / archive.STORE).stat().st_size
        with limited(size), pytest.raises(Unavailable, match="cannot be written"):
            draft.put_in_place(now=_LATER)

    assert _tree(config.parent) == before


def test_of_two_restores_at_once_on_a_bare_machine_one_is_done(file: Path, elsewhere: Path) -> None:
    with (
        drafted(elsewhere, file, beside=False) as one,
        drafted(elsewhere, file, beside=True) as two,
    ):
        one.put_in_place(now=_LATER)
        before = _tree(elsewhere.parent)
        with pytest.raises(Conflict, match="meanwhile"):
            two.put_in_place(now=_LATER + 1)

    assert _tree(elsewhere.parent) == before


def test_while_another_restore_holds_a_bare_machine_nothing_is_placed(
    file: Path, elsewhere: Path
) -> None:
    with drafted(elsewhere, file, beside=False) as draft:
        folder = _path(elsewhere).parent
        folder.mkdir(parents=True)
        with only_one(folder), pytest.raises(Unavailable):
            draft.put_in_place(now=_LATER)

    assert _tree(elsewhere.parent).keys() == {"wgctl.toml"}


def test_a_key_that_came_meanwhile_is_looked_at(file: Path, elsewhere: Path) -> None:
    place = _settings(elsewhere).key_file
    with drafted(elsewhere, file, beside=False) as draft:
        place.parent.mkdir(parents=True)
        place.write_text(PrivateKey.generate().text() + "\n")
        with pytest.raises(Conflict, match="gateway's key"):
            draft.put_in_place(now=_LATER)

    assert not _path(elsewhere).exists()


def test_what_a_killed_controller_had_in_its_log_is_kept_with_the_old_store(
    config: Path, file: Path
) -> None:
    settings = _settings(config)
    with running(Role.CONTROLLER, settings) as process:
        until(lambda: listening(settings.api_socket))
        new = NewPeer(network="default", name="late", public_key=key(7))
        Client(settings.api_socket).add_peer("acme", new)
        process.kill()
        process.wait()
    assert _path(config).with_name(STORE_NAME + "-wal").stat().st_size > 0
    report = _restore(config, file)

    assert _peers(config).keys() == {"peer-1"}
    assert report.kept is not None
    shutil.copy(report.kept, _path(config))
    assert _peers(config).keys() == {"peer-1", "late"}


def test_a_back_up_of_an_older_schema_is_brought_up_to_date(
    config: Path, elsewhere: Path, tmp_path: Path
) -> None:
    to_first_schema(_path(config))
    before = _path(config).read_bytes()
    file = _backed_up(config)
    _restore(elsewhere, file)

    assert _path(config).read_bytes() == before
    assert _peers(elsewhere).keys() == {"peer-1"}


def test_a_back_up_of_a_newer_schema_is_refused(config: Path, elsewhere: Path) -> None:
    _execute(_path(config), "UPDATE alembic_version SET version_num = '9999'")
    file = _backed_up(config)
    before = _tree(elsewhere.parent)

    with pytest.raises(Unavailable, match="made by a newer wgctl"):
        _restore(elsewhere, file)
    assert _tree(elsewhere.parent) == before


@pytest.mark.parametrize("initialised", [True, False])
@pytest.mark.parametrize("tenth", range(0, 10, 3))
def test_a_damaged_file_changes_nothing(
    config: Path, elsewhere: Path, file: Path, *, tenth: int, initialised: bool
) -> None:
    target = config if initialised else elsewhere
    content = file.read_bytes()
    file.write_bytes(content[: len(content) * tenth // 10])
    before = _tree(target.parent)

    with pytest.raises(Invalid, match="no whole back-up"):
        _restore(target, file)
    assert _tree(target.parent) == before
    assert initialised or not _settings(target).state_dir.exists()


def test_another_deployments_host_is_left_alone(file: Path, elsewhere: Path) -> None:
    init(elsewhere, region=None, endpoint=None, pool="fdaa::/16")
    before = _tree(elsewhere.parent)

    with pytest.raises(Conflict, match="another deployment's"):
        _restore(elsewhere, file)
    assert _tree(elsewhere.parent) == before


def test_another_gateways_key_is_not_written_over(file: Path, elsewhere: Path) -> None:
    place = _settings(elsewhere).key_file
    place.parent.mkdir(parents=True)
    place.write_text(PrivateKey.generate().text() + "\n")
    before = _tree(elsewhere.parent)

    with pytest.raises(Conflict, match="gateway's key"):
        _restore(elsewhere, file)
    assert _tree(elsewhere.parent) == before


def test_without_a_key_a_bare_machine_is_refused_until_it_is_there(
    config: Path, elsewhere: Path
) -> None:
    file = _backed_up(config, with_key=False)
    with pytest.raises(Invalid, match="put it there"):
        _restore(elsewhere, file)
    assert not _settings(elsewhere).state_dir.exists()

    place = _settings(elsewhere).key_file
    place.parent.mkdir(parents=True)
    shutil.copy(_settings(config).key_file, place)
    _restore(elsewhere, file)
    assert _peers(elsewhere).keys() == {"peer-1"}


def test_a_clock_before_the_back_up_is_refused(config: Path, file: Path) -> None:
    """What was given out since is reckoned by it."""
    before = _tree(config.parent)

    with pytest.raises(Invalid, match="set the clock"):
        _restore(config, file, now=_NOW - 1)
    assert _tree(config.parent) == before


def test_a_restore_that_was_cut_short_can_be_done_again(file: Path, elsewhere: Path) -> None:
    """Up to the store, which comes last, there are only files that are the same next time."""
    _restore(elsewhere, file)
    _path(elsewhere).unlink()
    _restore(elsewhere, file)

    assert _peers(elsewhere).keys() == {"peer-1"}


def test_killed_at_any_step_it_leaves_nothing_or_the_new_and_can_be_done_again(
    elsewhere: Path, file: Path, tmp_path: Path
) -> None:
    """What becomes of a store that is there is for the tests of `succession`."""
    saved, scratch = tmp_path / "saved", tmp_path / "scratch"
    shutil.copytree(elsewhere.parent, saved)
    scratch.mkdir()

    def restore() -> None:
        tempfile.tempdir = str(scratch)
        _restore(elsewhere, file)

    found = []
    for step in range(1, 50):
        shutil.rmtree(elsewhere.parent)
        shutil.copytree(saved, elsewhere.parent)
        killed = killed_at(step, elsewhere.parent, restore)
        found.append(_path(elsewhere).exists())
        if found[-1]:
            assert _peers(elsewhere).keys() == {"peer-1"}
        if not killed:
            break
        _restore(elsewhere, file)
        assert _peers(elsewhere).keys() == {"peer-1"}

    assert not killed
    assert found.count(False) > 3
    assert found.count(True) > 1
    assert found.index(True) == found.count(False)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_what_is_placed_belongs_to_whoever_has_the_folder(config: Path, file: Path) -> None:
    """Root restores; the controller's own user must be able to open it."""
    os.chown(_path(config).parent, 12_345, 12_345)
    _restore(config, file)

    assert _path(config).stat().st_uid == 12_345


def _execute(path: Path, *statements: str) -> None:
    connection = pysqlite3.connect(str(path))
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a link away")
@pytest.mark.parametrize("target", ["no database", None])
def test_a_link_that_the_role_made_is_followed_nowhere(
    config: Path, file: Path, target: str | None
) -> None:
    """A role that was taken over must not choose what root reads, or writes over."""
    store, victim = _path(config), config.with_name("victim")
    store.unlink()
    store.symlink_to(victim)
    os.chown(store, 12_345, 12_345, follow_symlinks=False)
    if target is not None:
        victim.write_text(target)
    before = {path.name for path in config.parent.iterdir()}

    for work in (
        lambda: _restore(config, file),
        lambda: copy_stopped_store(_settings(config), config.with_name("copy")),
        lambda: succeed(config, store, standing=("", 0), now=_NOW),
    ):
        with pytest.raises(Denied, match="link that user 12345 made"):
            work()
    assert {path.name for path in config.parent.iterdir()} == before
    assert target is None or victim.read_text() == target
