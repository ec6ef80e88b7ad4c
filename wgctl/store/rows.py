"""Rows of the tables as the values of `wgctl.core.model`, and those that are to become rows.

Runs no statement: `deployment` and `org` do.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Network
from types import MappingProxyType
from typing import Any

from peers.addresses import network_prefix, peer_address, service_address
from peers.endpoint import Endpoint
from peers.keys import PublicKey
from peers.names import Label
from peers.seal import SealedKey
from wgctl.core.check import Target
from wgctl.core.model import (
    App,
    Check,
    Gateway,
    Machine,
    MachineState,
    Member,
    MemberRole,
    Network,
    Org,
    Peer,
    Port,
    Proof,
    Protocol,
    Seal,
    Token,
    TokenKind,
)
from wgctl.store.prepared import Values

__all__ = [
    "NewCheckRow",
    "NewMachineRow",
    "NewPeerRow",
    "NewTokenRow",
    "app_of",
    "check_of",
    "gateway_of",
    "machine_of",
    "member_of",
    "network_of",
    "org_of",
    "peer_of",
    "ports_as_json",
    "seal_of",
    "token_of",
]


@dataclass(frozen=True, slots=True)
class NewPeerRow:
    """A peer before it has an id and an address."""

    name: Label
    owner: str
    public_key: PublicKey
    created_at: int
    expires_at: int | None
    ephemeral: bool = False
    tags: tuple[Label, ...] = ()


@dataclass(frozen=True, slots=True)
class NewMachineRow:
    """A machine before it has an id; `lease_s` None: it has no lease."""

    name: Label
    region: Label
    process_group: Label
    ports: tuple[Port, ...]
    metadata: dict[str, str]
    created_at: int
    lease_s: int | None = None


@dataclass(frozen=True, slots=True)
class NewCheckRow:
    """A check before it has an id and a machine."""

    target: Target
    interval_s: int
    timeout_s: int
    grace_s: int
    rise: int
    fall: int


@dataclass(frozen=True, slots=True)
class NewTokenRow:
    """A token before it has an id, with what proves it."""

    name: Label
    kind: TokenKind
    owner: str
    added_by: str
    networks: tuple[Label, ...] | None
    only_peer_id: int | None
    uses_left: int | None
    created_at: int
    expires_at: int
    proof: Proof
    tags: tuple[Label, ...] = ()


def org_of(row: Values) -> Org:
    """Return the org that `row` of `orgs` holds."""
    return Org(id=row["id"], slug=Label(row["slug"]), created_at=row["created_at"])


def network_of(row: Values, *, pool: IPv6Network) -> Network:
    """Return the network that `row` of `networks` holds."""
    return Network(
        id=row["id"],
        org_id=row["org_id"],
        name=Label(row["name"]),
        prefix=network_prefix(pool, row["number"]),
        created_at=row["created_at"],
    )


def gateway_of(row: Values) -> Gateway:
    """Return the gateway that `row` of `gateways` holds."""
    return Gateway(
        id=row["id"],
        number=row["number"],
        name=Label(row["name"]),
        region=Label(row["region"]),
        endpoint=_endpoint(row["endpoint"]),
        public_key=PublicKey.from_bytes(row["public_key"]),
        mtu_bytes=row["mtu_bytes"],
        forwards=row["forwards"],
        created_at=row["created_at"],
    )


def peer_of(row: Values, *, prefix: IPv6Network) -> Peer:
    """Return the peer that `row` of `peers` holds; `prefix` is its network's."""
    return Peer(
        id=row["id"],
        org_id=row["org_id"],
        network_id=row["network_id"],
        gateway_id=row["gateway_id"],
        name=Label(row["name"]),
        owner=row["owner"],
        public_key=PublicKey.from_bytes(row["public_key"]),
        address=peer_address(prefix, row["gateway_number"], row["number"]),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        ephemeral=row["ephemeral"],
        tags=tuple(map(Label, row["tags"])),
    )


def seal_of(row: Values) -> Seal:
    """Return the seal that `row` of `seals` holds."""
    return Seal(
        id=row["id"],
        org_id=row["org_id"],
        network_id=row["network_id"],
        peer_id=row["peer_id"],
        sealed=SealedKey(row["sealed"]),
    )


def app_of(row: Values, *, prefix: IPv6Network) -> App:
    """Return the app that `row` of `apps` holds; `prefix` is its network's."""
    number = row["service_number"]
    return App(
        id=row["id"],
        org_id=row["org_id"],
        network_id=row["network_id"],
        name=Label(row["name"]),
        created_at=row["created_at"],
        service_address=None if number is None else service_address(prefix, number),
    )


def machine_of(row: Values) -> Machine:
    """Return the machine that `row` of `machines` holds."""
    return Machine(
        id=row["id"],
        org_id=row["org_id"],
        network_id=row["network_id"],
        app_id=row["app_id"],
        peer_id=row["peer_id"],
        name=Label(row["name"]),
        region=Label(row["region"]),
        process_group=Label(row["process_group"]),
        ports=tuple(_port_of(port) for port in row["ports"]),
        metadata=MappingProxyType(row["metadata"]),
        state=MachineState(row["state"]),
        created_at=row["created_at"],
        lease_s=row["lease_s"],
    )


def check_of(row: Values) -> Check:
    """Return the check that `row` of `checks` holds."""
    return Check(**{**row, "target": Target.parse(row["target"])})


def member_of(row: Values) -> Member:
    """Return the member that `row` of `members` holds."""
    return Member(
        id=row["id"],
        org_id=row["org_id"],
        name=Label(row["name"]),
        role=MemberRole(row["role"]),
        networks=_names(row["networks"]),
        created_at=row["created_at"],
    )


def token_of(row: Values) -> Token:
    """Return the token that `row` of `tokens` holds, without what proves it."""
    return Token(
        id=row["id"],
        org_id=row["org_id"],
        name=Label(row["name"]),
        kind=TokenKind(row["kind"]),
        owner=row["owner"],
        added_by=row["added_by"],
        networks=_names(row["networks"]),
        only_peer_id=row["only_peer_id"],
        uses_left=row["uses_left"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        tags=tuple(map(Label, row["tags"])),
    )


def ports_as_json(ports: tuple[Port, ...]) -> list[dict[str, object]]:
    """Return `ports` as the JSON that `machine_of` reads."""
    return [
        {"name": port.name, "number": port.number, "protocol": port.protocol.value}
        for port in ports
    ]


# Each peer that is shown or added names its gateway, of whom the endpoint takes longest to read.
_endpoint = lru_cache(maxsize=1_024)(Endpoint.parse)


def _port_of(port: Mapping[str, Any]) -> Port:
    return Port(Label(port["name"]), port["number"], Protocol(port["protocol"]))


def _names(listed: list[str] | None) -> tuple[Label, ...] | None:
    return None if listed is None else tuple(map(Label, listed))
