"""Who an address is, from a role's own copy: the proof is the tunnel that it came through."""

from ipaddress import IPv6Address

from wgctl.core.schema import SelfReply
from wgctl.store.copy import Copy

__all__ = ["who"]


def who(copy: Copy, address: IPv6Address, *, now: int) -> SelfReply | None:
    """Return the org, network and name of the peer at `address`; None if it is no live peer."""
    peer = copy.peer_at(address)
    if peer is None or peer.expired(now=now):
        return None
    network, org = copy.network(peer.network_id), copy.org(peer.org_id)
    if network is None or org is None:
        return None
    return SelfReply(org=org.slug, network=network.name, peer=peer.name, address=peer.address)
