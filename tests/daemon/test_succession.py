import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.daemon.killing import killed_at
from tests.drivers.mounts import in_private_mounts, mount_small
from tests.store.samples import add_peer, furnish
from wgctl.core.errors import Unavailable
from wgctl.daemon.succession import succeed
from wgctl.store import snapshot
from wgctl.store.store import Store

_NOW = 1_900_000_000
_KEPT = "store.sqlite.before-20300317T174640Z"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return furnish(tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="module")
def coming(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = Path(shutil.copy(made, tmp_path_factory.mktemp("coming")))
    store = Store(path)
    add_peer(store, "acme", 1)
    store.close()
    return path


@pytest.fixture
def source(coming: Path, tmp_path: Path) -> Path:
    """The store that is to come, in a folder of its own, with more in it than the one there is."""
    (tmp_path / "drafts").mkdir()
    return Path(shutil.copy(coming, tmp_path / "drafts" / "new"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "controller").mkdir()
    return tmp_path / "controller"


@pytest.fixture
def store(folder: Path) -> Path:
    """The path of the store that is there, if a test puts one there."""
    return folder / "store.sqlite"


def _standing(source: Path) -> tuple[str, int]:
    return snapshot.standing(source)


def _succeed(source: Path, store: Path) -> Path | None:
    return succeed(source, store, standing=_standing(source), now=_NOW)


def _tree(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def _damage(store: Path) -> dict[str, bytes]:
    """Leave what a controller that was killed on a bad disk would leave."""
    store.write_bytes(b"no database" * 1_000)
    for suffix in snapshot.BESIDE:
        store.with_name(store.name + suffix).write_bytes(f"old {suffix}".encode())
    return _tree(store.parent)


def test_where_there_was_none_there_is_one(source: Path, store: Path) -> None:
    assert _succeed(source, store) is None
    assert [path.name for path in store.parent.iterdir()] == ["store.sqlite"]
    assert _standing(store) == _standing(source)


def test_the_old_one_keeps_all_that_was_its(source: Path, store: Path) -> None:
    old = _damage(store)
    kept = _succeed(source, store)

    assert kept == store.with_name(_KEPT)
    assert {
        name.replace(_KEPT, store.name): content
        for name, content in _tree(store.parent).items()
        if name != store.name
    } == old
    snapshot.check(store)
    assert _standing(store) == _standing(source)


def test_a_log_without_its_store_is_not_played_into_the_new_one(
    made: Path, source: Path, store: Path
) -> None:
    """Somebody removed the one and forgot the other."""
    running = Store(Path(shutil.copy(made, store)))
    add_peer(running, "acme", 1)
    log = store.with_name("store.sqlite-wal").read_bytes()
    running.close()
    store.unlink()
    store.with_name("store.sqlite-wal").write_bytes(log)
    _succeed(source, store)

    assert _standing(store) == _standing(source)
    assert store.with_name(f"{_KEPT}-wal").read_bytes() == log


def test_nothing_that_was_kept_is_written_over(made: Path, source: Path, store: Path) -> None:
    store.with_name(f"{_KEPT}-wal").write_bytes(b"of an earlier one")
    shutil.copy(made, store)
    kept = _succeed(source, store)

    assert kept is not None
    assert kept.name.startswith(f"{_KEPT}-")
    assert store.with_name(f"{_KEPT}-wal").read_bytes() == b"of an earlier one"


def test_a_link_stays_and_leads_to_the_new_one(
    made: Path, source: Path, store: Path, tmp_path: Path
) -> None:
    """The store may be on a disk of its own."""
    (tmp_path / "disk").mkdir()
    real = tmp_path / "disk" / "real.sqlite"
    shutil.copy(made, real)
    store.symlink_to(real)
    old = real.read_bytes()
    kept = _succeed(source, store)

    assert store.readlink() == real
    assert kept is not None
    assert (kept.parent, kept.read_bytes()) == (real.parent, old)


def test_only_what_was_to_come_comes(source: Path, store: Path) -> None:
    old = _damage(store)
    epoch, revision = _standing(source)

    with pytest.raises(Unavailable, match="expected"):
        succeed(source, store, standing=(epoch, revision + 1), now=_NOW)
    assert _tree(store.parent) == old


def test_what_was_written_but_is_only_in_the_log_comes_too(source: Path, store: Path) -> None:
    running = Store(source)
    add_peer(running, "acme", 2)
    for suffix in ("", "-wal"):
        shutil.copy(f"{source}{suffix}", source.with_name(f"killed{suffix}"))
    running.close()
    _succeed(source.with_name("killed"), store)

    assert _standing(store) == _standing(source)


@pytest.mark.parametrize("prepare", [_damage, None], ids=["damaged", "whole"])
def test_killed_at_any_step_the_old_one_is_as_it_was_or_the_new_one_is_there(
    made: Path, source: Path, store: Path, prepare: Callable[[Path], dict[str, bytes]] | None
) -> None:
    expected = _standing(source)
    seen = []
    for step in range(1, 60):
        shutil.rmtree(store.parent)
        store.parent.mkdir()
        shutil.copy(made, store)
        old = prepare(store) if prepare is not None else _tree(store.parent)
        killed = killed_at(step, store.parent, lambda: _succeed(source, store))
        left = _tree(store.parent)
        seen.append({name: left.get(name) for name in old} == old)
        if not seen[-1] or not killed:
            snapshot.check(store)
            assert _standing(store) == expected
            assert left[_KEPT] == old["store.sqlite"]
        if not killed:
            break

    assert not killed
    assert seen.count(True) > 3
    assert True not in seen[seen.index(False) :]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
@pytest.mark.parametrize("prepare", [_damage, None], ids=["damaged", "whole"])
def test_on_a_full_disk_all_stays_as_it_was(
    made: Path, source: Path, store: Path, prepare: Callable[[Path], dict[str, bytes]] | None
) -> None:
    """Whatever is left of it: nothing, room for a part, for the store and not for its log."""
    size = source.stat().st_size
    rooms = [0, 4_096, size - 4_096] + ([size, 2 * size] if prepare is not None else [])

    def fill() -> None:
        mount_small(store.parent, size_bytes=1 << 20)
        shutil.copy(made, store)
        old = prepare(store) if prepare is not None else _tree(store.parent)
        filler = store.with_name("filler")
        for room in rooms:
            there = os.statvfs(store.parent)
            filler.write_bytes(bytes(there.f_bavail * there.f_frsize - room))
            with pytest.raises(OSError, match="No space left"):
                _succeed(source, store)
            filler.unlink()
            assert _tree(store.parent) == old
        _succeed(source, store)

    in_private_mounts(fill)
