"""Hosts with something to back up, and bare ones to restore it on."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pysqlite3

from peers.names import Label
from tests.daemon.running import folder_of_a_socket
from tests.store.samples import add_peer
from wgctl.core import settings as core_settings
from wgctl.core.model import Role
from wgctl.core.settings import (
    STORE_NAME,
    Settings,
)
from wgctl.daemon.backup import back_up
from wgctl.daemon.initialise import init
from wgctl.daemon.restore import RestoreReport, drafted
from wgctl.services import org
from wgctl.store.store import Store

__all__ = [
    "LATER",
    "NOW",
    "add",
    "backed_up",
    "bare",
    "execute",
    "initialised",
    "peers",
    "restored",
    "settings_of",
    "store_path",
    "tree",
]

NOW = 1_900_000_000
LATER = NOW + 3_600


@contextmanager
def bare() -> Iterator[Path]:
    """Make a host that has a config and nothing else; yield the config's path."""
    with folder_of_a_socket() as folder:
        path = folder / "wgctl.toml"
        path.write_text(
            f'state_dir = "{folder}/state"\nruntime_dir = "{folder}/run"\n'
            '[gateway]\nregion = "ams"\nendpoint = "203.0.113.7:51820"\n'
        )
        yield path


@contextmanager
def initialised() -> Iterator[Path]:
    """Make a host that has the org `acme` with `peer-1`; yield its config's path."""
    with bare() as path:
        init(path, region=None, endpoint=None, pool="fdaa::/16")
        store = _opened(path)
        org.add(store, Label("acme"), now=NOW)
        add_peer(store, "acme", 1)
        store.close()
        yield path


def backed_up(config: Path, *, with_key: bool = True) -> Path:
    """Back the host up, and return the back-up's path."""
    path = config.with_name("backup.tar.xz")
    with path.open("wb") as into:
        back_up(config, settings_of(config), into, now=NOW, with_key=with_key)
    return path


def settings_of(config: Path) -> Settings:
    return core_settings.parse(config.read_text(), origin=str(config))


def store_path(config: Path) -> Path:
    return settings_of(config).role_dir(Role.CONTROLLER) / STORE_NAME


def _opened(config: Path) -> Store:
    return Store(store_path(config))


def peers(config: Path) -> dict[str, str]:
    """Return the addresses of acme's peers by name."""
    store = _opened(config)
    with store.reading() as deployment:
        found = {str(peer.name): str(peer.address) for peer in deployment.owned_by("acme").peers()}
    store.close()
    return found


def add(config: Path, *numbers: int) -> None:
    """Add the peers of those numbers to acme."""
    store = _opened(config)
    for number in numbers:
        add_peer(store, "acme", number)
    store.close()


def restored(config: Path, file: Path, *, now: int = LATER) -> RestoreReport:
    """Put what `file` holds in the place of what the host has."""
    with drafted(config, file, beside=False) as draft:
        return draft.put_in_place(now=now)


def tree(folder: Path) -> dict[str, bytes]:
    """Return every file and what is in it, but for locks, which are taken to look."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "lock"
    }


def execute(path: Path, *statements: str) -> None:
    connection = pysqlite3.connect(str(path))
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()
