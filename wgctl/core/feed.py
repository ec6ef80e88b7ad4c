"""The feed: the ordered stream of changes that every role follows, and its lines of JSON.

Knows the shape of a line and which role needs which kinds; who keeps changes is `wgctl.store`,
who carries them is `wgctl.api` and `wgctl.client`.

    snapshot    what follows, up to the next commit, replaces everything
    put         one row, as it is after the change
    delete      one row is gone
    commit      everything since the last commit is the state at this revision
    beat        nothing happened; the connection lives
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from ipaddress import IPv6Address
from types import MappingProxyType

from pydantic_core import from_json, to_json

from peers.endpoint import Endpoint
from peers.keys import PublicKey
from peers.names import Label
from peers.seal import SealedKey
from wgctl.core import ipv6_text
from wgctl.core.check import Target
from wgctl.core.errors import Invalid
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
    Protocol,
    Role,
    Seal,
    Token,
    TokenKind,
)

__all__ = [
    "NEEDS",
    "Beat",
    "Commit",
    "Delete",
    "Event",
    "Kind",
    "Put",
    "Row",
    "Snapshot",
    "decode_row",
    "encode_row",
    "parse_line",
    "render_line",
]

Row = Org | Network | Gateway | Peer | Seal | App | Machine | Check | Member | Token


class Kind(StrEnum):
    """What a row is."""

    ORG = "org"
    NETWORK = "network"
    GATEWAY = "gateway"
    PEER = "peer"
    SEAL = "seal"
    APP = "app"
    MACHINE = "machine"
    CHECK = "check"
    MEMBER = "member"
    TOKEN = "token"  # noqa: S105 - a kind, no secret


NEEDS: Mapping[Role, frozenset[Kind]] = MappingProxyType(
    {
        Role.GATEWAY: frozenset(
            {Kind.NETWORK, Kind.GATEWAY, Kind.PEER, Kind.SEAL, Kind.APP, Kind.MACHINE}
        ),
        Role.RESOLVER: frozenset({Kind.NETWORK, Kind.PEER, Kind.APP, Kind.MACHINE, Kind.CHECK}),
        Role.INTERNAL_API: frozenset({Kind.ORG, Kind.NETWORK, Kind.PEER, Kind.MACHINE}),
    }
)
"""What each role's copy holds; a role that is not here may not follow the feed.

Members and tokens are nobody's but the controller's."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The rows up to the next commit replace everything; `epoch` names the store.

    `cut` is the revision up to which it has the changes of the store that the reader followed:
    None when that is no store that this one was restored from. `kinds` are those that it has every
    row of: none when the controller does not say. `rows` is how many follow, about: 0 when it does
    not say.
    """

    epoch: str
    cut: int | None = None
    kinds: frozenset[Kind] = frozenset()
    rows: int = 0


@dataclass(frozen=True, slots=True)
class Put:
    """One row, as it is after the change.

    `body` is the JSON that the row was read from, by whoever keeps that; None: made here.
    """

    kind: Kind
    row: Row
    body: bytes | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Delete:
    """The row `id` of `kind` is gone."""

    kind: Kind
    id: int


@dataclass(frozen=True, slots=True)
class Commit:
    """Everything since the last commit is the state at `revision`."""

    revision: int


@dataclass(frozen=True, slots=True)
class Beat:
    """Nothing happened; the connection lives."""


Event = Snapshot | Put | Delete | Commit | Beat

_TYPES: Mapping[Kind, type[Row]] = {
    Kind.ORG: Org,
    Kind.NETWORK: Network,
    Kind.GATEWAY: Gateway,
    Kind.PEER: Peer,
    Kind.SEAL: Seal,
    Kind.APP: App,
    Kind.MACHINE: Machine,
    Kind.CHECK: Check,
    Kind.MEMBER: Member,
    Kind.TOKEN: Token,
}


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__}, expected a string")
    return value


def _number(value: object) -> int:
    if type(value) is not int:
        raise TypeError(f"{type(value).__name__}, expected a number")
    return value


def _optional_number(value: object) -> int | None:
    return None if value is None else _number(value)


def _any(value: object) -> object:
    return value


def _address(value: object) -> IPv6Address:
    return ipv6_text.parse(_text(value))


def _optional_address(value: object) -> IPv6Address | None:
    return None if value is None else _address(value)


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{type(value).__name__}, expected true or false")
    return value


def _kinds(listed: object) -> frozenset[Kind]:
    """Return the kinds of `listed`; a later controller's are passed over."""
    if not isinstance(listed, list):
        raise TypeError(f"{type(listed).__name__}, expected a list of kinds")
    return frozenset(kind for kind in Kind if kind in listed)


def _ports(listed: Iterable[Iterable[object]]) -> tuple[Port, ...]:
    return tuple(
        Port(Label(_text(name)), _number(number), Protocol(_text(protocol)))
        for name, number, protocol in listed
    )


def _labels(listed: Iterable[object]) -> tuple[Label, ...]:
    return tuple(Label(_text(name)) for name in listed)


def _names(listed: Iterable[object] | None) -> tuple[Label, ...] | None:
    return None if listed is None else _labels(listed)


def _metadata(values: Mapping[str, object]) -> Mapping[str, str]:
    return MappingProxyType({key: _text(value) for key, value in values.items()})


