"""What `wgctl init` does once on a host: config file, store, gateway key, authority.

Starts nothing. Either everything is there afterwards, or no file that was not there before.
"""

import os
import pwd
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv6Network, ip_address
from pathlib import Path

from peers.addresses import parse_pool
from peers.endpoint import Endpoint
from peers.keys import PrivateKey
from peers.names import parse_label
from wgctl.core import authority
from wgctl.core import settings as core_settings
from wgctl.core.errors import Conflict, Denied, Invalid
from wgctl.core.forward.upstream import Upstream
from wgctl.core.model import Role
from wgctl.core.settings import (
    AUTHORITY_KEY_NAME,
    AUTHORITY_NAME,
    KEY_NAME,
    POOL_NAME,
    STORE_NAME,
    GatewaySettings,
    ResolverSettings,
    Settings,
)
from wgctl.daemon.users import ROLE_USERS
from wgctl.services import gateway
from wgctl.store.store import Store

__all__ = ["InitReport", "init"]


@dataclass(frozen=True, slots=True)
class InitReport:
    """What is there now. `created_config` is false where the file was there before.

    `authority` is the fingerprint of the one that vouches for the API.
    """

    config_path: Path
    state_dir: Path
    created_config: bool
    public_key: str
    pool: str
    authority: str


def init(
    config_path: Path,
    *,
    region: str | None,
    endpoint: str | None,
    pool: str,
    upstreams: Sequence[Upstream] | None = None,
) -> InitReport:
    """Make the host's state folder, and its config file unless there is one.

    Without `upstreams` the new config names none, and an old one may name any. Raises Invalid for
    bad values, Conflict when the state folder is initialised already, Denied where files cannot be
    written.
    """
    chosen = parse_pool(pool)
    try:
        text, settings = _settings(
            config_path, region=region, endpoint=endpoint, upstreams=upstreams
        )
        _require_outside(chosen, settings.resolver.upstreams)
        if any(path.exists() for path in _state_files(settings)):
            raise Conflict(f"{settings.state_dir} is initialised already: start what is there")
        with _config_written(config_path, text):
            key = _make_state(settings, chosen)
    except PermissionError as error:
        raise Denied(f"{error.filename}: {error.strerror}: run wgctl init as root") from error
    return InitReport(
        config_path=config_path,
        state_dir=settings.state_dir,
        created_config=text is not None,
        public_key=key.public().text(),
        pool=str(chosen),
        authority=authority.fingerprint(settings.authority_file.read_bytes()),
    )


def _settings(
    config_path: Path,
    *,
    region: str | None,
    endpoint: str | None,
    upstreams: Sequence[Upstream] | None,
) -> tuple[str | None, Settings]:
    """Return the settings, and the text of the config file if it is to be written."""
    if config_path.exists():
        found = core_settings.parse(
            config_path.read_text("utf-8", "replace"), origin=str(config_path)
        )
        _require_same(config_path, "region", region, str(found.gateway.region))
        _require_same(config_path, "endpoint", endpoint, str(found.gateway.endpoint))
        asked = None if upstreams is None else _listed(upstreams)
        _require_same(config_path, "upstreams", asked, _listed(found.resolver.upstreams))
        return None, found
    if region is None or endpoint is None:
        raise Invalid(f"no config at {config_path}: expected --region and --endpoint to make one")
    gateway_settings = GatewaySettings(
        region=parse_label(region, what="region"), endpoint=Endpoint.parse(endpoint)
    )
    made = Settings(
        gateway=gateway_settings, resolver=ResolverSettings(upstreams=tuple(upstreams or ()))
    )
    return core_settings.render(made), made


def _require_same(config_path: Path, key: str, asked: str | None, found: str) -> None:
    if asked is not None and asked != found:
        raise Invalid(
            f"{config_path} says {key} {found!a}, the option says {asked!a}: "
            "change the file, or leave the option out"
        )


def _listed(upstreams: Sequence[Upstream]) -> str:
    return ", ".join(map(str, upstreams)) or "none"


