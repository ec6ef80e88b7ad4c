"""The JSON shapes that the API and its client share.

Fields are named as in the tables of the command line; unknown ones are refused. Times are
RFC 3339 in UTC. Turning values of the store into these is `wgctl.api`.
"""

from datetime import datetime
from ipaddress import IPv6Network
from typing import Annotated, ClassVar, Generic, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    StrictBool,
    WithJsonSchema,
)

import peers.endpoint
import peers.keys
import peers.seal
from peers.names import (
    parse_label,
    parse_metadata_key,
    parse_metadata_value,
    parse_port_name,
)
from wgctl.core.forward.upstream import MOST_UPSTREAMS
from wgctl.core.health import Health
from wgctl.core.health_shape import Check, HealthEvent, ObservedHealth
from wgctl.core.kinds import FollowingRole, MachineState, Protocol, Role
from wgctl.core.role_shape import MOST_LIMITED, LimitedAddress, OnDemand, UpstreamCondition
from wgctl.core.shape import Address as _Address
from wgctl.core.shape import Moment as _Moment
from wgctl.core.shape import Shape as _Shape

__all__ = [
    "App",
    "AppChange",
    "Enrolment",
    "Gateway",
    "Lease",
    "LimitedAddress",
    "Machine",
    "MachineDetails",
    "Network",
    "NewApp",
    "NewGateway",
    "NewInstance",
    "NewKey",
    "NewMachine",
    "NewNetwork",
    "NewOrg",
    "NewPeer",
    "NewState",
    "ObservedPeer",
    "OnDemand",
    "Org",
    "Page",
    "Peer",
    "Port",
    "Problem",
    "RoleReport",
    "RoleStatus",
    "SealedTo",
    "SelfReply",
    "Status",
    "Tunnel",
    "UpstreamCondition",
]

Item = TypeVar("Item")


def _public_key(text: object) -> object:
    return peers.keys.PublicKey.parse(text) if isinstance(text, str) else text


def _sealed_key(text: object) -> object:
    return peers.seal.SealedKey.parse(text) if isinstance(text, str) else text


def _endpoint(text: object) -> object:
    return peers.endpoint.Endpoint.parse(text) if isinstance(text, str) else text


def _string(pattern: str, example: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern, "examples": [example]})


_LABEL = _string("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", "web")
LabelText = Annotated[str, AfterValidator(parse_label), _LABEL]
Tags = Annotated[list[LabelText], Field(max_length=32)]
_WORD = _string("^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$", "web")
_Key = Annotated[
    peers.keys.PublicKey,
    BeforeValidator(_public_key),
    PlainSerializer(str),
    _string("^[A-Za-z0-9+/]{43}=$", "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="),
]
_Sealed = Annotated[
    peers.seal.SealedKey,
    BeforeValidator(_sealed_key),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "pattern": "^[A-Za-z0-9+/]{107}=$"}),
]
_Endpoint = Annotated[
    peers.endpoint.Endpoint,
    BeforeValidator(_endpoint),
    PlainSerializer(str),
    _string("^.+:[0-9]{1,5}$", "203.0.113.7:51820"),
]
_Span = Annotated[int, Field(ge=1, le=100 * 366 * 86400, strict=True)]


# Room for three times 20 names of 63 characters with addresses: see `wgctl.core.setback`.
_SETBACK_LENGTH = 8_000


class Page(_Shape, Generic[Item]):
    """Part of a list; `next` is the cursor of the following part, None at the end."""

    items: list[Item]
    next: str | None = None


class Problem(_Shape):
    """A refusal as an RFC 9457 problem document; `type` names the kind of refusal."""

    type: str
    title: str
    status: int
    detail: str


class NewOrg(_Shape):
    """An org to add."""

    slug: LabelText


class Org(_Shape):
    """An org."""

    OBSERVED: ClassVar = frozenset({"networks", "peers"})

    slug: str
    networks: int
    peers: int
    created_at: datetime


class NewNetwork(_Shape):
    """A network to add to an org."""

    name: LabelText


