"""Peers: enrolling a public key, giving it an address and a gateway, re-keying, removing.

Never sees a private key: those are made where they are used.
"""

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import NamedTuple

from peers.keys import PublicKey
from peers.names import Label
from peers.seal import SealedKey
from wgctl.core.access import CONTROLLER, Scope, may_tag
from wgctl.core.errors import Conflict, Denied, Invalid, NotFound, Unavailable
from wgctl.core.model import Gateway, Network, Peer, TokenKind
from wgctl.services.condition import Condition, always
from wgctl.store.deployment import Deployment, EndedPeer
from wgctl.store.org import OrgDoor
from wgctl.store.rows import NewPeerRow
from wgctl.store.store import Store

__all__ = [
    "NewKey",
    "NewPeer",
    "PeerFacts",
    "SealedTo",
    "add",
    "listed",
    "offered_gateway",
    "rekey",
    "remove",
    "remove_ended",
    "shown",
]


_MOST_ENDED = 100
"""So many are looked for at once; each is removed by itself, and nobody waits for all of them."""


@dataclass(frozen=True, slots=True)
class SealedTo:
    """A preshared key, sealed to the gateway that the asker was shown."""

    gateway_key: PublicKey
    sealed: SealedKey


@dataclass(frozen=True, slots=True)
class NewPeer:
    """A peer that is asked for.

    `expires_in_s` None: it stays until it is removed; an `ephemeral` one has a time, and is removed
    when that is over. `preshared_key` None: it has none. `owner` None: it is the asker's. `tags`
    are beside those of the asker's token.
    """

    network: Label
    name: Label
    public_key: PublicKey
    expires_in_s: int | None
    needs_forwarding: bool
    preshared_key: SealedTo | None = None
    owner: str | None = None
    ephemeral: bool = False
    tags: tuple[Label, ...] = ()


@dataclass(frozen=True, slots=True)
class PeerFacts:
    """A peer, its network, the gateway that it connects to, and whether it has a preshared key."""

    peer: Peer
    network: Network
    gateway: Gateway
    preshared: bool


def add(store: Store, org: str, new: NewPeer, *, now: int) -> tuple[PeerFacts, bool]:
    """Add a peer to a network of `org`, and say whether it is new.

    The same request again (org, network, name, keys) gives the same peer, so a lost answer can be
    asked for again; a peer whose time is over gets the time that is asked for, and an ephemeral one
    makes room. Raises Conflict when it is over and none is asked for, when the name has other keys
    or a preshared key is sealed to another gateway than the peer gets, Invalid for a key in use and
    for an ephemeral peer without a time, and Denied when the caller's token was used up, or the
    peer is another's and only own ones are in reach, or tags are asked for by who may not give any.
    """
    if new.ephemeral and new.expires_in_s is None:
        raise Invalid(f"peer {new.name!a}: an ephemeral one, expected expires_in_s too")
    with store.writing() as deployment:
        door = deployment.owned_by(org)
        network = door.network(new.network)
        gateway = _choose_gateway(deployment, needs_forwarding=new.needs_forwarding)
        known = door.find_peer(network, new.name)
        if known is not None and known.ephemeral and known.expired(now=now):
            door.remove_peer(known)
            known = None
        if known is not None:
            _require_same(door, known, new, network=network)
            if not known.expired(now=now):
                _require_same_end(known, new)
            else:
                door.spend_use()
                time = _Time(new.expires_in_s, ephemeral=new.ephemeral)
                known = _renewed(door, network, known, time, now=now)
            return _facts(deployment, door, network, known), False
        _require_shown(gateway, new.preshared_key)
        _refuse_known_key(deployment, new.public_key)
        door.spend_use()
        row = NewPeerRow(
            name=new.name,
            owner=door.owner_for(new.owner),
            public_key=new.public_key,
            created_at=now,
            expires_at=None if new.expires_in_s is None else now + new.expires_in_s,
            ephemeral=new.ephemeral,
            tags=_tags(door, new),
        )
        peer = door.add_peer(network, gateway, row)
        sealed = _sealed(new.preshared_key)
        if sealed is not None:
            door.set_seal(peer, sealed)
        return PeerFacts(peer, network, gateway, preshared=sealed is not None), True