def _require_outside(pool: IPv6Network, upstreams: Sequence[Upstream]) -> None:
    """Refuse an upstream that would be this resolver itself."""
    for upstream in upstreams:
        if ip_address(upstream.endpoint.host) in pool:
            raise Invalid(
                f"upstream {upstream} is in the pool {pool} of this deployment's networks, "
                "expected a resolver beyond them"
            )


def _make_state(settings: Settings, pool: IPv6Network) -> PrivateKey:
    """Fill a folder beside the state folder and give it the name when it is whole."""
    settings.state_dir.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".wgctl-init-", dir=settings.state_dir.parent))
    try:
        for role in Role:
            (draft / role).mkdir(mode=0o700)
        key = PrivateKey.generate()
        _write(draft / KEY_NAME, key.text() + "\n", mode=0o600)
        _write(draft / Role.GATEWAY / POOL_NAME, f"{pool}\n", mode=0o644)
        own = authority.make(now=int(time.time()))
        _write(draft / AUTHORITY_KEY_NAME, own.key.decode(), mode=0o600)
        _write(draft / AUTHORITY_NAME, own.certificate.decode(), mode=0o644)
        _make_store(draft / Role.CONTROLLER / STORE_NAME, settings, pool, key)
        for role in Role:
            _hand_over(draft / role, ROLE_USERS[role])
        draft.chmod(0o755)
        _put(draft, settings.state_dir)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return key


def _put(draft: Path, folder: Path) -> None:
    """Give `draft` the name `folder`; what has it, or is in what has it, is not lost.

    What was made for a role that ran before there was a deployment, or by hand, is no reason to
    make none.
    """
    if not folder.exists():
        draft.rename(folder)
        return
    aside = draft.with_name(f"{draft.name}.before")
    folder.rename(aside)
    try:
        draft.rename(folder)
    except BaseException:
        aside.rename(folder)
        raise
    _bring_along(aside, folder)


def _bring_along(old: Path, new: Path) -> None:
    """Move what is in `old` to `new`, but for files that both have, and take `old` away."""
    for path in list(old.iterdir()):
        kept = new / path.name
        if not kept.exists():
            path.rename(kept)
        elif path.is_dir() and not path.is_symlink():
            _bring_along(path, kept)
        else:
            path.unlink()
    old.rmdir()


def _state_files(settings: Settings) -> tuple[Path, Path]:
    """Return where the two files are that make a deployment: its store and its gateway's key."""
    return settings.role_dir(Role.CONTROLLER) / STORE_NAME, settings.state_dir / KEY_NAME


def _make_store(path: Path, settings: Settings, pool: IPv6Network, key: PrivateKey) -> None:
    now = int(time.time())
    store = Store.create(path, pool=pool, epoch=secrets.token_hex(16), now=now)
    try:
        facts = gateway.GatewayFacts(
            region=settings.gateway.region,
            endpoint=settings.gateway.endpoint,
            public_key=key.public(),
            mtu_bytes=settings.gateway.mtu,
            forwards=bool(settings.resolver.upstreams),
        )
        gateway.register(store, facts, now=now)
    finally:
        store.close()


@contextmanager
def _config_written(path: Path, text: str | None) -> Iterator[None]:
    """Write `text`, unless it is None, and take it away again when the block fails.

    It comes before the state: a config alone is kept by the next `wgctl init`, a state alone is
    refused by it.
    """
    if text is None:
        yield
        return
    if not path.parent.exists():
        path.parent.mkdir(parents=True)
        path.parent.chmod(0o755)
    _write(path, text, mode=0o644)
    try:
        yield
    except BaseException:
        path.unlink()
        raise


def _hand_over(folder: Path, user: str) -> None:
    """Give `folder` and what is in it to `user`, where the host has it and we are root."""
    if os.geteuid() != 0:
        return
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        return
    for path in (folder, *folder.rglob("*")):
        os.chown(path, entry.pw_uid, entry.pw_gid, follow_symlinks=False)


def _write(path: Path, text: str, *, mode: int) -> None:
    """Write a new file with this mode, whatever the umask: every role reads the config."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    try:
        with os.fdopen(descriptor, "w") as file:
            os.fchmod(descriptor, mode)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink()
        raise
