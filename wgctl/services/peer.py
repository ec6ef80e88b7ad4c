"""Peers: enrolling a public key, giving it an address and a gateway, re-keying, removing.

Never sees a private key: those are made where they are used.
"""

from dataclasses import dataclass

from peers.keys import PublicKey
from peers.names import Label
from wgctl.core.errors import Conflict, Invalid, Unavailable
from wgctl.core.model import OPERATOR, Gateway, Network, Peer
from wgctl.store.deployment import Deployment
from wgctl.store.org import NewPeerRow
from wgctl.store.store import Store

__all__ = ["NewPeer", "PeerFacts", "add", "listed", "rekey", "remove", "shown"]


@dataclass(frozen=True, slots=True)
class NewPeer:
    """A peer that is asked for. `expires_in_s` None: it stays until it is removed."""

    network: Label
    name: Label
    public_key: PublicKey
    expires_in_s: int | None
    needs_forwarding: bool


@dataclass(frozen=True, slots=True)
class PeerFacts:
    """A peer, its network and the gateway that it connects to."""

    peer: Peer
    network: Network
    gateway: Gateway


def add(store: Store, org: str, new: NewPeer, *, now: int) -> tuple[PeerFacts, bool]:
    """Add a peer to a network of `org`, and say whether it is new.

    The same request again (org, network, name, key) gives the same peer, so a lost answer can be
    asked for again. Raises Conflict when the name has another key, Invalid for a key in use.
    """
    with store.writing() as deployment:
        door = deployment.owned_by(org)
        network = door.network(new.network)
        gateway = _choose_gateway(deployment, needs_forwarding=new.needs_forwarding)
        known = door.find_peer(network, new.name)
        if known is not None and known.public_key == new.public_key:
            return _facts(deployment, network, known), False
        if known is not None:
            raise Conflict(
                f"peer {new.name!a} exists already in network {network.name!a} of org {org!a} "
                "with another key: wgctl peer rekey gives it a new one"
            )
        _refuse_known_key(deployment, new.public_key)
        row = NewPeerRow(
            name=new.name,
            owner=OPERATOR,
            public_key=new.public_key,
            created_at=now,
            expires_at=None if new.expires_in_s is None else now + new.expires_in_s,
        )
        return PeerFacts(door.add_peer(network, gateway, row), network, gateway), True


def listed(
    store: Store, org: str, *, network: str | None, after: tuple[str, int], limit: int
) -> list[PeerFacts]:
    """Return up to `limit` peers of `org`, or of one network, by name, past `after`."""
    with store.reading() as deployment:
        door = deployment.owned_by(org)
        within = None if network is None else door.network(network)
        networks = {found.id: found for found in door.networks()}
        gateways = {found.id: found for found in deployment.gateways()}
        return [
            PeerFacts(peer, networks[peer.network_id], gateways[peer.gateway_id])
            for peer in door.peers(network=within, after=after, limit=limit)
        ]


def shown(store: Store, org: str, network: str, name: str) -> PeerFacts:
    """Return the peer `name`; raises NotFound."""
    with store.reading() as deployment:
        door = deployment.owned_by(org)
        found = door.network(network)
        return _facts(deployment, found, door.peer(found, name))


@dataclass(frozen=True, slots=True)
class NewKey:
    """The key that a peer is to have."""

    public_key: PublicKey
    needs_forwarding: bool


def rekey(store: Store, org: str, network: str, name: str, new: NewKey) -> PeerFacts:
    """Give the peer `name` another public key; its address stays, its old key is dead.

    The same key again changes nothing. Raises NotFound, and Invalid for a key in use.
    """
    with store.writing() as deployment:
        door = deployment.owned_by(org)
        found = door.network(network)
        peer = door.peer(found, name)
        facts = _facts(deployment, found, peer)
        if new.needs_forwarding:
            _require_forwarding(facts.gateway)
        if peer.public_key == new.public_key:
            return facts
        _refuse_known_key(deployment, new.public_key)
        return _facts(deployment, found, door.rekey_peer(found, peer, new.public_key))


def remove(store: Store, org: str, network: str, name: str) -> Peer:
    """Remove the peer `name` and the machines on it, and return what it was; raises NotFound."""
    with store.writing() as deployment:
        door = deployment.owned_by(org)
        found = door.network(network)
        peer = door.peer(found, name)
        door.remove_peer(found, peer)
        return peer


def _choose_gateway(deployment: Deployment, *, needs_forwarding: bool) -> Gateway:
    gateways = deployment.gateways()
    if not gateways:
        raise Unavailable("no gateway has registered yet: start one with wgctl run gateway")
    gateway = gateways[0]
    if needs_forwarding:
        _require_forwarding(gateway)
    return gateway


def _require_forwarding(gateway: Gateway) -> None:
    if not gateway.forwards:
        raise Invalid(
            f"gateway {gateway.name!a} has no upstreams, so its resolver answers .internal only: "
            "list some under [resolver] in its config, or ask for --dns split"
        )


def _refuse_known_key(deployment: Deployment, key: PublicKey) -> None:
    if deployment.key_in_use(key):
        raise Invalid("this public key is already in use, expected a new one: wg genkey makes it")


def _facts(deployment: Deployment, network: Network, peer: Peer) -> PeerFacts:
    gateway = next(g for g in deployment.gateways() if g.id == peer.gateway_id)
    return PeerFacts(peer, network, gateway)
