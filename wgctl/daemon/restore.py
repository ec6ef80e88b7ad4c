"""`wgctl restore`: a back-up made this host's deployment, or only held against it.

Everything is read, checked, brought up to date and raised in a folder of its own; then the files
take their places, the store last, by one rename (see `wgctl.daemon.succession`). Until then the
host has what it had, and after it all of the back-up: what comes before is a key, a pool and a
config that are the same or were missing.

The old store stays beside the new one. It is not trusted to be the latest state, since it may be a
leftover itself: every count jumps by what can have been given out since the back-up, old store or
not, and is past the old one's too. Only one that is damaged is passed by: what keeps a whole one
from being read, be it a full disk or its version, is to be mended first.
"""

import secrets
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from peers.addresses import network_id_bits
from peers.keys import PrivateKey
from wgctl.core import settings as core_settings
from wgctl.core.errors import Conflict, Denied, Invalid, Unavailable
from wgctl.core.marks import joined, raised
from wgctl.core.model import Role
from wgctl.core.settings import POOL_NAME, STORE_NAME, Settings
from wgctl.daemon.backup import copy_stopped_store, copy_store
from wgctl.daemon.locks import only_one
from wgctl.daemon.succession import succeed
from wgctl.daemon.unpack import Opened, open_store, unpack
from wgctl.drivers import archive
from wgctl.drivers.files import led_to, place, sync_folder
from wgctl.services.compare import Difference, differences
from wgctl.store import snapshot
from wgctl.store.marks import begin_anew

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
class Draft:
    """A back-up that was read and is good, beside what the host has.

    `running` None: the host has no store, or one that is damaged, as `unreadable` says. `held`: the
    controller's folder is held, so that what was read of it is what is there.
    """

    folder: Path
    config_path: Path
    settings: Settings
    manifest: archive.Manifest
    found: Opened
    running: Opened | None
    unreadable: str | None
    held: bool

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

        Raises as `require_restorable` does, Conflict when a store came meanwhile, Denied where
        files may not be written, and Unavailable where they cannot be.
        """
        self.require_restorable(now=now)
        store = self.settings.role_dir(Role.CONTROLLER) / STORE_NAME
        with self._translated(), ExitStack() as held:
            self._make_folders()
            if not self.held:
                held.enter_context(only_one(store.parent))
                self._require_nothing_came(store, now=now)
            epoch, revision = self._begin_anew(now=now)
            created_config = self._place_what_is_missing()
            if self.running is not None:
                snapshot.settle(led_to(store))
            kept = succeed(self.folder / archive.STORE, store, standing=(epoch, revision), now=now)
        return RestoreReport(
            cut=self.found.lineage.marks.revision,
            revision=revision,
            state_dir=self.settings.state_dir,
            kept=kept,
            created_config=created_config,
        )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except PermissionError as error:
            raise Denied(f"{error.filename}: {error.strerror}: be root") from error
        except OSError as error:
            where = error.filename or self.settings.state_dir
            raise Unavailable(
                f"{where}: {error.strerror}: restore again once it is mended"
            ) from error

    def _require_nothing_came(self, store: Path, *, now: int) -> None:
        """Raise if somebody else made this host a deployment since it was looked at."""
        if store.exists():
            raise Conflict(
                f"a store came to {store.parent} meanwhile: look at it, and restore again"
            )
        self.require_restorable(now=now)

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

    def _make_folders(self) -> None:
        _make_public(self.settings.state_dir)
        for role in Role:
            self.settings.role_dir(role).mkdir(mode=0o700, exist_ok=True)
        sync_folder(self.settings.state_dir)

    def _place_what_is_missing(self) -> bool:
        """Give the host config, pool, key and authority, where it has none; tell if the config."""
        if created_config := not self.config_path.exists():
            _make_public(self.config_path.parent)
            place(self.folder / archive.CONFIG, self.config_path, mode=0o644)
        for name, target, mode in (
            (POOL_NAME, self._pool_file, 0o644),
            (archive.KEY, self.settings.key_file, 0o600),
        ):
            if not target.exists():
                place(self.folder / name, target, mode=mode)
        self._place_authority()
        return created_config

    def _place_authority(self) -> None:
        """Give the host the authority that was pinned, unless it has one, or it was left out."""
        certificate, key = self.settings.authority_file, self.settings.authority_key_file
        if key.exists() or not (self.folder / archive.AUTHORITY_KEY).exists():
            return
        place(self.folder / archive.AUTHORITY_KEY, key, mode=0o600)
        certificate.unlink(missing_ok=True)
        place(self.folder / archive.AUTHORITY, certificate, mode=0o644)

    def _begin_anew(self, *, now: int) -> tuple[str, int]:
        """Have the restored store go on past everything ever given out.

        Returns its epoch and revision.
        """
        lineage, epoch = self.found.lineage, secrets.token_hex(16)
        marks = raised(
            lineage.marks,
            elapsed_s=now - self.manifest.made_at,
            network_bits=network_id_bits(self.found.pool),
        )
        past = None if self.running is None else self.running.lineage
        if past is not None:
            marks = joined(marks, past.marks)
        begin_anew(self.folder / archive.STORE, epoch=epoch, marks=marks, past=past, now=now)
        return epoch, marks.revision

    @property
    def _pool_file(self) -> Path:
        return self.settings.role_dir(Role.GATEWAY) / POOL_NAME


@contextmanager
def drafted(config_path: Path, file: Path, *, beside: bool) -> Iterator[Draft]:
    """Read the back-up `file`, and what this host has.

    With `beside` the controller may run, and is asked for its store. Without, the controller's
    folder is held for the block: Unavailable while it runs. Raises Invalid for a file that is no
    whole back-up; Unavailable when a newer wgctl made it or the store that is there, or one of them
    cannot be read or unpacked. Nothing of the host is changed.
    """
    with ExitStack() as held:
        folder = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="wgctl-restore-")))
        manifest = unpack(file, folder)
        settings = _settings(config_path, folder / archive.CONFIG)
        store = settings.role_dir(Role.CONTROLLER) / STORE_NAME
        running, unreadable = None, None
        if is_there := _is_there(store):
            if not beside:
                held.enter_context(only_one(store.parent))
            try:
                (copy_store if beside else copy_stopped_store)(settings, folder / _RUNNING)
                running = open_store(folder / _RUNNING, origin=str(store))
            except snapshot.Damaged as error:
                unreadable = str(error)
        found = open_store(folder / archive.STORE, origin=f"{archive.STORE} in {file}")
        _write(folder / POOL_NAME, f"{found.pool}\n")
        yield Draft(
            folder,
            config_path,
            settings,
            manifest,
            found,
            running,
            unreadable,
            held=is_there and not beside,
        )


def _settings(config_path: Path, packed: Path) -> Settings:
    """Return what the host's config says, or the back-up's where the host has none."""
    path = config_path if config_path.exists() else packed
    return core_settings.parse(path.read_text("utf-8", "replace"), origin=str(config_path))


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text)
    except OSError as error:
        raise Unavailable(f"{path} cannot be written: {error.strerror}") from error


def _is_there(store: Path) -> bool:
    try:
        return led_to(store).exists()
    except PermissionError as error:
        raise Denied(f"no permission to look into {store.parent}: be root") from error


def _is_other_text(theirs: Path, ours: Path) -> bool:
    """Whether both are there, and say different things."""
    if not theirs.exists() or not ours.exists():
        return False
    return theirs.read_text().strip() != ours.read_text().strip()


def _make_public(folder: Path) -> None:
    """Make a folder that every role may reach and look into, whatever the umask; on the disk."""
    if folder.exists():
        return
    _make_public(folder.parent)
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)
    sync_folder(folder.parent)


def _moment(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
