"""The application that peers use inside their network, on port 4280 of its `::3`.

The source address is the proof of who asks. A browser led here by a rebound name sends another
`Host`, and a page of another origin cannot send the `Wgctl-Request` header.
"""

from collections.abc import Callable
from ipaddress import IPv6Address
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Request

from peers.addresses import prefix_of, resolver_address
from wgctl.api.door import build, needs
from wgctl.core.access import Asker, Scope
from wgctl.core.errors import Denied
from wgctl.core.schema import SelfReply

__all__ = ["HOST", "PORT", "Identify", "internal_app"]

HOST = "_api.internal"
PORT = 4280

Identify = Callable[[IPv6Address], SelfReply | None]
"""Who the peer at an address is; None if it is none."""

router = APIRouter()


def internal_app(identify: Identify) -> FastAPI:
    """Return the application of what a peer may ask."""
    return build(Asker.PEER, [router], identify=identify)


def _asker(request: Request) -> SelfReply:
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
    return found


def _addresses(request: Request) -> tuple[IPv6Address, IPv6Address]:
    source, destination = request.scope["client"], request.scope["server"]
    return IPv6Address(source[0]), IPv6Address(destination[0])


@router.get("/self", dependencies=[needs(Scope.SELF_READ)])
def show_self(asker: Annotated[SelfReply, Depends(_asker)]) -> SelfReply:
    """Return the org, network and peer that the asker is."""
    return asker