class Network(_Shape):
    """A network; `resolver` is its `::3`."""

    org: str
    name: str
    prefix: IPv6Network
    resolver: _Address
    created_at: datetime


class NewGateway(_Shape):
    """What a gateway host says of itself when it starts."""

    region: LabelText
    endpoint: _Endpoint
    public_key: _Key
    mtu_bytes: int = Field(ge=1280, le=65535, strict=True)
    forwards: StrictBool


class Gateway(_Shape):
    """A gateway; `reported_at` is when its role last reported, None if it has not yet."""

    OBSERVED: ClassVar = frozenset({"reported_at"})

    name: str
    number: int
    region: str
    endpoint: _Endpoint
    public_key: _Key
    mtu_bytes: int
    forwards: bool
    created_at: datetime
    reported_at: datetime | None


class SealedTo(_Shape):
    """A preshared key, sealed to the gateway that the asker was shown; see `peers.seal`."""

    gateway_key: _Key
    sealed: _Sealed


class NewPeer(_Shape):
    """A peer to add. `needs_forwarding` asks for a resolver that answers every name.

    `owner` is the member whose it is to be; None: who asks. One that is `ephemeral` is removed when
    its time, `expires_in_s`, is over. `tags` are an admin's to give, beside those of a token.
    """

    name: LabelText
    network: LabelText = "default"
    owner: LabelText | None = None
    public_key: _Key
    expires_in_s: _Span | None = None
    ephemeral: StrictBool = False
    tags: Tags = Field(default=[])
    needs_forwarding: StrictBool = False
    preshared_key: SealedTo | None = None


class NewKey(_Shape):
    """The keys that a peer is to have from now on; None: no preshared one, and its time stays."""

    public_key: _Key
    needs_forwarding: StrictBool = False
    preshared_key: SealedTo | None = None
    expires_in_s: _Span | None = None


class Peer(_Shape):
    """A peer, with what its gateway last saw of it.

    One that is `ephemeral` is removed at `expires_at`; others only lose their access.
    `preshared_key` is whether it has one: none but its gateway and the peer itself know it.
    """

    OBSERVED: ClassVar = frozenset(
        {"online", "last_handshake", "received_bytes", "sent_bytes", "endpoint"}
    )

    name: str
    org: str
    network: str
    owner: str
    public_key: _Key
    preshared_key: bool
    address: _Address
    gateway: str
    created_at: datetime
    expires_at: datetime | None
    ephemeral: bool
    tags: list[str]
    online: bool
    last_handshake: datetime | None
    received_bytes: int
    sent_bytes: int
    endpoint: str | None


class Tunnel(_Shape):
    """What a WireGuard client needs beside its own private key."""

    address: _Address
    prefix: IPv6Network
    resolver: _Address
    gateway_key: _Key
    endpoint: _Endpoint
    mtu_bytes: int


class Enrolment(_Shape):
    """A peer as it was added or re-keyed, and its tunnel."""

    peer: Peer
    tunnel: Tunnel


class NewApp(_Shape):
    """An app to add; `flycast`: with a service address."""

    name: LabelText
    network: LabelText = "default"
    flycast: StrictBool = False


class AppChange(_Shape):
    """What an app is to have from now on."""

    flycast: StrictBool


class App(_Shape):
    """An app; `started` counts those of its machines that are started, healthy or not.

    `service_address` is `NAME.flycast`, None without one.
    """

    OBSERVED: ClassVar = frozenset({"machines", "started"})

    name: str
    org: str
    network: str
    machines: int
    started: int
    service_address: _Address | None
    created_at: datetime


class Port(_Shape):
    """A named port."""

    name: LabelText
    number: int = Field(ge=1, le=65535, strict=True)
    protocol: Protocol = Protocol.TCP


def _distinct(ports: list[Port]) -> list[Port]:
    """Check that each name, which a service is found by, is one and stands there once."""
    named = [f"{parse_port_name(port.name)}/{port.protocol}" for port in ports]
    for name in named:
        if named.count(name) > 1:
            raise ValueError(f"port {name!a} twice, expected once")
    return ports


