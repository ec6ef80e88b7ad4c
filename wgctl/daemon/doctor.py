"""`wgctl doctor`: checks from the ground up, each with what it found and its cure.

Looks only: nothing is changed. A check that stands on a failed one is not made.
"""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv6Address
from pathlib import Path

from wgctl.client.api import Client
from wgctl.client.resolver import Reply, ask
from wgctl.core import settings as core_settings
from wgctl.core.errors import Denied, Invalid, Refusal
from wgctl.core.model import Role
from wgctl.core.schema import RoleStatus, Status
from wgctl.core.settings import STORE_NAME, Backend, Settings
from wgctl.daemon import devices
from wgctl.drivers import sysctl
from wgctl.drivers.netlink import wireguard
from wgctl.drivers.nft import Nft
from wgctl.drivers.tunnel_socket import interface_index

__all__ = ["Check", "examine"]

_ROLES = (Role.GATEWAY, Role.RESOLVER, Role.INTERNAL_API)
_PROGRAM_TIMEOUT_S = 5
# A role reports every 5 s, and takes a while itself on a busy host.
_REPORTS_WITHIN_S = 8.0
_YOUNG = timedelta(minutes=1)
_LOOK_AGAIN_S = 0.2


@dataclass(frozen=True, slots=True)
class Check:
    """One check. `ok` None: it could not be made, or is only a warning."""

    stage: str
    name: str
    ok: bool | None
    found: str
    cure: str | None = None


def examine(config_path: Path) -> list[Check]:
    """Return every check in order; what the roles do is looked at whatever they say of it.

    Raises Denied for one who may not look at the host's state.
    """
    checks: list[Check] = []
    try:
        settings = core_settings.parse(
            config_path.read_text("utf-8", "replace"), origin=str(config_path)
        )
    except (OSError, Invalid) as error:
        return [Check("config", "file", False, str(error), "wgctl init writes one")]
    checks.append(Check("config", "file", True, str(config_path)))
    for stage in (_state, _host, _controller):
        found = list(stage(settings))
        checks += found
        if any(check.ok is False for check in found):
            return checks
    for stage in (_roles, _gateway, _resolver):
        checks += stage(settings)
    return checks


def _state(settings: Settings) -> Iterator[Check]:
    store = settings.role_dir(Role.CONTROLLER) / STORE_NAME
    try:
        there = store.exists()
    except PermissionError as error:
        raise Denied(f"no permission to look into {store.parent}: be root") from error
    yield _is("state", "store", there, f"{store}{'' if there else ' is not there'}", "wgctl init")
    yield _key(settings.key_file)


def _key(key: Path) -> Check:
    if not key.exists():
        cure = "wgctl init, or put it back from a back-up: peers know no other"
        return Check("state", "gateway key", False, f"{key} is not there", cure)
    private = key.stat().st_mode & 0o077 == 0
    found = f"{key}{'' if private else ' may be read by others than root'}"
    return _is("state", "gateway key", private, found, f"chmod 600 {key}")


def _host(settings: Settings) -> Iterator[Check]:
    forwards = _try(sysctl.forwards)
    yield _is(
        "host",
        "forwarding",
        forwards is True,
        "on" if forwards is True else "off",
        "wgctl serve switches it on; or sysctl -w net.ipv6.conf.all.forwarding=1",
    )
    ours = settings.gateway.interface
    stopped = [name for name, mode in sysctl.accept_ra().items() if mode == 1 and name != ours]
    yield Check(
        "host",
        "router advertisements",
        None if stopped and forwards is True else True,
        f"not taken while forwarding: {', '.join(stopped)}" if stopped else "kept",
        f"if {stopped[0]} is an uplink: sysctl -w net.ipv6.conf.{stopped[0]}.accept_ra=2"
        if stopped
        else None,
    )
    yield from _foreign_firewalls(settings)


def _foreign_firewalls(settings: Settings) -> Iterator[Check]:
    """Find forward chains of others (ufw, Docker) whose policy drops what ours lets through."""
    listed = _run("nft", "-j", "list", "chains")
    chains = json.loads(listed)["nftables"] if listed else []
    dropping = [
        f"{chain['family']} {chain['table']} {chain['name']}"
        for chain in (item["chain"] for item in chains if "chain" in item)
        if chain.get("hook") == "forward"
        and chain.get("policy") == "drop"
        and chain["family"] in {"ip6", "inet"}
        and chain["table"] != settings.gateway.interface
    ]
    interface = settings.gateway.interface
    yield Check(
        "host",
        "other firewalls",
        None if dropping else True,
        f"forward policy drop: {'; '.join(dropping)}" if dropping else "none that drop forwarding",
        f"let it pass there: ufw route allow in on {interface} out on {interface}, or with "
        f"Docker: ip6tables -I DOCKER-USER -i {interface} -o {interface} -j ACCEPT"
        if dropping
        else None,
    )


