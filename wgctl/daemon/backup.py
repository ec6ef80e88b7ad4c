"""`wgctl backup`: the store, the gateway's key and the config, in one file.

The controller gives out its store, which nobody else may open while it runs; the rest is read from
this host's files. Reading it back is `wgctl.daemon.restore`.

The gateway's key is in it unless it is left out: without it every peer's config is worth nothing on
another machine, and preshared keys, which are sealed to it, cannot be opened. The file is 0600 and
to be kept like the key itself. The authority's key is in it and left out with the gateway's.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from wgctl import __version__
from wgctl.client.api import Client
from wgctl.core.errors import Denied, Unavailable
from wgctl.core.model import Role
from wgctl.core.settings import STORE_NAME, Settings
from wgctl.daemon.locks import only_one
from wgctl.drivers import archive
from wgctl.drivers.files import led_to, open_itself
from wgctl.store import snapshot

__all__ = ["BackupReport", "back_up", "copy_stopped_store", "copy_store"]


@dataclass(frozen=True, slots=True)
class BackupReport:
    """What a back-up holds."""

    made_at: int
    revision: int
    with_key: bool


def back_up(
    config_path: Path, settings: Settings, into: IO[bytes], *, now: int, with_key: bool
) -> BackupReport:
    """Write a back-up to the stream `into`.

    Raises Unavailable when there is no store or it cannot be read, Denied for a file that may not.
    """
    members = {archive.CONFIG: config_path}
    if with_key:
        members[archive.KEY] = settings.key_file
        if settings.authority_key_file.exists():
            members[archive.AUTHORITY] = settings.authority_file
            members[archive.AUTHORITY_KEY] = settings.authority_key_file
    for path in members.values():
        _require_readable(path)
    with tempfile.TemporaryDirectory(prefix="wgctl-backup-") as folder:
        store = Path(folder) / STORE_NAME
        copy_store(settings, store)
        epoch, revision = snapshot.standing(store)
        manifest = archive.Manifest(__version__, made_at=now, epoch=epoch, revision=revision)
        archive.pack(into, manifest, {archive.STORE: store, **members})
    return BackupReport(made_at=now, revision=revision, with_key=with_key)


def copy_store(settings: Settings, into: Path) -> None:
    """Write the store as it is at one moment into `into`, whether the controller runs or not.

    Raises Unavailable when there is none, when the controller holds it and does not answer, or when
    the copy cannot be written; `snapshot.Damaged` when that is damaged.
    """
    try:
        Client(settings.api_socket).save_store(into)
    except Unavailable as unanswered:
        folder = settings.role_dir(Role.CONTROLLER)
        if not (folder / STORE_NAME).exists():
            raise Unavailable(f"no store in {folder}: make one with wgctl init") from unanswered
        with _held(folder, unanswered):
            copy_stopped_store(settings, into)
    except OSError as error:
        raise Unavailable(
            f"the store cannot be written into {into.parent}: {error.strerror}"
        ) from error
    else:
        snapshot.check(into)


def copy_stopped_store(settings: Settings, into: Path) -> None:
    """Write the store into `into`, while the caller holds the controller's folder.

    The store's own files are not opened: of a damaged one, SQLite throws the log away, and with it
    what somebody might still read. Raises Unavailable when it cannot be read or the copy not
    written, `snapshot.Damaged` when it is damaged, Denied as `led_to`.
    """
    # What SQLite puts beside a store is where the file itself is, not where a link to it is.
    store = led_to(settings.role_dir(Role.CONTROLLER) / STORE_NAME)
    with tempfile.TemporaryDirectory(prefix="wgctl-copy-", dir=into.parent) as name:
        copy = Path(name) / STORE_NAME
        for suffix in ("", "-wal", "-journal"):
            file = store.with_name(store.name + suffix)
            if file.exists():
                _copy(file, copy.with_name(copy.name + suffix))
        into.unlink(missing_ok=True)
        snapshot.take(copy, into)
    snapshot.check(into)


@contextmanager
def _held(folder: Path, unanswered: Unavailable) -> Iterator[None]:
    """Hold the controller's folder; where that cannot be, say how its holder failed us."""
    with ExitStack() as held:
        try:
            held.enter_context(only_one(folder))
        except Unavailable as error:
            raise Unavailable(f"{unanswered} ({error})") from unanswered
        yield


def _copy(file: Path, into: Path) -> None:
    try:
        with open_itself(file) as theirs, into.open("xb") as ours:
            shutil.copyfileobj(theirs, ours)
    except PermissionError as error:
        raise Denied(f"no permission to read {file}: be root") from error
    except OSError as error:
        raise Unavailable(
            f"{file} cannot be copied into {into.parent}: {error.strerror}"
        ) from error


def _require_readable(path: Path) -> None:
    try:
        path.open("rb").close()
    except PermissionError as error:
        raise Denied(
            f"no permission to read {path}: be root; --without-key leaves the gateway's key out"
        ) from error
    except OSError as error:
        raise Unavailable(f"{path}: {error.strerror}, expected what wgctl init made") from error
