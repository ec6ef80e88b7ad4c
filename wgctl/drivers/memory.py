"""The drivers' Protocols over a kernel that is a few Python values.

Behaves as the real one where a plan depends on it: an allowed IP moves silently, a route needs a
link that is up, a link takes its addresses and routes with it. The drivers' contract tests hold
it to that.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar, assert_never

from wgctl.core.allowed_ips import AllowedIPs, from_rows, rows
from wgctl.core.errors import Unavailable
from wgctl.core.firewall import Element, Ruleset
from wgctl.core.ports import Seen
from wgctl.core.tunnel import (
    AddAddress,
    AddRoute,
    ChangeFirewall,
    Device,
    DeviceStep,
    FirewallStep,
    GivePeer,
    Greet,
    Link,
    LinkStep,
    RemoveAddress,
    RemovePeer,
    RemoveRoute,
    ReplaceFirewall,
    Route,
    SetDevice,
    SetLink,
    SetPeer,
    SingleStep,
    singly,
)

__all__ = ["Kernel", "MemoryFirewall", "MemoryLinks", "MemoryWireGuard"]

_FIRST_MTU_BYTES = 1420
_UNSEEN = Seen(None, None, 0, 0)

_Value = TypeVar("_Value")


@dataclass(slots=True)
class Kernel:
    """What a kernel holds of one tunnel; `makes` counts the links there were."""

    firewall: Ruleset | None = None
    routes: set[Route] = field(default_factory=set)
    link: Link | None = None
    device: Device | None = None
    makes: int = 0
    seen: dict[bytes, Seen] = field(default_factory=dict)

    def lose_link(self) -> None:
        """Let the link go, with all that hangs on it, as when its process dies."""
        self.link = None
        self.device = None
        self.seen.clear()
        self.routes = {route for route in self.routes if route.unreachable}


class MemoryLinks:
    """The link, its addresses, and our routes."""

    def __init__(self, kernel: Kernel) -> None:
        """Work on `kernel`, which the other two parts share."""
        self._kernel = kernel

    def index(self) -> int | None:
        """Return the number of the interface, None if there is no such interface."""
        return None if self._kernel.link is None else self._kernel.makes

    def read(self) -> tuple[Link | None, frozenset[Route]]:
        """Return the link, and this interface's routes of ours, to it and to nowhere."""
        return self._kernel.link, frozenset(self._kernel.routes)

    def apply(self, steps: Sequence[LinkStep]) -> None:
        """Take steps in order; taking one again changes nothing. A failure keeps those before."""
        for step in steps:
            self._take(step)

    def remove(self) -> None:
        """Delete the link; nothing if it is not there."""
        self._kernel.lose_link()

    def _take(self, step: LinkStep) -> None:
        match step:
            case SetLink(mtu_bytes):
                self._change(lambda link: replace(link, mtu_bytes=mtu_bytes, up=True))
            case AddAddress(address):
                self._change(lambda link: replace(link, addresses=link.addresses | {address}))
            case RemoveAddress(address):
                if self._kernel.link:
                    self._change(lambda link: replace(link, addresses=link.addresses - {address}))
            case AddRoute(route):
                if not route.unreachable and not (self._kernel.link and self._kernel.link.up):
                    raise Unavailable(f"{step}: no link, or it is down")
                self._kernel.routes.add(route)
            case RemoveRoute(route):
                self._kernel.routes.discard(route)
            case _:
                assert_never(step)

    def _change(self, changed: Callable[[Link], Link]) -> None:
        if self._kernel.link is None:
            raise Unavailable("no such interface")
        self._kernel.link = changed(self._kernel.link)


