import io
import shutil
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pysqlite3
import pytest

from peers.names import Label
from tests.daemon.running import folder_of_a_socket, listening, running, until
from tests.store.samples import add_peer, key
from wgctl.client.api import Client
from wgctl.core import settings as core_settings
from wgctl.core.errors import Unavailable
from wgctl.core.model import Role
from wgctl.core.schema import NewOrg, NewPeer
from wgctl.core.settings import STORE_NAME, Settings
from wgctl.daemon.backup import back_up
from wgctl.daemon.initialise import init
from wgctl.daemon.locks import only_one
from wgctl.drivers import archive
from wgctl.services import org
from wgctl.store import snapshot
from wgctl.store.store import Store

_NOW = 1_900_000_000
_ADDS = 200


@pytest.fixture
def config() -> Iterator[Path]:
    """The config of a host that is initialised and has the org `acme`."""
    with folder_of_a_socket() as folder:
        path = folder / "wgctl.toml"
        path.write_text(
            f'state_dir = "{folder}/state"\nruntime_dir = "{folder}/run"\n'
            '[gateway]\nregion = "ams"\nendpoint = "203.0.113.7:51820"\n'
        )
        init(path, region=None, endpoint=None, pool="fdaa::/16")
        yield path


def _settings(config: Path) -> Settings:
    return core_settings.parse(config.read_text(), origin=str(config))


