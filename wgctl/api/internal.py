"""The application that peers use inside their network, on port 4280 of its `::3`.

The source address is the proof of who asks. A browser led here by a rebound name sends another
`Host`, and a page of another origin cannot send the `Wgctl-Request` header.

    GET     /v1/self                      who one is
    POST    /v1/machines                  announce a machine, with a lease
    PUT     /v1/machines/NAME/lease       renew the lease
    DELETE  /v1/machines/NAME/lease       end it
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Annotated

from fastapi import Depends, FastAPI, Request

from peers.addresses import prefix_of, resolver_address
from wgctl.api.door import build, needs, routes
from wgctl.api.limits import Bounded
from wgctl.core.access import Asker, Scope
from wgctl.core.errors import Denied, Unavailable
from wgctl.core.lease_schema import NewLease, Renewal
from wgctl.core.pace import Pace
from wgctl.core.schema import Machine, SelfReply

__all__ = ["HOST", "PORT", "Desk", "Identify", "internal_app"]

HOST = "_api.internal"
PORT = 4280

# Room for the longest announcement: 64 ports and 64 facts, about 20,000 bytes.
_MOST_BYTES = 32_768

# 64 machines with the shortest lease renew 24 times a second. An announcement is a commit: it
# counts as much as eight other requests.
_PER_S = 40.0
_AT_ONCE = 600.0
_ANNOUNCE_COST = 8.0

# What the peers of one network may announce together: the controller's commits are everybody's.
_ANNOUNCED_PER_S = 5.0
_ANNOUNCED_AT_ONCE = 150.0

Identify = Callable[[IPv6Address], SelfReply | None]
"""Who the peer at an address is; None if it is none."""


@dataclass(frozen=True, slots=True)
class Desk:
    """What is done with leases: for a peer, the name of its machine, and what it says."""

    announce: Callable[[SelfReply, NewLease], Awaitable[Machine]]
    renew: Callable[[SelfReply, str, Renewal], None]
    withdraw: Callable[[SelfReply, str, str], None]


router = routes()


def internal_app(
    identify: Identify, desk: Desk, *, clock: Callable[[], float] = time.monotonic
) -> FastAPI:
    """Return the application of what a peer may ask; `clock` gives seconds, and never goes back."""
    app = build(
        Asker.PEER,
        [router],
        identify=identify,
        desk=desk,
        clock=clock,
        pace=Pace(per_s=_PER_S, burst=_AT_ONCE),
        announcements=Pace(per_s=_ANNOUNCED_PER_S, burst=_ANNOUNCED_AT_ONCE),
    )
    app.add_middleware(Bounded, most_bytes=_MOST_BYTES)
    return app


# All of these run in the loop, one at a time: what they look at belongs to it.


async def _asker(request: Request) -> SelfReply:
    """Return who asks; raises Denied for a request that no peer's own program made."""
    if request.headers.get("host") not in {HOST, f"{HOST}:{PORT}"}:
        raise Denied(f"this is http://{HOST}:{PORT}, the request names another host")
    if request.headers.get("wgctl-request") != "1":
        raise Denied("the header Wgctl-Request: 1 is missing")
    source, destination = _addresses(request)
    identify: Identify = request.app.state.identify
    found = identify(source) if destination == resolver_address(prefix_of(source)) else None
    if found is None:
        raise Denied("the request comes from no peer of this network")
    _admit(request, source)
    return found


def _addresses(request: Request) -> tuple[IPv6Address, IPv6Address]:
    source, destination = request.scope["client"], request.scope["server"]
    return IPv6Address(source[0]), IPv6Address(destination[0])


def _admit(request: Request, source: IPv6Address) -> None:
    """Raise Unavailable for a peer that asks too often, or whose network announces too much."""
    pace: Pace = request.app.state.pace
    announcements: Pace = request.app.state.announcements
    now, announces = request.app.state.clock(), request.method == "POST"
    if not pace.admit(source, now=now, cost=_ANNOUNCE_COST if announces else 1.0):
        raise Unavailable(f"this peer asks more than {_PER_S:.0f} times a second: ask again later")
    if announces and not announcements.admit(prefix_of(source), now=now):
        raise Unavailable(
            f"this network announces more than {_ANNOUNCED_PER_S:.0f} machines a second: "
            "ask again later"
        )


async def _desk(request: Request) -> Desk:
    desk: Desk = request.app.state.desk
    return desk


_AskerOf = Annotated[SelfReply, Depends(_asker)]
_DeskOf = Annotated[Desk, Depends(_desk)]


@router.get("/self", dependencies=[needs(Scope.SELF_READ)])
async def show_self(asker: _AskerOf) -> SelfReply:
    """Return the org, network and peer that the asker is."""
    return asker


@router.post("/machines", dependencies=[needs(Scope.MACHINE_ANNOUNCE)], status_code=201)
async def announce(asker: _AskerOf, desk: _DeskOf, new: NewLease) -> Machine:
    """Announce a machine on the asking peer."""
    return await desk.announce(asker, new)


@router.put(
    "/machines/{machine}/lease",
    dependencies=[needs(Scope.MACHINE_ANNOUNCE)],
    status_code=204,
)
async def renew(asker: _AskerOf, desk: _DeskOf, machine: str, renewal: Renewal) -> None:
    """Renew the lease of a machine that the asking peer announced."""
    desk.renew(asker, machine, renewal)


@router.delete(
    "/machines/{machine}/lease",
    dependencies=[needs(Scope.MACHINE_ANNOUNCE)],
    status_code=204,
)
async def withdraw(asker: _AskerOf, desk: _DeskOf, machine: str, holder: str) -> None:
    """End the lease of a machine that the asking peer announced; nothing if it has none."""
    desk.withdraw(asker, machine, holder)
