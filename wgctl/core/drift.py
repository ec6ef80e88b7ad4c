"""What a pass found otherwise than it was to be: before and after, in words.

Takes the steps that mend it and what was found; who takes the steps, counts and tells is
`wgctl.daemon.programme`. No private or preshared key is in the words.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, assert_never

from wgctl.core.allowed_ips import AllowedIPs, in_words
from wgctl.core.firewall import Element, Ruleset
from wgctl.core.tunnel import (
    AddAddress,
    AddPeers,
    AddRoute,
    ChangeFirewall,
    Device,
    DeviceStep,
    GivePeer,
    Greet,
    Link,
    MakeLink,
    RemoveAddress,
    RemovePeer,
    RemoveRoute,
    ReplaceFirewall,
    SetDevice,
    SetLink,
    SetPeer,
    Step,
    Tunnel,
    key_text,
)

__all__ = ["Drift", "drift"]

_NONE = "none"
_THERE = "there"
_ELEMENTS_NAMED = 3


class Drift(NamedTuple):
    """One difference: of what, how it was, how it is."""

    what: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.what}: was {self.before}, is {self.after}"


def drift(steps: Sequence[Step], found: Tunnel) -> list[Drift]:
    """Return the differences of `found` that `steps` mend, in order, one for each thing.

    A device that was gone is one, with all that was on it.
    """
    if any(isinstance(step, MakeLink) for step in steps):
        return [Drift("device", "gone", "made again, with all that was on it")]
    listed: dict[str, Drift] = {}
    for one in (one for step in steps for one in _of(step, found)):
        first = listed.get(one.what, one)
        listed[one.what] = Drift(one.what, first.before, one.after)
    return list(listed.values())


def _of(step: Step, found: Tunnel) -> Iterator[Drift]:
    match step:
        case ReplaceFirewall() | ChangeFirewall():
            yield _firewall(step, found.firewall)
        case AddRoute(route):
            yield Drift(f"route to {route.destination}", _NONE, _THERE)
        case RemoveRoute(route):
            yield Drift(f"route to {route.destination}", _THERE, _NONE)
        case AddAddress(address):
            yield Drift(f"address {address}", _NONE, _THERE)
        case RemoveAddress(address):
            yield Drift(f"address {address}", _THERE, _NONE)
        case SetLink(mtu_bytes):
            yield Drift("link", _link(found.link), f"up with MTU {mtu_bytes}")
        case SetDevice() | AddPeers() | SetPeer() | GivePeer() | RemovePeer() | Greet():
            yield from _device(step, found.device or Device(None, 0, {}))
        case MakeLink():
            return
        case _:
            assert_never(step)


def _firewall(step: ReplaceFirewall | ChangeFirewall, found: Ruleset | None) -> Drift:
    match step:
        case ReplaceFirewall(ruleset):
            what, after = f"table {ruleset.table}", _size(ruleset)
            return Drift(what, _size(found) if found else _NONE, after)
        case ChangeFirewall(added, removed):
            before = [
                *(["without " + _named(added)] if added else []),
                *(["with " + _named(removed)] if removed else []),
            ]
            return Drift("sets of the table", " and ".join(before), "as they are to be")


def _device(step: DeviceStep, found: Device) -> Iterator[Drift]:
    match step:
        case SetDevice(private_key, port):
            if private_key is not None:
                was = found.private_key
                before = str(was.public()) if was else _NONE
                yield Drift("public key of the device", before, str(private_key.public()))
            if port is not None:
                yield Drift("port of the device", str(found.listen_port), str(port))
        case AddPeers():
            for one in step.each():
                yield from _device(one, found)
        case SetPeer(key, allowed_ips, preshared_key, anew):
            after = _peer(allowed_ips, sealed=preshared_key is not None)
            other = " that is another" if anew and key in found.preshared_keys else ""
            yield Drift(f"peer {key_text(key)}", _found_peer(key, found) + other, after)
        case GivePeer(key, allowed_ips):
            yield Drift(f"peer {key_text(key)}", _found_peer(key, found), _peer(allowed_ips))
        case RemovePeer(key):
            yield Drift(f"peer {key_text(key)}", _found_peer(key, found), _NONE)
        case Greet():
            return
        case _:
            assert_never(step)


def _found_peer(key: bytes, found: Device) -> str:
    if key not in found.peers:
        return _NONE
    return _peer(found.peers[key], sealed=key in found.preshared_keys)


def _peer(allowed_ips: AllowedIPs, *, sealed: bool = False) -> str:
    listed = in_words(allowed_ips)
    return f"{listed} with a preshared key" if sealed else listed


def _link(found: Link | None) -> str:
    if found is None:
        return _NONE
    return f"{'up' if found.up else 'down'} with MTU {found.mtu_bytes}"


def _size(table: Ruleset) -> str:
    return f"{len(table.rules)} sets, chains and rules, {len(table.elements)} elements"


def _named(elements: Iterable[Element]) -> str:
    listed = sorted(f"{one.set_name} {' '.join(one.values)}" for one in elements)
    more = len(listed) - _ELEMENTS_NAMED
    return ", ".join(listed[:_ELEMENTS_NAMED]) + (f" and {more} more" if more > 0 else "")