def _controller(settings: Settings) -> Iterator[Check]:
    status = _try(Client(settings.api_socket).status)
    good = isinstance(status, Status)
    found = f"revision {status.revision}" if isinstance(status, Status) else str(status)
    yield _is("controller", "answers", good, found, "wgctl serve")
    listen = settings.api.listen
    if isinstance(status, Status) and listen is not None:
        problem = next((r.problem for r in status.roles if r.role == Role.CONTROLLER), None)
        yield Check(
            "controller",
            "API from elsewhere",
            None if problem else True,
            problem or listen,
            "mend that; the controller tries again by itself" if problem else None,
        )


def _roles(settings: Settings) -> Iterator[Check]:
    status = _status_of_all(settings)
    for role in _ROLES:
        found = next((r for r in status.roles if r.role == role and r.alive), None)
        yield _is(
            "roles",
            f"{role} reports",
            found is not None and found.problem is None,
            found.problem or f"revision {found.revision}" if found else "not heard of",
            f"wgctl run {role}, and read its log",
        )
        if found is not None and found.setback is not None:
            yield Check(
                "roles",
                f"{role} was set back",
                None,
                found.setback,
                "add again what is gone and still wanted, remove what should not be back",
            )


def _status_of_all(settings: Settings) -> Status:
    """Return the status once every role has reported, or after a while without some.

    Roles that have just been started are not at fault yet, nor for what they waited for then.
    """
    client = Client(settings.api_socket)
    deadline = time.monotonic() + _REPORTS_WITHIN_S
    while True:
        status = client.status()
        heard = {role.role for role in status.roles if role.alive and not _may_be_well_soon(role)}
        if heard.issuperset(_ROLES) or time.monotonic() > deadline:
            return status
        time.sleep(_LOOK_AGAIN_S)


def _may_be_well_soon(role: RoleStatus) -> bool:
    return role.problem is not None and role.reported_at - role.started_at < _YOUNG


def _gateway(settings: Settings) -> Iterator[Check]:
    interface = settings.gateway.interface
    index = interface_index(interface)
    yield _is("gateway", "interface", index is not None, interface, "wgctl run gateway")
    yield _device(settings)
    table = _try(Nft(interface).read)
    there = table is not None and not isinstance(table, str)
    yield _is(
        "gateway",
        "firewall table",
        there,
        f"inet {interface}" if there else str(table or "not there"),
        "wgctl run gateway writes it, as root",
    )


def _device(settings: Settings) -> Check:
    runs = devices.standing(settings)
    if runs is None:
        return Check(
            "gateway", "WireGuard", False, "no device", "read the log of wgctl run gateway"
        )
    wanted = settings.gateway.backend
    if runs is Backend.USERSPACE and wanted is not runs and wireguard.is_available():
        return Check(
            "gateway",
            "WireGuard",
            None,
            "userspace, though this kernel has WireGuard",
            "stop the gateway, wgctl down, start it: the tunnels are cut meanwhile",
        )
    return Check("gateway", "WireGuard", True, runs)


def _resolver(settings: Settings) -> Iterator[Check]:
    asker = _some_resolver_address(settings)
    if asker is None:
        yield Check("resolver", "answers", None, "there is no network to ask in", "wgctl org add")
        return
    found = _try(lambda: ask(settings.resolver_socket, asker=asker, name="_api.internal"))
    yield _is(
        "resolver",
        "answers",
        isinstance(found, Reply) and bool(found.answers),
        f"_api.internal is {asker}" if isinstance(found, Reply) else str(found),
        "wgctl run resolver, and read its log",
    )


def _some_resolver_address(settings: Settings) -> IPv6Address | None:
    client = Client(settings.api_socket)
    for org in client.orgs():
        for network in client.networks(org.slug):
            return network.resolver
    return None


def _is(stage: str, name: str, good: bool, found: str, cure: str) -> Check:  # noqa: FBT001
    return Check(stage, name, good, found, None if good else cure)


def _try(look: Callable[[], object]) -> object:
    """Return what `look` finds, or the refusal's message."""
    try:
        return look()
    except (Refusal, Invalid) as error:
        return str(error)


def _run(*command: str) -> str | None:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_PROGRAM_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
