"""The model of a wg-quick file, read from its text and written back: each the other's inverse.

Leaves lines and letter case to `peers.syntax`, and which values to choose to `peers.formats`.
"""

import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_interface,
)
from typing import NamedTuple, TypeAlias, TypeVar

from wgconfig import WGConfig

from peers.endpoint import Endpoint
from peers.errors import InvalidAddress, InvalidConfig
from peers.keys import PresharedKey, PrivateKey, PublicKey
from peers.syntax import HOOKS, INTERFACE, PEER, Document, Line, Section, scan

__all__ = ["Config", "Interface", "PeerSection", "parse", "render"]

# The smallest datagram that every IPv4 host takes (RFC 791, section 3.1) and the largest there is.
_MTU_BYTES = range(576, 65536)
_SIXTEEN_BITS = range(1, 65536)
_THIRTY_TWO_BITS = range(1, 2**32)

_Value = TypeVar("_Value")
_Part: TypeAlias = "Config | Interface | PeerSection"


@dataclass(frozen=True, slots=True)
class Interface:
    """The `[Interface]` section; a None or an empty tuple is a key that is not there.

    `dns` holds addresses and search domains as written. `mtu_bytes` is 576 to 65535, `listen_port`
    1 to 65535, `fwmark` 1 to 2**32 - 1. `table` is a routing table's number or name, or `auto`, or
    `off`.
    The hooks are one-line commands without `#`, kept as they are and never run here.
    """

    private_key: PrivateKey
    addresses: tuple[IPv6Interface | IPv4Interface, ...] = ()
    dns: tuple[str, ...] = ()
    mtu_bytes: int | None = None
    listen_port: int | None = None
    fwmark: int | None = None
    table: str | None = None
    pre_up: tuple[str, ...] = ()
    post_up: tuple[str, ...] = ()
    pre_down: tuple[str, ...] = ()
    post_down: tuple[str, ...] = ()
    save_config: bool = False


@dataclass(frozen=True, slots=True)
class PeerSection:
    """A `[Peer]` section; a None or an empty tuple is a key that is not there.

    `persistent_keepalive_s` is 1 to 65535.
    """

    public_key: PublicKey
    allowed_ips: tuple[IPv6Network | IPv4Network, ...] = ()
    endpoint: Endpoint | None = None
    persistent_keepalive_s: int | None = None
    preshared_key: PresharedKey | None = None


@dataclass(frozen=True, slots=True)
class Config:
    """A whole file; `comment` holds the lines before its first section, without their `#`."""

    interface: Interface
    peers: tuple[PeerSection, ...] = ()
    comment: tuple[str, ...] = ()


def parse(text: str) -> Config:
    """Read a wg-quick file.

    The rules of `peers.syntax.scan` hold. Besides: one [Interface], each public key and each
    allowed IP once, no peer with the interface's own key, no bits behind a prefix. `off` and 0 are
    read as None, but not for an MTU. Raises InvalidConfig, with the number of the line.
    """
    document = scan(text)
    interface, *peers = _grouped(document)
    config = Config(_interface(interface), tuple(map(_peer, peers)), document.comment)
    _refuse_own_key(config.interface, peers)
    _refuse_second_owner(peers, config.peers)
    return config


def render(config: Config) -> str:
    """Write a wg-quick file, private keys in clear; `parse` of it equals `config`.

    Raises InvalidConfig when no file can say `config`: a line end in a hook or a comment, white
    space at an end of it, a `#` in a hook, a number out of range, a peer twice.
    """
    text = "".join(f"{line}\n" for line in _lines(config))
    try:
        parsed = parse(text)
    except InvalidConfig as error:
        raise InvalidConfig(f"this config cannot be written: {error}") from error
    if parsed != config:
        raise InvalidConfig(f"{_difference(parsed, config)} would not read back as it is")
    return text


class _Item(NamedTuple):
    """One of the texts of a value, which commas part, and the line that it is on."""

    text: str
    line: Line

    def read(self, read: Callable[[str], _Value]) -> _Value:
        try:
            return read(self.text)
        except ValueError as error:
            raise self.line.unreadable(error) from error


