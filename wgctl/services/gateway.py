"""Gateways: the record that a host keeps of itself, refreshed when its role starts.

What the host does with its kernel is `wgctl.services.reconcile`.
"""

from dataclasses import dataclass, replace

from peers.endpoint import Endpoint
from peers.keys import PublicKey
from peers.names import Label
from wgctl.core import allocate
from wgctl.core.model import Gateway
from wgctl.store.deployment import Deployment
from wgctl.store.store import Store

__all__ = ["GatewayFacts", "listed", "register", "shown"]


@dataclass(frozen=True, slots=True)
class GatewayFacts:
    """What a gateway's host says of itself."""

    region: Label
    endpoint: Endpoint
    public_key: PublicKey
    mtu_bytes: int
    forwards: bool


def register(store: Store, facts: GatewayFacts, *, now: int) -> Gateway:
    """Add the gateway that has this public key, or bring its record up to date.

    Nothing changes, and no revision is taken, when the record says the same already.
    """
    with store.writing() as deployment:
        known = next((g for g in deployment.gateways() if g.public_key == facts.public_key), None)
        if known is None:
            return _add(deployment, facts, now=now)
        refreshed = replace(
            known,
            region=facts.region,
            endpoint=facts.endpoint,
            mtu_bytes=facts.mtu_bytes,
            forwards=facts.forwards,
        )
        if refreshed != known:
            deployment.update_gateway(refreshed)
        return refreshed


def listed(store: Store) -> list[Gateway]:
    """Return every gateway by number."""
    with store.reading() as deployment:
        return deployment.gateways()


def shown(store: Store, name: str) -> Gateway:
    """Return the gateway `name`; raises NotFound."""
    with store.reading() as deployment:
        return deployment.gateway(name)


def _add(deployment: Deployment, facts: GatewayFacts, *, now: int) -> Gateway:
    number = allocate.gateway_number(deployment.next_gateway_number())
    return deployment.add_gateway(
        Gateway(
            id=0,
            number=number,
            name=Label(f"{facts.region}-{number}"),
            region=facts.region,
            endpoint=facts.endpoint,
            public_key=facts.public_key,
            mtu_bytes=facts.mtu_bytes,
            forwards=facts.forwards,
            created_at=now,
        )
    )
