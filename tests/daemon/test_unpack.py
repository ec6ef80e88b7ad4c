import shutil
from pathlib import Path

import pytest

from tests.store.limits import limited
from tests.store.samples import add_peer, furnish
from wgctl.core.errors import Invalid, Unavailable
from wgctl.daemon.unpack import open_store, unpack
from wgctl.drivers import archive
from wgctl.store import snapshot
from wgctl.store.store import Store

_MANIFEST = archive.Manifest(wgctl="1", made_at=1_900_000_000, epoch="epoch-a", revision=3)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return furnish(tmp_path_factory.mktemp("made"))


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(made, tmp_path / "store"))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def _packed(store: Path, *, config: bool = True) -> Path:
    """Pack the store under `_MANIFEST`, and a config."""
    members = {archive.STORE: store, **({archive.CONFIG: store} if config else {})}
    path = store.with_name("backup.tar.xz")
    with path.open("wb") as into:
        archive.pack(into, _MANIFEST, members)
    return path


def test_a_whole_back_up_is_in_the_folder(store: Path, out: Path) -> None:
    assert unpack(_packed(store), out) == _MANIFEST
    opened = open_store(out / archive.STORE, origin="its store")

    assert (opened.lineage.epoch, opened.lineage.marks.revision) == ("epoch-a", 3)
    assert len(opened.gateway_keys) == 1


def test_a_store_that_was_packed_damaged_is_bad_input(store: Path, out: Path) -> None:
    store.write_bytes(b"no database" * 1_000)

    with pytest.raises(Invalid, match=r"damaged.*expected what wgctl backup made"):
        unpack(_packed(store), out)


def test_a_store_of_another_time_than_its_manifest_is_bad_input(store: Path, out: Path) -> None:
    """The time between says how many numbers to skip."""
    later = Store(store)
    add_peer(later, "acme", 1)
    later.close()

    with pytest.raises(Invalid, match="as its manifest says"):
        unpack(_packed(store), out)


def test_without_a_config_it_is_bad_input(store: Path, out: Path) -> None:
    with pytest.raises(Invalid, match="has no wgctl"):
        unpack(_packed(store, config=False), out)


def test_no_room_is_not_the_back_ups_fault(store: Path, out: Path) -> None:
    file = _packed(store)

    with limited(50_000), pytest.raises(Unavailable, match="cannot be unpacked into"):
        unpack(file, out)


def test_no_back_up_at_all_is_bad_input(store: Path, out: Path) -> None:
    with pytest.raises(Invalid, match="No such file"):
        unpack(store.with_name("none"), out)


def test_what_cannot_be_opened_has_the_name_that_its_owner_knows(store: Path) -> None:
    store.write_bytes(b"no database" * 1_000)

    with pytest.raises(Unavailable, match="the store at its-store cannot be used"):
        open_store(store, origin="its-store")
    with pytest.raises(snapshot.Damaged):
        snapshot.check(store)