@dataclass(frozen=True, slots=True)
class _Group:
    """A section and, by key, the items of its values; `read` turns an item into a value."""

    section: Section
    items: dict[str, tuple[_Item, ...]]

    def every(self, key: str, read: Callable[[str], _Value]) -> tuple[_Value, ...]:
        return tuple(item.read(read) for item in self.items.get(key, ()))

    def only(self, key: str, read: Callable[[str], _Value]) -> _Value | None:
        return next(iter(self.every(key, read)), None)

    def required(self, key: str, read: Callable[[str], _Value]) -> _Value:
        return self.items[key][0].read(read)

    def number(self, key: str, allowed: range, *, zero: bool = True) -> int | None:
        """Read a number; with `zero`, 0 and `off` are how wg says that it is not set."""

        def read(item: str) -> int | None:
            number = _integer(item)
            if zero and not number:
                return None
            if number not in allowed:
                raise InvalidConfig(f"{number}, expected {allowed.start} to {allowed.stop - 1}")
            return number

        return self.only(key, read)

    def hooks(self, key: str) -> tuple[str, ...]:
        return tuple(line.value for line in self.section.lines if line.key == key)


def _grouped(document: Document) -> list[_Group]:
    """Give the sections to wgconfig, the interface first, and take its items back in that order.

    It gets no comments, because it reads `#!` lines as live ones, and no hooks, because it splits
    them at commas. It keys peers by public key, so the first of two would be lost: that is refused.
    """
    sections = (_interface_section(document), *_peer_sections(document))
    file = WGConfig()
    file.read_from_fileobj(io.StringIO("".join(map(_plain, sections))))
    contents = (file.get_interface(), *file.get_peers(keys_only=False).values())
    return [
        _Group(section, {key: _items(section, key, value) for key, value in content.items()})
        for section, content in zip(sections, contents, strict=True)
    ]


def _interface_section(document: Document) -> Section:
    found = [section for section in document.sections if section.name == INTERFACE]
    if not found:
        raise InvalidConfig("no [Interface] section, expected one")
    for second in found[1:]:
        raise second.complaint(f"expected once, the first is on line {found[0].number}")
    return found[0]


def _peer_sections(document: Document) -> tuple[Section, ...]:
    found = tuple(section for section in document.sections if section.name == PEER)
    first: dict[str, int] = {}
    for section in found:
        key = next(line for line in section.lines if line.key == "PublicKey")
        if key.value in first:
            raise key.complaint(f"given on line {first[key.value]} already, expected once")
        first[key.value] = key.number
    return found


def _plain(section: Section) -> str:
    lines = (f"{line.key} = {line.value}\n" for line in section.lines if line.key not in HOOKS)
    return "".join((f"[{section.name}]\n", *lines))


def _items(section: Section, key: str, value: object) -> tuple[_Item, ...]:
    """Even out wgconfig's value: a number, a text, or a list of texts where there were several."""
    texts = value if isinstance(value, list) else [value]
    lines = (line for line in section.lines if line.key == key for _ in line.value.split(","))
    items = (_Item(str(text), line) for text, line in zip(texts, lines, strict=True))
    return tuple(item for item in items if item.text)


def _interface(group: _Group) -> Interface:
    return Interface(
        private_key=group.required("PrivateKey", PrivateKey.parse),
        addresses=group.every("Address", _address),
        dns=group.every("DNS", _dns),
        mtu_bytes=group.number("MTU", _MTU_BYTES, zero=False),
        listen_port=group.number("ListenPort", _SIXTEEN_BITS),
        fwmark=group.number("FwMark", _THIRTY_TWO_BITS),
        table=group.only("Table", str),
        pre_up=group.hooks("PreUp"),
        post_up=group.hooks("PostUp"),
        pre_down=group.hooks("PreDown"),
        post_down=group.hooks("PostDown"),
        save_config=group.only("SaveConfig", str.lower) == "true",
    )


def _peer(group: _Group) -> PeerSection:
    return PeerSection(
        public_key=group.required("PublicKey", PublicKey.parse),
        allowed_ips=group.every("AllowedIPs", _network),
        endpoint=group.only("Endpoint", Endpoint.parse),
        persistent_keepalive_s=group.number("PersistentKeepalive", _SIXTEEN_BITS),
        preshared_key=group.only("PresharedKey", PresharedKey.parse),
    )


def _refuse_own_key(interface: Interface, peers: list[_Group]) -> None:
    """Refuse the interface as its own peer: WireGuard would silently leave that peer out."""
    own = interface.private_key.public().text()
    for group in peers:
        item = group.items["PublicKey"][0]
        if item.text == own:
            raise item.line.complaint("the interface's own, expected the other side's")