def offered_gateway(store: Store, org: str, network: str, *, needs_forwarding: bool) -> Gateway:
    """Return the gateway that a peer of `network` would get if it were added now.

    Raises NotFound, Unavailable while there is none, and Invalid when it does not forward.
    """
    with store.reading() as deployment:
        deployment.owned_by(org).network(network)
        return _choose_gateway(deployment, needs_forwarding=needs_forwarding)


def listed(
    store: Store,
    org: str,
    *,
    network: str | None,
    after: tuple[str, int],
    limit: int,
    tag: str | None = None,
) -> list[PeerFacts]:
    """Return up to `limit` peers of `org`, of one network, with one tag, by name, past `after`."""
    with store.reading() as deployment:
        door = deployment.owned_by(org)
        within = None if network is None else door.network(network)
        gateways = {found.id: found for found in deployment.gateways()}
        found = door.peers_as_listed(network=within, tag=tag, after=after, limit=limit)
        return [
            PeerFacts(peer, network, gateways[peer.gateway_id], preshared=preshared)
            for peer, network, preshared in found
        ]


def shown(store: Store, org: str, network: str, name: str) -> PeerFacts:
    """Return the peer `name`; raises NotFound."""
    with store.reading() as deployment:
        door = deployment.owned_by(org)
        found = door.network(network)
        return _facts(deployment, door, found, door.peer(found, name))


@dataclass(frozen=True, slots=True)
class NewKey:
    """The key that a peer is to have; `preshared_key` None: from now on it has none.

    `expires_in_s` None: its time stays as it is.
    """

    public_key: PublicKey
    needs_forwarding: bool
    preshared_key: SealedTo | None = None
    expires_in_s: int | None = None


def rekey(
    store: Store,
    org: str,
    network: str,
    name: str,
    new: NewKey,
    *,
    now: int,
    check: Condition[PeerFacts] = always,
) -> PeerFacts:
    """Give the peer `name` another public key; its address stays, its old keys are dead.

    The same keys again change nothing but the time. Raises NotFound, Invalid for a key in use,
    Conflict when the peer's time is over and it gets no new one, or when a preshared key is sealed
    to another gateway than the peer's, and Denied for a time that its own token asks for.
    """
    with store.writing() as deployment:
        door = deployment.owned_by(org)
        found = door.network(network)
        peer = door.peer(found, name)
        facts = _facts(deployment, door, found, peer)
        check(facts)
        gateway = facts.gateway
        if new.expires_in_s is not None and _comes_with_its_own_token(door):
            raise Denied(f"peer {peer.name!a} may change its key by itself, and not its time")
        if new.needs_forwarding:
            _require_forwarding(gateway)
        time = _Time(new.expires_in_s, ephemeral=peer.ephemeral)
        peer = _renewed(door, found, peer, time, now=now)
        if not _has_keys(door, peer, new):
            _require_shown(gateway, new.preshared_key)
            if peer.public_key != new.public_key:
                _refuse_known_key(deployment, new.public_key)
                peer = door.rekey_peer(found, peer, new.public_key)
            door.set_seal(peer, _sealed(new.preshared_key))
        return _facts(deployment, door, found, peer)


def remove(
    store: Store, org: str, network: str, name: str, *, check: Condition[PeerFacts] = always
) -> Peer:
    """Remove the peer `name` and the machines on it, and return what it was; raises NotFound."""
    with store.writing() as deployment:
        door = deployment.owned_by(org)
        found = door.network(network)
        peer = door.peer(found, name)
        check(_facts(deployment, door, found, peer))
        door.remove_peer(peer)
        return peer


def remove_ended(store: Store, *, now: int) -> list[int]:
    """Remove up to 100 ephemeral peers whose time is over at `now`, and return their ids.

    The machines on them go too; the audit trails tell that the controller did it. One that cannot
    be removed keeps no other; when none was, what is wrong is raised.
    """
    with store.reading() as deployment:
        ended = deployment.ended_peers(now=now, most=_MOST_ENDED)
    seen = store.seen_by(replace(CONTROLLER, doing=Scope.PEER_REMOVE))
    gone: list[int] = []
    wrong: Exception | None = None
    for peer in ended:
        try:
            gone += _remove_ended(seen, peer, now=now)
        except Unavailable as error:
            wrong = error
            break
        except Exception as error:  # noqa: BLE001  # whatever is wrong with one row
            wrong = error
    if wrong is not None and not gone:
        raise wrong
    return gone