class NewInstance(_Shape):
    """What is said of a machine; without a region it gets that of its peer's gateway."""

    app: LabelText
    region: LabelText | None = None
    process_group: LabelText = "app"
    ports: Annotated[list[Port], AfterValidator(_distinct)] = Field(
        default_factory=list, max_length=64
    )
    metadata: dict[
        Annotated[str, AfterValidator(parse_metadata_key), _WORD],
        Annotated[str, AfterValidator(parse_metadata_value), _WORD],
    ] = Field(default_factory=dict, max_length=64)


class NewMachine(NewInstance):
    """A machine to add to an app, on a peer of the same network; without a name it gets one."""

    name: LabelText | None = None
    network: LabelText = "default"
    peer: LabelText


class NewState(_Shape):
    """The state that a machine is to have."""

    state: MachineState


class Lease(_Shape):
    """A lease: the peer announced the machine, and renews it within each `ttl_s`.

    `ends_at` is when it ends if it is not renewed, `healthy` what the announcer last said: None
    while nobody has told the controller.
    """

    ttl_s: int
    ends_at: datetime | None
    healthy: bool | None


class Machine(_Shape):
    """A machine; its address is its peer's. Without a lease it is there until it is removed.

    `health` is None for a machine that is not probed: one without a check, or stopped.
    """

    OBSERVED: ClassVar = frozenset({"health", "lease", "events"})

    name: str
    app: str
    org: str
    network: str
    peer: str
    address: _Address
    region: str
    process_group: str
    ports: list[Port]
    metadata: dict[str, str]
    state: MachineState
    check: Check | None
    health: Health | None
    lease: Lease | None
    created_at: datetime


class MachineDetails(Machine):
    """A machine, and how its health changed of late, the oldest change first."""

    events: list[HealthEvent]


class ObservedPeer(_Shape):
    """What a gateway saw of one peer; `last_handshake` in seconds since 1970."""

    peer_id: int
    endpoint: str | None = Field(default=None, max_length=64)
    last_handshake: _Moment | None = None
    received_bytes: int = Field(default=0, ge=0)
    sent_bytes: int = Field(default=0, ge=0)


class RoleReport(_Shape):
    """What a role says of itself, every few seconds.

    `drift` counts the differences found and repaired since the role started;
    `drift_events` are the last of them in words. `setback` says how the controller that it follows
    went back to an earlier state, if it did of late. `problem` is what keeps the role from its
    work, None while nothing does; `upstreams` and `limited` are a resolver's, `on_demand` is of a
    gateway that lets peers in on demand.
    """

    role: FollowingRole
    revision: int = Field(ge=0)
    started_at: _Moment
    interface: str | None = None
    backend: str | None = None
    drift: int = Field(default=0, ge=0)
    drift_events: list[str] = Field(default_factory=list, max_length=20)
    setback: str | None = Field(default=None, max_length=_SETBACK_LENGTH)
    problem: str | None = None
    upstreams: list[UpstreamCondition] = Field(default_factory=list, max_length=MOST_UPSTREAMS)
    on_demand: OnDemand | None = None
    limited: list[LimitedAddress] = Field(default_factory=list, max_length=MOST_LIMITED)
    peers: list[ObservedPeer] = Field(default_factory=list)
    health: list[ObservedHealth] = Field(default_factory=list, max_length=1000)


class RoleStatus(_Shape):
    """What the controller last heard of a role; `alive` while reports are fresh."""

    role: Role
    alive: bool
    revision: int
    started_at: datetime
    reported_at: datetime
    interface: str | None
    backend: str | None
    drift: int
    drift_events: list[str]
    setback: str | None
    problem: str | None
    upstreams: list[UpstreamCondition]
    limited: list[LimitedAddress]
    on_demand: OnDemand | None = None


class Status(_Shape):
    """The deployment at a glance."""

    version: str
    revision: int
    pool: IPv6Network
    store: str
    orgs: int
    networks: int
    peers: int
    peers_online: int
    roles: list[RoleStatus]


class SelfReply(_Shape):
    """Who an address is: what `_api.internal` answers to the one that asks."""

    org: str
    network: str
    peer: str
    address: _Address
