"""A back-up in a folder of our own: unpacked, held against what it says of itself, and opened.

What of it becomes this host's is `wgctl.daemon.restore`.
"""

from dataclasses import dataclass
from ipaddress import IPv6Network
from pathlib import Path

from peers.keys import PublicKey
from wgctl.core.errors import Denied, Invalid, Unavailable
from wgctl.drivers import archive
from wgctl.services.compare import Contents, contents
from wgctl.store import snapshot
from wgctl.store.marks import Lineage, read_lineage
from wgctl.store.store import Store

__all__ = ["Opened", "open_store", "unpack"]


@dataclass(frozen=True, slots=True)
class Opened:
    """A store that was read as the controller reads it."""

    lineage: Lineage
    pool: IPv6Network
    contents: Contents
    gateway_keys: frozenset[PublicKey]


def unpack(file: Path, folder: Path) -> archive.Manifest:
    """Write the files of the back-up `file` into the folder, and return what it says of itself.

    Raises Invalid unless it is whole, is a back-up and has the store that it says; Denied where it
    may not be read; Unavailable when a newer wgctl made it, or it cannot be unpacked there.
    """
    try:
        manifest = archive.unpack(file, folder)
    except PermissionError as error:
        raise Denied(f"no permission to read {error.filename}: be root") from error
    except OSError as error:
        if error.filename == str(file):
            raise Invalid(f"{file}: {error.strerror}, expected a back-up") from error
        raise Unavailable(
            f"{file} cannot be unpacked into {folder.parent}: {error.strerror}"
        ) from error
    if not (folder / archive.CONFIG).exists():
        raise Invalid(f"{file} has no {archive.CONFIG} in it, expected what wgctl backup made")
    _check(file, folder / archive.STORE, manifest)
    return manifest


def open_store(path: Path, *, origin: str) -> Opened:
    """Open a store of our own as the controller would: it is brought up to date by that.

    Raises Unavailable, about a store called `origin`, when it cannot be opened or is too new.
    """
    try:
        store = Store(path)
        try:
            with store.reading() as deployment:
                keys = frozenset(gateway.public_key for gateway in deployment.gateways())
            rows = contents(store)
        finally:
            store.close()
        return Opened(read_lineage(path), store.pool, rows, keys)
    except Unavailable as error:
        raise Unavailable(str(error).replace(str(path), origin)) from error


def _check(file: Path, store: Path, manifest: archive.Manifest) -> None:
    """Raise unless the store is whole, and the one that its manifest gives the time of."""
    try:
        snapshot.check(store)
    except snapshot.Damaged as error:
        raise Invalid(f"{file}: {error}: expected what wgctl backup made") from error
    found, told = snapshot.standing(store), (manifest.epoch, manifest.revision)
    if found != told:
        raise Invalid(f"{file} holds a store at {found}, expected {told} as its manifest says")