# Labels and owners are only known to be texts here: what they may say was checked when they were
# written, and a snapshot of 100,000 rows is read with these.
_READ: Mapping[str, Callable[..., object]] = {
    "prefix": lambda value: ipv6_text.parse_network(_text(value)),
    "address": _address,
    "public_key": lambda value: PublicKey.parse(_text(value)),
    "endpoint": lambda value: Endpoint.parse(_text(value)),
    "sealed": lambda value: SealedKey.parse(_text(value)),
    "state": MachineState,
    "ports": _ports,
    "metadata": _metadata,
    "service_address": _optional_address,
    **dict.fromkeys(("expires_at", "lease_s", "only_peer_id", "uses_left"), _optional_number),
    "networks": _names,
    "tags": _labels,
    "role": MemberRole,
    "kind": TokenKind,
    **dict.fromkeys(("forwards", "ephemeral"), _flag),
    "target": lambda value: Target.parse(_text(value)),
    **dict.fromkeys(("name", "slug", "owner", "added_by", "region", "process_group"), _text),
    **dict.fromkeys(("id", "org_id", "network_id", "gateway_id", "app_id", "peer_id"), _number),
    **dict.fromkeys(("number", "mtu_bytes", "created_at", "machine_id"), _number),
    **dict.fromkeys(("interval_s", "timeout_s", "grace_s", "rise", "fall"), _number),
}
# A token has an end, which others may do without.
_READ_OF = {
    kind: {**_READ, "expires_at": _number} if kind is Kind.TOKEN else _READ for kind in Kind
}
_WRITE: Mapping[str, Callable[..., object]] = {
    "prefix": str,
    "address": ipv6_text.render,
    "public_key": str,
    "endpoint": str,
    "sealed": str,
    "target": str,
    "service_address": lambda value: None if value is None else ipv6_text.render(value),
    "ports": lambda ports: [[port.name, port.number, port.protocol] for port in ports],
    "metadata": dict,
    "networks": lambda names: None if names is None else list(names),
    "tags": list,
}

_WRITTEN = {
    kind: tuple((field.name, _WRITE.get(field.name)) for field in fields(type_))
    for kind, type_ in _TYPES.items()
}


def encode_row(kind: Kind, row: Row) -> dict[str, object]:
    """Return `row` as JSON values, one a field."""
    return {
        name: getattr(row, name) if write is None else write(getattr(row, name))
        for name, write in _WRITTEN[kind]
    }


def decode_row(kind: Kind, values: Mapping[str, object]) -> Row:
    """Return the row that `encode_row` wrote.

    Raises Invalid when a field is missing, unknown, or not what it must be.
    """
    read = _READ_OF[kind]
    try:
        return _TYPES[kind](
            **{name: read.get(name, _any)(value) for name, value in values.items()}  # type: ignore[arg-type]  # the table above gives each field its type
        )
    except (AttributeError, OSError, TypeError, ValueError) as error:
        raise Invalid(f"a {kind} row of the feed: {error}") from error


_ROW = b',"row":'
_HEADS = {b'{"put":"%s"' % kind.encode(): kind for kind in Kind}
_PUTS = {kind: head + _ROW for head, kind in _HEADS.items()}


def render_line(event: Event) -> bytes:
    """Return `event` as one line of JSON with its newline."""
    match event:
        case Put(kind, row):
            return _PUTS[kind] + to_json(encode_row(kind, row), ensure_ascii=True) + b"}\n"
        case Delete(kind, id_):
            line: dict[str, object] = {"delete": kind.value, "id": id_}
        case Commit(revision):
            line = {"commit": revision}
        case Snapshot(epoch, cut, kinds, rows):
            line = {"snapshot": epoch, "kinds": sorted(kinds), "rows": rows}
            if cut is not None:
                line["cut"] = cut
        case Beat():
            line = {"beat": True}
    return to_json(line, ensure_ascii=True) + b"\n"


def parse_line(line: bytes | str) -> Event:
    """Return the event that `render_line` wrote.

    Raises Invalid for anything else.
    """
    try:
        octets = (line.encode() if isinstance(line, str) else line).removesuffix(b"\n")
        # A snapshot is hundreds of thousands of rows: each is parsed alone, and kept as it came.
        head, _, rest = octets.partition(_ROW)
        if (kind := _HEADS.get(head)) is not None and rest.endswith(b"}"):
            body = rest[:-1]
            return Put(kind, decode_row(kind, from_json(body)), body)
        event = _event(from_json(octets))
    except (TypeError, ValueError) as error:
        raise Invalid(f"a line of the feed: {error}") from error
    if event is None:
        raise Invalid(f"a line of the feed: {ascii(line)[:80]}, expected one of its five shapes")
    return event


def _event(line: object) -> Event | None:
    match line:
        case {"put": name, "row": dict(values)}:
            kind = Kind(_text(name))
            return Put(kind, decode_row(kind, values))
        case {"delete": name, "id": id_}:
            return Delete(Kind(_text(name)), _number(id_))
        case {"commit": revision}:
            return Commit(_number(revision))
        case {"snapshot": str(epoch), **more}:
            cut = _number(more["cut"]) if "cut" in more else None
            kinds, rows = _kinds(more.get("kinds", [])), _number(more.get("rows", 0))
            return Snapshot(epoch, cut, kinds, rows)
        case {"beat": True}:
            return Beat()
    return None