def _members(content: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:xz") as tar:
        return {
            member.name.removeprefix("wgctl-backup/"): file.read()
            for member in tar
            if (file := tar.extractfile(member)) is not None
        }


def _back_up(config: Path, *, with_key: bool = True) -> bytes:
    into = io.BytesIO()
    back_up(config, _settings(config), into, now=_NOW, with_key=with_key)
    return into.getvalue()


def test_it_holds_store_key_and_config(config: Path, tmp_path: Path) -> None:
    settings = _settings(config)
    found = _members(_back_up(config))
    (tmp_path / "store").write_bytes(found["store.sqlite"])
    snapshot.check(tmp_path / "store")

    assert found["gateway.key"] == settings.key_file.read_bytes()
    assert found["authority.key"] == settings.authority_key_file.read_bytes()
    assert found["authority.pem"] == settings.authority_file.read_bytes()
    assert found["wgctl.toml"] == config.read_bytes()
    assert next(iter(found)) == "manifest.json"


def test_the_key_can_be_left_out(config: Path) -> None:
    settings = _settings(config)
    found = _members(_back_up(config, with_key=False))

    assert not {"gateway.key", "authority.key"} & found.keys()
    for path in (settings.key_file, settings.authority_key_file):
        secret = path.read_bytes().strip()
        assert not any(secret in content for content in found.values())


def test_a_stopped_controllers_store_is_left_as_an_older_wgctl_made_it(config: Path) -> None:
    """A back-up comes before an upgrade: it must not be the upgrade."""
    store = _settings(config).role_dir(Role.CONTROLLER) / STORE_NAME
    before = store.read_bytes()
    _back_up(config)

    assert store.read_bytes() == before


def test_behind_a_link_a_stopped_store_has_its_log_too(config: Path, tmp_path: Path) -> None:
    """It is where the store itself is; without it what was acknowledged last would be missing."""
    place, real = _settings(config).role_dir(Role.CONTROLLER) / STORE_NAME, tmp_path / "real"
    store = Store(place)
    org.add(store, Label("acme"), now=_NOW)
    for suffix in ("", "-wal"):
        shutil.copy(f"{place}{suffix}", f"{real}{suffix}")
    expected = snapshot.standing(place)
    store.close()
    place.unlink()
    place.symlink_to(real)
    (tmp_path / "copy").write_bytes(_members(_back_up(config))["store.sqlite"])

    assert snapshot.standing(tmp_path / "copy") == expected


def test_what_somebody_left_half_done_in_a_stopped_store_is_undone(config: Path) -> None:
    """A journal holds what was there before, where the log holds what came after."""
    place = _settings(config).role_dir(Role.CONTROLLER) / STORE_NAME
    expected = snapshot.standing(place)
    connection = pysqlite3.connect(str(place), isolation_level=None)
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.execute("PRAGMA cache_size = 1")  # So that it writes before it is told to.
    connection.execute("BEGIN")
    connection.execute("UPDATE deployment SET revision = revision + 7")
    connection.execute(
        "INSERT INTO spent_network_ids (number) WITH RECURSIVE n(i) AS "
        "(SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) SELECT i FROM n"
    )
    left = {name: name.read_bytes() for name in place.parent.glob("store.sqlite*")}
    connection.close()
    for name, content in left.items():
        name.write_bytes(content)
    copy = place.with_name("copy")
    copy.write_bytes(_members(_back_up(config))["store.sqlite"])

    assert {name.name for name in left} == {STORE_NAME, f"{STORE_NAME}-journal"}
    assert snapshot.standing(copy) == expected


def test_during_parallel_adds_it_is_a_state_that_was(config: Path, tmp_path: Path) -> None:
    """Each back-up holds every peer acknowledged before it began, and no half of one."""
    settings = _settings(config)
    acknowledged: list[int] = []
    copies: list[tuple[set[int], bytes]] = []

    def add(number: int) -> None:
        new = NewPeer(network="default", name=f"peer-{number}", public_key=key(number))
        Client(settings.api_socket).add_peer("acme", new)
        acknowledged.append(number)

    with running(Role.CONTROLLER, settings):
        until(lambda: listening(settings.api_socket))
        Client(settings.api_socket).add_org(NewOrg(slug="acme"))
        with ThreadPoolExecutor(8) as workers:
            adding = [workers.submit(add, number) for number in range(_ADDS)]
            while not all(future.done() for future in adding):
                copies.append((set(acknowledged), _back_up(config)))
        for future in adding:
            future.result()

    assert len(copies) > 1
    for turn, (known, content) in enumerate(copies):
        path = tmp_path / f"store-{turn}"
        path.write_bytes(_members(content)["store.sqlite"])
        snapshot.check(path)
        store = Store(path)
        with store.reading() as deployment:
            peers = deployment.owned_by("acme").peers()
            revision = deployment.revision
        store.close()
        names = {int(peer.name.removeprefix("peer-")) for peer in peers}
        # The gateway and the org took a revision each.
        assert len(peers) == revision - 2
        assert known <= names
        assert {int(peer.address) & 0xFFFF for peer in peers} == set(range(2, len(peers) + 2))


def test_a_host_without_a_store_has_nothing_to_back_up(config: Path) -> None:
    (_settings(config).role_dir(Role.CONTROLLER) / STORE_NAME).unlink()

    with pytest.raises(Unavailable, match="no store"):
        _back_up(config)


def test_a_controller_that_does_not_answer_is_not_gone_round(config: Path) -> None:
    """It has the store, whatever it is at."""
    with (
        only_one(_settings(config).role_dir(Role.CONTROLLER)),
        pytest.raises(Unavailable, match=r"does not answer at.*another controller runs"),
    ):
        _back_up(config)


def test_a_damaged_store_makes_no_back_up(config: Path) -> None:
    path = _settings(config).role_dir(Role.CONTROLLER) / STORE_NAME
    store = Store(path)
    with store.writing() as deployment:
        deployment.add_org("acme", now=_NOW)  # type: ignore[arg-type]  # a label, as any text here
        door = deployment.owned_by("acme")
        door.add_network("default", number=7, now=_NOW)  # type: ignore[arg-type]  # likewise
    add_peer(store, "acme", 1)
    store.close()
    content = bytearray(path.read_bytes())
    for place in range(3 * 4096, len(content), 4096):
        content[place : place + 8] = b"\xff" * 8
    path.write_bytes(content)

    with pytest.raises(snapshot.Damaged):
        _back_up(config)


def test_the_format_is_the_one_that_is_read(config: Path, tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(_back_up(config))
    (tmp_path / "out").mkdir()
    found = archive.unpack(tmp_path / "b", tmp_path / "out")

    assert (found.made_at, found.revision) == (_NOW, 1)
