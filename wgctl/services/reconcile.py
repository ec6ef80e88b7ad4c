"""Making a host's tunnel what it is to be: one pass, one change, and taking it away.

Reads, compares, writes and reads back; what is wanted is `wgctl.core.plan`, when a pass is due is
`wgctl.daemon.gateway`. Each pass is idempotent, and one with nothing to do writes nothing.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

from peers.keys import PrivateKey
from wgctl.core.errors import Conflict
from wgctl.core.plan import diff, same_key
from wgctl.core.ports import Firewall, Links, WireGuard
from wgctl.core.roster import Change
from wgctl.core.tunnel import (
    ChangeFirewall,
    Device,
    DeviceStep,
    LinkStep,
    MakeLink,
    RemovePeer,
    RemoveRoute,
    ReplaceFirewall,
    Step,
    Tunnel,
)

__all__ = [
    "Outcome",
    "Parts",
    "apply_change",
    "mend_firewall",
    "read",
    "reconcile",
    "take",
    "take_down",
]

# A second round settles what the first one set off: a new device's addresses go when its MTU
# was below IPv6's minimum, a peer that another program moved. A third would fight somebody.
_ROUNDS = 2

_LOOKS = 20
_LOOK_AGAIN_S = 0.05


@dataclass(frozen=True, slots=True)
class Parts:
    """The three drivers of one tunnel."""

    links: Links
    wireguard: WireGuard
    firewall: Firewall


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a pass found, what it did, in order, and what still differs after it."""

    found: Tunnel
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


def reconcile(
    parts: Parts,
    desired: Tunnel,
    *,
    ours: bool = False,
    arrived: Callable[[], frozenset[bytes]] = frozenset,
) -> Outcome:
    """Make the tunnel what it is to be, and read it back where something was written.

    `ours`: the device was programmed by this process before, so that another private key on it is
    drift. `arrived` returns the keys of peers that others have written since `desired` was made:
    they are no surplus. Raises Conflict, with nothing written, when the interface belongs to
    somebody else, and Unavailable or Conflict when a part refuses; the steps before that are taken.
    """
    found = _read_ours(parts, desired.device, ours=ours)
    done: list[Step] = []
    steps = _sparing(arrived, diff(desired, found))
    for _ in range(_ROUNDS):
        if not steps:
            break
        take(parts, steps)
        done += steps
        steps = _sparing(arrived, diff(desired, read(parts)))
    return Outcome(found, tuple(done), steps)


def _sparing(arrived: Callable[[], frozenset[bytes]], steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """Return `steps`, but for the removal of those who have arrived.

    Asked for after the device was read: whoever is seen in it has arrived by then.
    """
    if not any(isinstance(step, RemovePeer) for step in steps):
        return steps
    keys = arrived()
    return tuple(step for step in steps if not (isinstance(step, RemovePeer) and step.key in keys))


def mend_firewall(parts: Parts, desired: Tunnel) -> Outcome:
    """Make the table alone what it is to be: a wall that any program may flush.

    Raises Unavailable when it is refused; it is as it was then.
    """
    wanted = Tunnel(desired.firewall, frozenset(), None, None)
    found = Tunnel(parts.firewall.read(), frozenset(), None, None)
    steps = diff(wanted, found)
    take(parts, steps)
    left = diff(wanted, Tunnel(parts.firewall.read(), frozenset(), None, None)) if steps else ()
    return Outcome(found, steps, left)


def apply_change(parts: Parts, change: Change) -> tuple[Step, ...]:
    """Write just what a change names, and return the steps taken; a pass is to verify them.

    Raises Unavailable when a part refuses; the steps before that are taken.
    """
    steps = diff(change.after, change.before)
    take(parts, steps)
    return steps


def take_down(parts: Parts, private_key: PrivateKey) -> None:
    """Take away all that the gateway made, and nothing else; again is no fault.

    The wall that needs no firewall, our unreachable route, stands until the link is gone. Raises
    Conflict, with nothing taken away, when the device has another key than `private_key`.
    """
    device = parts.wireguard.read()
    if device is not None:
        _refuse_other_key(device, private_key)
    if parts.wireguard.alive():
        if device is not None:
            parts.links.remove()
        parts.wireguard.remove()
    parts.links.apply([RemoveRoute(route) for route in parts.links.read()[1]])
    parts.firewall.remove()


def _read_ours(parts: Parts, desired: Device | None, *, ours: bool) -> Tunnel:
    """Return what the host holds of the tunnel. Raises Conflict when it is somebody else's."""
    for _ in range(_LOOKS):
        found = read(parts)
        if found.device is not None and desired is not None and not ours:
            _refuse_other_key(found.device, desired.private_key)
        if found.device is not None or desired is None or parts.links.index() is None:
            return found
        # A process that has just died takes its link with it within milliseconds.
        time.sleep(_LOOK_AGAIN_S)
    raise Conflict(
        "the interface is there, and is no WireGuard device of wgctl's: name another one in "
        "[gateway], or remove it"
    )


def _refuse_other_key(device: Device, private_key: PrivateKey | None) -> None:
    if device.private_key is not None and not same_key(device.private_key, private_key):
        raise Conflict(
            "the interface is a WireGuard device with another private key: another deployment or "
            "program has it; name another one in [gateway], or remove it with ip link delete"
        )


def take(parts: Parts, steps: Sequence[Step]) -> None:
    """Take steps in order; neighbours that concern the device go to it together, or to the link.

    Raises Unavailable or Conflict when a part refuses; the steps before that are taken.
    """
    for kind, group in groupby(steps, key=_concern):
        listed = list(group)
        if kind is DeviceStep:
            parts.wireguard.apply([step for step in listed if isinstance(step, DeviceStep)])
        elif kind is LinkStep:
            parts.links.apply([step for step in listed if isinstance(step, LinkStep)])
        else:
            for step in listed:
                _take_one(parts, step)


def _concern(step: Step) -> object:
    """Return the kind of step that its neighbours share."""
    return next((kind for kind in (DeviceStep, LinkStep) if isinstance(step, kind)), None)


def _take_one(parts: Parts, step: Step) -> None:
    match step:
        case MakeLink():
            parts.wireguard.create()
        case ReplaceFirewall() | ChangeFirewall():
            parts.firewall.apply(step)
