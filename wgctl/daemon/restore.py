"""`wgctl restore`: a back-up made this host's deployment, or only held against it.

Everything is read, checked, brought up to date and raised in a folder of its own; then the files
take their places, the store last. Until that one rename the host has what it had, and after it all
of the back-up: what comes before is a key, a pool and a config that are the same or were missing.

The old store stays beside the new one. It is not trusted to be the latest state, since it may be a
leftover itself: every count jumps by what can have been given out since the back-up, old store or
not, and is past the old one's too.
"""

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv6Network
from pathlib import Path

from peers.addresses import network_id_bits
from peers.keys import PrivateKey, PublicKey
from wgctl.core import settings as core_settings
from wgctl.core.errors import Conflict, Denied, Invalid, Refusal
from wgctl.core.marks import joined, raised
from wgctl.core.model import Role
from wgctl.core.settings import POOL_NAME, STORE_NAME, Settings
from wgctl.daemon.backup import copy_stopped_store, copy_store
from wgctl.daemon.locks import only_one
from wgctl.drivers import archive
from wgctl.drivers.files import sync_folder
from wgctl.services.compare import Contents, Difference, contents, differences
from wgctl.store import snapshot
from wgctl.store.marks import Lineage, begin_anew, read_lineage
from wgctl.store.store import Store

__all__ = ["Draft", "RestoreReport", "drafted"]

_RUNNING = "running.sqlite"


@dataclass(frozen=True, slots=True)
class RestoreReport:
    """What is there now. `kept` is where the old store is, None if there was none."""

    cut: int
    revision: int
    state_dir: Path
    kept: Path | None
    created_config: bool


@dataclass(frozen=True, slots=True)
class _Opened:
    """A store that was read as the controller reads it."""

    lineage: Lineage
    pool: IPv6Network
    contents: Contents
    gateway_keys: frozenset[PublicKey]


@dataclass(frozen=True, slots=True)
class Draft:
    """A back-up that was read and is good, beside what the host has.

    `running` None: the host has no store, or one that cannot be read, as `unreadable` says.
    """

    folder: Path
    config_path: Path
    settings: Settings
    manifest: archive.Manifest
    found: _Opened
    running: _Opened | None
    unreadable: str | None

    @property
    def counts(self) -> dict[str, int]:
        """How many rows of each kind the back-up has."""
        return {str(kind): len(rows) for kind, rows in self.found.contents.items()}

    @property
    def replaces(self) -> bool:
        """Whether a store is there whose place would be taken."""
        return self.running is not None or self.unreadable is not None

    def differences(self) -> list[Difference]:
        """Return what becomes of the host's store; nothing, if it has none."""
        if self.running is None:
            return []
        return differences(self.running.contents, self.found.contents)

    def require_restorable(self, *, now: int) -> None:
        """Raise unless it can be restored here.

        Conflict when the host has another deployment or another gateway's key; Invalid when `now`
        is before the back-up was made, or when there is no gateway's key.
        """
        if now < self.manifest.made_at:
            raise Invalid(
                f"the clock says {_moment(now)}, and the back-up was made at "
                f"{_moment(self.manifest.made_at)}: set the clock first, because the time between "
                "says how many numbers to skip"
            )
        if self.running is not None and not self.running.lineage.related(self.found.lineage):
            raise self._another_deployment("store")
        if _is_other_text(self.folder / POOL_NAME, self._pool_file):
            raise self._another_deployment("pool")
        self._require_key()

    def put_in_place(self, *, now: int) -> RestoreReport:
        """Make it this host's deployment, whole or not at all.

        Raises as `require_restorable` does, and Denied where files cannot be written.
        """
        self.require_restorable(now=now)
        controller = self.settings.role_dir(Role.CONTROLLER)
        try:
            created_config = self._place_what_is_missing()
            with ExitStack() as held:
                if not self.replaces:
                    held.enter_context(only_one(controller))
                revision = self._begin_anew(now=now)
                if self.running is not None:
                    snapshot.settle(controller / STORE_NAME)
                kept = _set_aside(controller / STORE_NAME, now=now)
                _place(self.folder / archive.STORE, controller / STORE_NAME, mode=0o600)
        except PermissionError as error:
            raise Denied(f"{error.filename}: {error.strerror}: be root") from error
        return RestoreReport(
            cut=self.found.lineage.marks.revision,
            revision=revision,
            state_dir=self.settings.state_dir,
            kept=kept,
            created_config=created_config,
        )

    def _require_key(self) -> None:
        theirs, ours = self.folder / archive.KEY, self.settings.key_file
        if not ours.exists():
            if not theirs.exists():
                raise Invalid(
                    f"the back-up has no gateway's key, and there is none at {ours}: put it there "
                    "(0600), or restore a back-up that has it"
                )
            return
        if _is_other_text(theirs, ours):
            raise self._another_deployment("gateway's key")
        if PrivateKey.parse(ours.read_text().strip()).public() not in self.found.gateway_keys:
            raise self._another_deployment("gateway's key")

    def _another_deployment(self, what: str) -> Conflict:
        state = self.settings.state_dir
        return Conflict(
            f"the {what} in {state} is another deployment's than the back-up's: "
            f"to restore here, stop every role and put that one aside: mv {state} {state}.aside"
        )

    def _place_what_is_missing(self) -> bool:
        """Give the host config, folders, pool and key, where it has none; tell if the config."""
        if created_config := not self.config_path.exists():
            _make_public(self.config_path.parent)
            _place(self.folder / archive.CONFIG, self.config_path, mode=0o644)
        _make_public(self.settings.state_dir)
        for role in Role:
            self.settings.role_dir(role).mkdir(mode=0o700, exist_ok=True)
        for folder in (self.settings.state_dir, self.settings.state_dir.parent):
            sync_folder(folder)
        for name, target, mode in (
            (POOL_NAME, self._pool_file, 0o644),
            (archive.KEY, self.settings.key_file, 0o600),
        ):
            if not target.exists():
                _place(self.folder / name, target, mode=mode)
        return created_config

    def _begin_anew(self, *, now: int) -> int:
        """Have the restored store go on past everything ever given out; return its revision."""
        lineage = self.found.lineage
        store = self.folder / archive.STORE
        marks = raised(
            lineage.marks,
            elapsed_s=now - self.manifest.made_at,
            network_bits=network_id_bits(self.found.pool),
        )
        past = None if self.running is None else self.running.lineage
        if past is not None:
            marks = joined(marks, past.marks)
        begin_anew(store, epoch=secrets.token_hex(16), marks=marks, past=past, now=now)
        return marks.revision

    @property
    def _pool_file(self) -> Path:
        return self.settings.role_dir(Role.GATEWAY) / POOL_NAME