class MemoryWireGuard:
    """The WireGuard device of the link."""

    backend = "memory"

    def __init__(self, kernel: Kernel) -> None:
        """Work on `kernel`, which the other two parts share."""
        self._kernel = kernel

    def alive(self) -> bool:
        """Whether the device answers."""
        return self._kernel.device is not None

    def create(self) -> None:
        """Make the device and its link, down and empty."""
        self._kernel.lose_link()
        self._kernel.makes += 1
        self._kernel.link = Link(_FIRST_MTU_BYTES, up=False, addresses=frozenset())
        self._kernel.device = Device(None, 0, {})

    def read(self) -> Device | None:
        """Return the device, None if it is not there."""
        return self._kernel.device

    def observe(self) -> Mapping[bytes, Seen]:
        """Return what the device saw of each peer, by the 32 bytes of its key."""
        return {key: self._kernel.seen.get(key, _UNSEEN) for key in self._required().peers}

    def apply(self, steps: Sequence[DeviceStep]) -> None:
        """Take steps in order. A failure half-way keeps those before it: read back."""
        for step in singly(steps):
            self._kernel.device = _taken(self._required(), step)
            if isinstance(step, Greet) and step.key in self._kernel.device.peers:
                seen = self._kernel.seen.get(step.key, _UNSEEN)
                self._kernel.seen[step.key] = replace(seen, endpoint=str(step.source))
            elif isinstance(step, RemovePeer):
                self._kernel.seen.pop(step.key, None)

    def remove(self) -> None:
        """End the device and wait until it is gone; nothing if it is not there."""
        self._kernel.lose_link()

    def _required(self) -> Device:
        if self._kernel.device is None:
            raise Unavailable("no such device")
        return self._kernel.device


class MemoryFirewall:
    """The table of the link."""

    def __init__(self, kernel: Kernel) -> None:
        """Work on `kernel`, which the other two parts share."""
        self._kernel = kernel

    def read(self) -> Ruleset | None:
        """Return the table, None if it is not there."""
        return self._kernel.firewall

    def apply(self, step: FirewallStep) -> None:
        """Take one step, wholly or not at all."""
        match step:
            case ReplaceFirewall(ruleset):
                self._kernel.firewall = ruleset
            case ChangeFirewall(added, removed):
                if self._kernel.firewall is None:
                    raise Unavailable("no such table")
                there = self._kernel.firewall
                _refuse_second_data(there.elements | removed)
                _refuse_second_data((there.elements - removed) | added)
                self._kernel.firewall = replace(there, elements=(there.elements - removed) | added)
            case _:
                assert_never(step)

    def remove(self) -> None:
        """Delete the table; nothing if it is not there."""
        self._kernel.firewall = None


def _refuse_second_data(elements: Iterable[Element]) -> None:
    """Refuse what gives a key of a map two addresses to lead to."""
    elements = list(elements)
    if len({(one.set_name, one.values) for one in elements}) < len(elements):
        raise Unavailable("File exists")


def _taken(device: Device, step: SingleStep) -> Device:
    match step:
        case SetDevice(private_key, listen_port):
            return Device(
                device.private_key if private_key is None else private_key,
                device.listen_port if listen_port is None else listen_port,
                device.peers,
                device.preshared_keys,
            )
        case SetPeer(key, allowed_ips, preshared_key):
            keys = _without(device.preshared_keys, key)
            if preshared_key is not None:
                keys[key] = preshared_key
            others = _without(_left(device, allowed_ips), key)
            return replace(device, peers={**others, key: allowed_ips}, preshared_keys=keys)
        case GivePeer(key, allowed_ips):
            if key not in device.peers:
                return device
            both = from_rows(rows(device.peers[key]) | rows(allowed_ips))
            return replace(device, peers={**_left(device, allowed_ips), key: both})
        case RemovePeer(key):
            return replace(
                device,
                peers=_without(device.peers, key),
                preshared_keys=_without(device.preshared_keys, key),
            )
        case Greet():
            return device
    assert_never(step)


def _left(device: Device, moved: AllowedIPs) -> dict[bytes, AllowedIPs]:
    """Return what peers have of their allowed IPs when those of `moved` are another's."""
    gone = rows(moved)
    return {key: from_rows(rows(ips) - gone) for key, ips in device.peers.items()}


def _without(values: Mapping[bytes, _Value], key: bytes) -> dict[bytes, _Value]:
    return {other: value for other, value in values.items() if other != key}