def _refuse_second_owner(groups: list[_Group], peers: tuple[PeerSection, ...]) -> None:
    """Refuse an allowed IP given twice: WireGuard would silently leave it to the last peer."""
    owners: dict[IPv6Network | IPv4Network, int] = {}
    items = (item for group in groups for item in group.items.get("AllowedIPs", ()))
    networks = (network for peer in peers for network in peer.allowed_ips)
    for item, network in zip(items, networks, strict=True):
        if network in owners:
            raise item.line.complaint(
                f"{network} is given on line {owners[network]} already, expected once"
            )
        owners[network] = item.line.number


def _address(item: str) -> IPv6Interface | IPv4Interface:
    try:
        address = ip_interface(item)
    except ValueError:
        raise InvalidAddress(f"{item} is no address, expected one like fdaa::2/128") from None
    # The address alone: ipaddress calls 0.0.0.0 unspecified, but not 0.0.0.0/32.
    if address.ip.is_unspecified or address.ip.is_multicast or _mapped(address.ip):
        raise InvalidAddress(f"{item}, expected the address of one host")
    return address


def _network(item: str) -> IPv6Network | IPv4Network:
    try:
        address = ip_interface(item)
    except ValueError:
        raise InvalidAddress(f"{item} is no prefix, expected one like fdaa::/48") from None
    if address.ip != address.network.network_address:
        raise InvalidAddress(f"{item} has bits set behind its length, expected {address.network}")
    if _mapped(address.ip):
        raise InvalidAddress(f"{item} is IPv4 written as IPv6, expected the IPv4 prefix")
    return address.network


def _mapped(address: IPv6Address | IPv4Address) -> bool:
    return isinstance(address, IPv6Address) and address.ipv4_mapped is not None


def _dns(item: str) -> str:
    # wg-quick takes digits and dots, or anything with a colon, for an address.
    if ":" in item or not item.strip("0123456789."):
        try:
            ip_address(item)
        except ValueError:
            raise InvalidAddress(f"{item} is no address, expected one like fdaa::3") from None
    return item


def _integer(item: str) -> int:
    if item.lower() == "off":
        return 0
    return int(item, base=16 if item[:2].lower() == "0x" else 10)


def _lines(config: Config) -> Iterator[str]:
    yield from (f"# {remark}".rstrip(" ") for remark in config.comment)
    yield from _section_lines(INTERFACE, _interface_values(config.interface))
    for peer in config.peers:
        yield ""
        yield from _section_lines(PEER, _peer_values(peer))


def _section_lines(name: str, values: Iterable[tuple[str, object]]) -> Iterator[str]:
    yield f"[{name}]"
    yield from (f"{key} = {value}" for key, value in values if value is not None)


def _interface_values(interface: Interface) -> Iterator[tuple[str, object]]:
    yield "PrivateKey", interface.private_key.text()
    yield "Address", _joined(interface.addresses)
    yield "ListenPort", interface.listen_port
    yield "FwMark", interface.fwmark
    yield "DNS", _joined(interface.dns)
    yield "MTU", interface.mtu_bytes
    yield "Table", interface.table
    for key, hooks in zip(HOOKS, _hooks(interface), strict=True):
        yield from ((key, hook) for hook in hooks)
    yield "SaveConfig", "true" if interface.save_config else None


def _hooks(interface: Interface) -> tuple[tuple[str, ...], ...]:
    """Return the hooks in the order of HOOKS."""
    return interface.pre_up, interface.post_up, interface.pre_down, interface.post_down


def _peer_values(peer: PeerSection) -> Iterator[tuple[str, object]]:
    yield "PublicKey", peer.public_key.text()
    yield "PresharedKey", peer.preshared_key.text() if peer.preshared_key else None
    yield "AllowedIPs", _joined(peer.allowed_ips)
    yield "Endpoint", peer.endpoint
    yield "PersistentKeepalive", peer.persistent_keepalive_s


def _joined(items: Iterable[object]) -> str | None:
    return ", ".join(map(str, items)) or None


def _difference(parsed: Config, config: Config) -> str:
    """Name the first field that differs, and never its value, which may be a secret."""
    peers = zip(parsed.peers, config.peers, strict=False)
    pairs: tuple[tuple[_Part, _Part], ...]
    pairs = (*peers, (parsed.interface, config.interface), (parsed, config))
    for one, other in pairs:
        for field in fields(one):
            if getattr(one, field.name) != getattr(other, field.name):
                return f"{type(one).__name__}.{field.name}"
    return "the config"