@contextmanager
def drafted(config_path: Path, file: Path, *, beside: bool) -> Iterator[Draft]:
    """Read the back-up `file`, and what this host has.

    With `beside` the controller may run, and is asked for its store. Without, the controller's
    folder is held for the block: Unavailable while it runs. Raises Invalid for a file that is no
    whole back-up, and Unavailable when a newer wgctl made it. Nothing of the host is changed.
    """
    with ExitStack() as held:
        folder = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="wgctl-restore-")))
        manifest = _unpacked(file, folder)
        settings = _settings(config_path, folder / archive.CONFIG)
        store = settings.role_dir(Role.CONTROLLER) / STORE_NAME
        running, unreadable = None, None
        if _is_there(store):
            if not beside:
                held.enter_context(only_one(store.parent))
            try:
                (copy_store if beside else copy_stopped_store)(settings, folder / _RUNNING)
                running = _opened(folder / _RUNNING)
            except (Refusal, Invalid) as error:
                unreadable = str(error)
        found = _opened(folder / archive.STORE)
        (folder / POOL_NAME).write_text(f"{found.pool}\n")
        yield Draft(folder, config_path, settings, manifest, found, running, unreadable)


def _unpacked(file: Path, folder: Path) -> archive.Manifest:
    try:
        manifest = archive.unpack(file, folder)
    except PermissionError as error:
        raise Denied(f"no permission to read {error.filename}: be root") from error
    except OSError as error:
        raise Invalid(f"{error.filename}: {error.strerror}, expected a back-up") from error
    if not (folder / archive.CONFIG).exists():
        raise Invalid(f"{file} has no {archive.CONFIG} in it, expected what wgctl backup made")
    snapshot.check(folder / archive.STORE)
    return manifest


def _settings(config_path: Path, packed: Path) -> Settings:
    """Return what the host's config says, or the back-up's where the host has none."""
    path = config_path if config_path.exists() else packed
    return core_settings.parse(path.read_text("utf-8", "replace"), origin=str(config_path))


def _is_there(store: Path) -> bool:
    try:
        return store.exists()
    except PermissionError as error:
        raise Denied(f"no permission to look into {store.parent}: be root") from error


def _opened(path: Path) -> _Opened:
    """Open a store of our own as the controller would: it is brought up to date by that."""
    store = Store(path)
    try:
        with store.reading() as deployment:
            keys = frozenset(gateway.public_key for gateway in deployment.gateways())
        rows = contents(store)
    finally:
        store.close()
    return _Opened(read_lineage(path), store.pool, rows, keys)


def _is_other_text(theirs: Path, ours: Path) -> bool:
    """Whether both are there, and say different things."""
    if not theirs.exists() or not ours.exists():
        return False
    return theirs.read_text().strip() != ours.read_text().strip()


def _set_aside(store: Path, *, now: int) -> Path | None:
    """Give the old store a second name, which is its only one once another takes its place."""
    if not store.exists():
        return None
    aside = store.with_name(
        f"{store.name}.before-{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%SZ}"
    )
    if aside.exists():
        aside = aside.with_name(f"{aside.name}-{secrets.token_hex(2)}")
    aside.hardlink_to(store)
    # A store that was settled has none; to the one that comes they would be poison.
    for suffix in ("-wal", "-shm"):
        beside = store.with_name(store.name + suffix)
        if beside.exists():
            beside.rename(aside.with_name(aside.name + suffix))
    sync_folder(store.parent)
    return aside


def _make_public(folder: Path) -> None:
    """Make a folder that every role may look into, whatever the umask."""
    if not folder.exists():
        folder.mkdir(parents=True)
        folder.chmod(0o755)


def _place(source: Path, target: Path, *, mode: int) -> None:
    """Copy a file to its place, whole and on the disk before it has its name there.

    It belongs to whoever has the folder: a role that is not root must be able to open it.
    """
    # A name as of the controller's own copies, of which it clears its folder when it starts.
    draft = target.with_name(f".copy-{secrets.token_hex(4)}")
    owner = target.parent.stat()
    try:
        with source.open("rb") as packed, draft.open("xb") as file:
            os.fchmod(file.fileno(), mode)
            if os.geteuid() == 0:
                os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
            shutil.copyfileobj(packed, file)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(target)
    finally:
        draft.unlink(missing_ok=True)
    sync_folder(target.parent)


def _moment(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