def _remove_ended(store: Store, ended: EndedPeer, *, now: int) -> list[int]:
    """Remove a peer, unless it has been given more time meanwhile."""
    with suppress(NotFound), store.writing() as deployment:
        door = deployment.owned_by(ended.org)
        peer = door.peer(door.network(ended.network), ended.name)
        if peer.id == ended.peer_id and peer.expired(now=now):
            door.remove_peer(peer)
            return [peer.id]
    return []


def _tags(door: OrgDoor, new: NewPeer) -> tuple[Label, ...]:
    """Return the tags of a new peer; raises Denied for those that the caller may not give."""
    token = door.caller.token
    tags = frozenset(new.tags) | frozenset(() if token is None else token.tags)
    if not may_tag(door.caller, tags):
        raise Denied(
            f"{door.caller.title} may not give tags, expected an admin, or an admin's token that "
            "has them"
        )
    return tuple(sorted(tags))


def _comes_with_its_own_token(door: OrgDoor) -> bool:
    token = door.caller.token
    return token is not None and token.kind is TokenKind.PEER


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


def _require_shown(gateway: Gateway, preshared_key: SealedTo | None) -> None:
    if preshared_key is not None and preshared_key.gateway_key != gateway.public_key:
        raise Conflict(
            f"the preshared key is sealed to another gateway than {gateway.name!a}, which was "
            "chosen meanwhile: ask again"
        )


def _require_same(door: OrgDoor, known: Peer, new: NewPeer, *, network: Network) -> None:
    if not _has_keys(door, known, new):
        other = "key" if known.public_key != new.public_key else "preshared key, or none"
        raise Conflict(
            f"peer {new.name!a} exists already in network {network.name!a} of org "
            f"{door.org.slug!a} with another {other}: wgctl peer rekey gives it a new one"
        )
    door.require_own(known.owner, f"peer {known.name!a}")
    if new.owner is not None and door.owner_for(new.owner) != known.owner:
        raise Conflict(f"peer {known.name!a} exists already, and is of {known.owner!a}")
    if lacking := set(_tags(door, new)).difference(known.tags):
        raise Conflict(
            f"peer {known.name!a} exists already, without tag {min(lacking)!a}: remove it first"
        )


def _require_same_end(known: Peer, new: NewPeer) -> None:
    if known.ephemeral != new.ephemeral:
        what = "an ephemeral one" if known.ephemeral else "one that stays"
        raise Conflict(f"peer {known.name!a} exists already, as {what}: remove it first")


class _Time(NamedTuple):
    """How long a peer is asked to be there, None as long as it is; and whether it leaves then."""

    span_s: int | None
    ephemeral: bool


def _renewed(door: OrgDoor, network: Network, peer: Peer, time: _Time, *, now: int) -> Peer:
    """Return `peer` with the time that is asked for; None leaves it, unless it is over."""
    if time.span_s is not None:
        ends_at = now + time.span_s
        return door.renew_peer(network, peer, expires_at=ends_at, ephemeral=time.ephemeral)
    if peer.expires_at is not None and peer.expired(now=now):
        over = datetime.fromtimestamp(peer.expires_at, UTC).isoformat().replace("+00:00", "Z")
        raise Conflict(
            f"peer {peer.name!a} of network {network.name!a} expired at {over}: "
            "remove it, or give it a new --expires"
        )
    return peer


def _has_keys(door: OrgDoor, peer: Peer, new: NewPeer | NewKey) -> bool:
    seal = door.seal(peer)
    there = None if seal is None else seal.sealed
    return (peer.public_key, there) == (new.public_key, _sealed(new.preshared_key))


def _sealed(preshared_key: SealedTo | None) -> SealedKey | None:
    return None if preshared_key is None else preshared_key.sealed


def _refuse_known_key(deployment: Deployment, key: PublicKey) -> None:
    if deployment.key_in_use(key):
        raise Invalid("this public key is already in use, expected a new one: wg genkey makes it")


def _facts(deployment: Deployment, door: OrgDoor, network: Network, peer: Peer) -> PeerFacts:
    return PeerFacts(peer, network, deployment.gateway_of(peer), door.seal(peer) is not None)
