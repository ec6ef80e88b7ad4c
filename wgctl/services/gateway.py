"""Gateways: the record that a host keeps of itself, refreshed when its role starts.

What the host does with its kernel is `wgctl.services.reconcile`. One endpoint is one gateway: a
host that comes back with a new key is the one that it was, and what is made from then on, a config
or a sealed key, is for the key that lives.
"""

from dataclasses import dataclass, replace
from itertools import chain

import structlog

from peers.endpoint import Endpoint
from peers.keys import PublicKey
from peers.names import Label
from wgctl.core import allocate
from wgctl.core.model import Gateway
from wgctl.store.deployment import Deployment
from wgctl.store.store import Store

__all__ = ["GatewayFacts", "listed", "register", "shown"]

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class GatewayFacts:
    """What a gateway's host says of itself."""

    region: Label
    endpoint: Endpoint
    public_key: PublicKey
    mtu_bytes: int
    forwards: bool


def register(store: Store, facts: GatewayFacts, *, now: int) -> Gateway:
    """Add the gateway that has this public key or else this endpoint, or refresh its record.

    Nothing changes, and no revision is taken, when the record says the same already.
    """
    with store.writing() as deployment:
        known = _known(deployment.gateways(), facts)
        if known is None:
            return _add(deployment, facts, now=now)
        refreshed = replace(
            known,
            region=facts.region,
            endpoint=facts.endpoint,
            public_key=facts.public_key,
            mtu_bytes=facts.mtu_bytes,
            forwards=facts.forwards,
        )
        if refreshed != known:
            deployment.update_gateway(refreshed)
        if refreshed.public_key != known.public_key:
            _log.warning(
                "gateway has a new key: configs and preshared keys for the old one are dead",
                name=known.name,
            )
        return refreshed


def listed(store: Store) -> list[Gateway]:
    """Return every gateway by number."""
    with store.reading() as deployment:
        return deployment.gateways()


def shown(store: Store, name: str) -> Gateway:
    """Return the gateway `name`; raises NotFound."""
    with store.reading() as deployment:
        return deployment.gateway(name)


def _known(gateways: list[Gateway], facts: GatewayFacts) -> Gateway | None:
    by_key = (known for known in gateways if known.public_key == facts.public_key)
    by_place = (known for known in gateways if known.endpoint == facts.endpoint)
    return next(chain(by_key, by_place), None)


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
