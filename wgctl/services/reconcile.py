"""Making a host's tunnel what it is to be: one pass, one change, and taking it away.

Reads, compares, writes and reads back; what is wanted is `wgctl.core.plan`, when a pass is due is
`wgctl.daemon.gateway`. Each pass is idempotent, and one with nothing to do writes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import assert_never

from wgctl.core.plan import diff
from wgctl.core.ports import Firewall, Links, WireGuard
from wgctl.core.roster import Change
from wgctl.core.tunnel import (
    AddAddress,
    AddRoute,
    ChangeFirewall,
    DeviceStep,
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
)

__all__ = ["Outcome", "Parts", "apply_change", "read", "reconcile", "take", "take_down"]

# A second round settles what the first one set off: a new device's addresses go when its MTU
# was below IPv6's minimum, a peer that another program moved. A third would fight somebody.
_ROUNDS = 2


@dataclass(frozen=True, slots=True)
class Parts:
    """The three drivers of one tunnel."""

    links: Links
    wireguard: WireGuard
    firewall: Firewall


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a pass did, in order, and what still differs after it."""

    done: tuple[Step, ...]
    left: tuple[Step, ...]


def read(parts: Parts) -> Tunnel:
    """Return what the host holds of the tunnel.

    A link without its device is not ours, and a device without its link is of no use: either
    counts as both missing.
    """
    link, routes = parts.links.read()
    device = parts.wireguard.read() if link else None
    if device is None:
        routes = frozenset(route for route in routes if route.unreachable)
    return Tunnel(parts.firewall.read(), routes, link if device else None, device)


def reconcile(parts: Parts, desired: Tunnel) -> Outcome:
    """Make the tunnel what it is to be, and read it back where something was written.

    Raises Unavailable or Conflict when a part refuses; the steps before that are taken.
    """
    done: list[Step] = []
    steps = diff(desired, read(parts))
    for _ in range(_ROUNDS):
        if not steps:
            break
        take(parts, steps)
        done += steps
        steps = diff(desired, read(parts))
    return Outcome(tuple(done), steps)


def apply_change(parts: Parts, change: Change) -> tuple[Step, ...]:
    """Write just what a change names, and return the steps taken; a pass is to verify them.

    Raises Unavailable when a part refuses; the steps before that are taken.
    """
    steps = diff(change.after, change.before)
    take(parts, steps)
    return steps


def take_down(parts: Parts) -> None:
    """Take away all that the gateway made, and nothing else; again is no fault.

    The wall that needs no firewall, our unreachable route, stands until the link is gone.
    """
    if parts.wireguard.alive():
        parts.links.remove()
        parts.wireguard.remove()
    for route in parts.links.read()[1]:
        parts.links.apply(RemoveRoute(route))
    parts.firewall.remove()


def take(parts: Parts, steps: Sequence[Step]) -> None:
    """Take steps in order; neighbours that concern the device go to it together.

    Raises Unavailable or Conflict when a part refuses; the steps before that are taken.
    """
    for of_device, group in groupby(steps, key=_concerns_device):
        if of_device:
            parts.wireguard.apply([step for step in group if isinstance(step, DeviceStep)])
        else:
            for step in group:
                _take_one(parts, step)


def _take_one(parts: Parts, step: Step) -> None:
    match step:
        case MakeLink():
            parts.wireguard.create()
        case ReplaceFirewall() | ChangeFirewall():
            parts.firewall.apply(step)
        case SetLink() | AddAddress() | RemoveAddress() | AddRoute() | RemoveRoute():
            parts.links.apply(step)
        case SetDevice() | SetPeer() | RemovePeer():
            parts.wireguard.apply([step])
        case _:
            assert_never(step)


def _concerns_device(step: Step) -> bool:
    return isinstance(step, DeviceStep)
