"""The values that the house speaks of: orgs, networks, gateways, peers, apps, machines, members.

Says what a thing is; of what kinds there are is `wgctl.core.kinds`, where it is kept `wgctl.store`,
how it looks as JSON outside `wgctl.core.schema`. Times are whole seconds since 1970 UTC.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network

from peers.addresses import resolver_address
from peers.endpoint import Endpoint
from peers.keys import PublicKey
from peers.names import Label
from peers.seal import SealedKey
from wgctl.core.check import Target
from wgctl.core.kinds import (
    OPERATOR,
    FollowingRole,
    MachineState,
    MemberRole,
    Protocol,
    Role,
    TokenKind,
)

__all__ = [
    "OPERATOR",
    "App",
    "Check",
    "FollowingRole",
    "Gateway",
    "LeaseSight",
    "LostSeal",
    "Machine",
    "MachineState",
    "Member",
    "MemberRole",
    "Network",
    "Observation",
    "Org",
    "Peer",
    "Port",
    "Proof",
    "Protocol",
    "Role",
    "Seal",
    "Token",
    "TokenKind",
]

ONLINE_S = 180
"""A handshake younger than this means a live session: WireGuard's REJECT_AFTER_TIME."""


@dataclass(frozen=True, slots=True)
class Org:
    """A tenant; owns everything below."""

    id: int
    slug: Label
    created_at: int


@dataclass(frozen=True, slots=True)
class Network:
    """An isolated private network of an org: one `/48`."""

    id: int
    org_id: int
    name: Label
    prefix: IPv6Network
    created_at: int

    @property
    def resolver(self) -> IPv6Address:
        """The network's own address, `::3`: its resolver and its API."""
        return resolver_address(self.prefix)


@dataclass(frozen=True, slots=True)
class Gateway:
    """A host that ends WireGuard tunnels.

    `number` is the host field of the addresses born here, 16 to 65535. `forwards` is true
    where its resolver has upstreams, so that it can answer names beyond `.internal`.
    """

    id: int
    number: int
    name: Label
    region: Label
    endpoint: Endpoint
    public_key: PublicKey
    mtu_bytes: int
    forwards: bool
    created_at: int


@dataclass(frozen=True, slots=True)
class Peer:
    """A WireGuard client of one network: a laptop, a phone, a server.

    `expires_at` None: never. An `ephemeral` one is removed when its time is over; others keep their
    name and address, and can be given a new time. The address is where the peer was born, not where
    it is.
    """

    id: int
    org_id: int
    network_id: int
    gateway_id: int
    name: Label
    owner: str
    public_key: PublicKey
    address: IPv6Address
    created_at: int
    expires_at: int | None
    # Defaults, since rows that were written before there was such a thing do not say.
    ephemeral: bool = False
    tags: tuple[Label, ...] = ()

    def expired(self, *, now: int) -> bool:
        """Whether the peer's time is over at `now`."""
        return self.expires_at is not None and self.expires_at <= now


@dataclass(frozen=True, slots=True)
class Seal:
    """A peer's preshared key, sealed to its gateway, which alone can open it.

    A row of its own, so that only the gateway's copy holds it. `network_id` is the peer's.
    """

    id: int
    org_id: int
    network_id: int
    peer_id: int
    sealed: SealedKey


@dataclass(frozen=True, slots=True)
class LostSeal:
    """A seal whose row cannot be read: its peer has a preshared key, and nobody knows which."""

    id: int
    peer_id: int


@dataclass(frozen=True, slots=True)
class Member:
    """A person in an org. `networks` None: the role holds in all of them, else in these alone."""

    id: int
    org_id: int
    name: Label
    role: MemberRole
    networks: tuple[Label, ...] | None
    created_at: int

    @property
    def administers(self) -> bool:
        """Whether the member is an admin of the whole org."""
        return self.role is MemberRole.ADMIN and self.networks is None


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer credential of an org, without its secret.

    `owner` is a member's name or OPERATOR, `added_by` likewise. `networks` None: every network of
    the org; `only_peer_id` is the one peer that a token of kind `peer` is for; `uses_left` None: as
    often as one likes; `tags` are those of the peers that one of kind `enrol` adds.
    """

    id: int
    org_id: int
    name: Label
    kind: TokenKind
    owner: str
    added_by: str
    networks: tuple[Label, ...] | None
    only_peer_id: int | None
    uses_left: int | None
    created_at: int
    expires_at: int
    tags: tuple[Label, ...] = ()


@dataclass(frozen=True, slots=True)
class Proof:
    """What the store keeps of a token: enough to know it again, and to make none."""

    public_key: bytes
    secret_hash: bytes


@dataclass(frozen=True, slots=True)
class App:
    """A named service in a network: `web` is `web.internal`.

    `service_address` None: it has none; else it is `web.flycast`, and leads to any of its machines.
    """

    id: int
    org_id: int
    network_id: int
    name: Label
    created_at: int
    service_address: IPv6Address | None = None


@dataclass(frozen=True, slots=True)
class Port:
    """A named port of a machine, as `http=8080/tcp`."""

    name: Label
    number: int
    protocol: Protocol


@dataclass(frozen=True, slots=True)
class Machine:
    """One running instance of an app, on a peer whose address it has.

    `lease_s` is how long it is there after the peer last said so; None: until it is removed.
    """

    id: int
    org_id: int
    network_id: int
    app_id: int
    peer_id: int
    name: Label
    region: Label
    process_group: Label
    ports: tuple[Port, ...]
    metadata: Mapping[str, str]
    state: MachineState
    created_at: int
    # A default, since rows that were written before there were leases say nothing of one.
    lease_s: int | None = None


@dataclass(frozen=True, slots=True)
class LeaseSight:
    """When a lease is to end unless it is renewed, and whether its machine is healthy."""

    ends_at: int
    healthy: bool


@dataclass(frozen=True, slots=True)
class Check:
    """How a machine is probed: what is asked, how often, and how many answers count.

    A row of its own, which only the resolver's copy holds. What becomes of the probes is
    `wgctl.core.health`.
    """

    id: int
    org_id: int
    network_id: int
    machine_id: int
    target: Target
    interval_s: int
    timeout_s: int
    grace_s: int
    rise: int
    fall: int


@dataclass(frozen=True, slots=True)
class Observation:
    """What a gateway last saw of a peer; None where there was no handshake yet."""

    peer_id: int
    endpoint: str | None
    last_handshake: int | None
    received_bytes: int
    sent_bytes: int

    def online(self, *, now: int) -> bool:
        """Whether the last handshake is young enough for a live session."""
        return self.last_handshake is not None and now - self.last_handshake < ONLINE_S
