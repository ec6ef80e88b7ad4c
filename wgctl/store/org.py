"""The scoped door to what one org owns: networks and peers, and by inheritance all the rest.

Which org may be opened by whom is decided above; how far a caller sees into it, in `scoped`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from peers.addresses import network_prefix
from peers.keys import PublicKey
from peers.names import Label
from peers.seal import SealedKey
from wgctl.core.errors import NotFound
from wgctl.core.feed import Kind
from wgctl.core.model import Gateway, Network, Peer, Seal
from wgctl.store import rows, tables
from wgctl.store.machines import Machines
from wgctl.store.members import Members
from wgctl.store.prepared import Values
from wgctl.store.rows import NewPeerRow
from wgctl.store.scoped import EVERYTHING, SEALED
from wgctl.store.unique import taken

__all__ = ["ListedPeer", "OrgDoor"]


class ListedPeer(NamedTuple):
    """A peer, its network, and whether it has a preshared key."""

    peer: Peer
    network: Network
    preshared: bool


class OrgDoor(Machines, Members):
    """What an org owns, within one transaction; without a recorder it can only be read."""

    # Networks

    def networks(self) -> list[Network]:
        """Return the networks of the org by name."""
        found = self._page(tables.networks, having={})
        return [rows.network_of(row, pool=self.pool) for row in found]

    def network(self, name: str) -> Network:
        """Return the network `name`; raises NotFound."""
        row = self._named(tables.networks, name, what="network", within=None)
        return rows.network_of(row, pool=self.pool)

    def add_network(self, name: Label, *, number: int, now: int) -> Network | None:
        """Add the network `name` with the id `number`; None when that id was given out before.

        Raises Conflict when the name is taken.
        """
        if not self._spend(number):
            return None
        with taken(networks_name=f"network {name!a} exists already in org {self.org.slug!a}"):
            row = self._rows(
                self._insert(tables.networks, name=name, number=number, created_at=now)
            )[0]
        network = rows.network_of(row, pool=self.pool)
        self._record.put(Kind.NETWORK, network)
        return network

    def remove_network(self, network: Network) -> None:
        """Remove `network` and all that is in it; its id stays spent."""
        self._record_gone(self.machines(network=network))
        for app in self.apps(network=network):
            self._record.delete(Kind.APP, app)
        for seal in self.seals(network=network):
            self._record.delete(Kind.SEAL, seal)
        peers = self.peers(network=network)
        for peer in peers:
            self._record.delete(Kind.PEER, peer)
        self.end_tokens_for(peers)
        self.forget_network(network)
        self._execute(self._delete(tables.networks, network.id))
        self._record.delete(Kind.NETWORK, network)

    def _spend(self, number: int) -> bool:
        network_prefix(self.pool, number)
        try:
            with self._connection.begin_nested():
                self._execute(insert(tables.spent_network_ids).values(number=number))
        except IntegrityError:
            return False
        return True

    # Peers

    def peers(
        self,
        *,
        network: Network | None = None,
        tag: str | None = None,
        after: tuple[str, int] = ("", 0),
        limit: int = EVERYTHING,
    ) -> list[Peer]:
        """Return up to `limit` peers by name and id, from the first one past `after`.

        Of one network, with one tag; None: whichever.
        """
        listed = self.peers_as_listed(network=network, tag=tag, after=after, limit=limit)
        return [one.peer for one in listed]

    def peers_as_listed(
        self, *, network: Network | None, tag: str | None, after: tuple[str, int], limit: int
    ) -> list[ListedPeer]:
        """Return what `peers` does, each with what a list tells of it besides."""
        having = {} if tag is None else {"tag": tag}
        found = self._page_of_peers(network, having, after=after, limit=limit)
        networks = self._networks_with({row["network_id"] for row in found})
        return [
            ListedPeer(rows.peer_of(row, prefix=its.prefix), its, row[SEALED])
            for row in found
            for its in [networks[row["network_id"]]]
        ]

    def _page_of_peers(
        self,
        network: Network | None,
        having: Mapping[str, object],
        *,
        after: tuple[str, int],
        limit: int,
    ) -> Sequence[Values]:
        if network is None and self.caller.networks is None:
            return self._page(tables.peers, having=having, after=after, limit=limit)
        # By name through the org, whoever sees a few networks would pass by the peers of all.
        pages = (
            self._page(
                tables.peers, having={"network_id": one.id, **having}, after=after, limit=limit
            )
            for one in (self.networks() if network is None else [network])
        )
        found = (row for page in pages for row in page)
        return sorted(found, key=lambda row: (row["name"], row["id"]))[:limit]

    def peers_of(self, owner: str) -> list[tuple[Network, Peer]]:
        """Return the peers of the member `owner`, by network and name."""
        found = self._having(tables.peers, owner=owner)
        networks = self._networks_with({row["network_id"] for row in found})
        peers = (
            (its, rows.peer_of(row, prefix=its.prefix))
            for row in found
            for its in [networks[row["network_id"]]]
        )
        return sorted(peers, key=lambda one: (one[0].name, one[1].name))

    def _networks_with(self, ids: Iterable[int]) -> dict[int, Network]:
        found = (self._having(tables.networks, id=id_)[0] for id_ in ids)
        return {row["id"]: rows.network_of(row, pool=self.pool) for row in found}

    def peer(self, network: Network, name: str) -> Peer:
        """Return the peer `name` of `network`; raises NotFound."""
        row = self._named(tables.peers, name, what="peer", within=network)
        return rows.peer_of(row, prefix=network.prefix)

    def find_peer(self, network: Network, name: str) -> Peer | None:
        """Return the peer `name` of `network`, or None."""
        try:
            return self.peer(network, name)
        except NotFound:
            return None

    def peer_with_id(self, network: Network, peer_id: int) -> Peer:
        """Return the peer `peer_id` of `network`, which must be there."""
        found = self._having(tables.peers, id=peer_id)[0]
        return rows.peer_of(found, prefix=network.prefix)

    def find_peer_with_id(self, peer_id: int) -> Peer | None:
        """Return the peer `peer_id` of whichever network, or None."""
        for row in self._having(tables.peers, id=peer_id):
            network = self._networks_with([row["network_id"]])[row["network_id"]]
            return rows.peer_of(row, prefix=network.prefix)
        return None

    def add_peer(self, network: Network, gateway: Gateway, new: NewPeerRow) -> Peer:
        """Add a peer to `network`, with the next number of `gateway` there.

        Raises Conflict when the name or the key is taken.
        """
        number = self._next_number(network, gateway.number)
        with taken(
            peers_name=f"peer {new.name!a} exists already in network {network.name!a} "
            f"of org {self.org.slug!a}",
            peers_public_key="this public key belongs to another peer",
        ):
            row = self._rows(
                self._insert(
                    tables.peers,
                    network_id=network.id,
                    gateway_id=gateway.id,
                    gateway_number=gateway.number,
                    number=number,
                    name=new.name,
                    owner=new.owner,
                    public_key=new.public_key.raw,
                    created_at=new.created_at,
                    expires_at=new.expires_at,
                    ephemeral=new.ephemeral,
                    tags=list(new.tags),
                )
            )[0]
        peer = rows.peer_of(row, prefix=network.prefix)
        for tag in peer.tags:
            place = {"network_id": network.id, "peer_id": peer.id}
            self._execute(self._insert(tables.peer_tags, **place, tag=tag, name=peer.name))
        self._record.put(Kind.PEER, peer)
        return peer

    def rekey_peer(self, network: Network, peer: Peer, key: PublicKey) -> Peer:
        """Give `peer` the public key `key`; raises Conflict when it is another's."""
        with taken(peers_public_key="this public key belongs to another peer"):
            return self._change_peer(network, peer, public_key=key.raw)

    def renew_peer(self, network: Network, peer: Peer, *, expires_at: int, ephemeral: bool) -> Peer:
        """Let the time of `peer` be over at `expires_at`; it leaves then if `ephemeral`."""
        return self._change_peer(network, peer, expires_at=expires_at, ephemeral=ephemeral)

    def _change_peer(self, network: Network, peer: Peer, **values: object) -> Peer:
        self.require_own(peer.owner, f"peer {peer.name!a}")
        row = self._rows(self._update(tables.peers, peer.id, **values))[0]
        changed = rows.peer_of(row, prefix=network.prefix)
        self._record.put(Kind.PEER, changed, before=peer)
        return changed

    def remove_peer(self, peer: Peer) -> None:
        """Remove `peer` and the machines on it; its number is not given out again."""
        self.require_own(peer.owner, f"peer {peer.name!a}")
        self._record_gone(self.machines_on(peer))
        self.set_seal(peer, None)
        self.end_tokens_for([peer])
        self._execute(self._delete(tables.peers, peer.id))
        self._record.delete(Kind.PEER, peer)

    def seals(self, *, network: Network) -> list[Seal]:
        """Return the sealed preshared keys of the peers of `network`, by id."""
        return [rows.seal_of(row) for row in self._every(tables.seals, network)]

    def seal(self, peer: Peer) -> Seal | None:
        """Return the sealed preshared key of `peer`, None if it has none."""
        found = self._having(tables.seals, peer_id=peer.id)
        return rows.seal_of(found[0]) if found else None

    def set_seal(self, peer: Peer, sealed: SealedKey | None) -> None:
        """Give `peer` this sealed preshared key in the place of its last one; None: no key."""
        self.require_own(peer.owner, f"peer {peer.name!a}")
        last = self.seal(peer)
        if last is not None:
            self._execute(self._delete(tables.seals, last.id))
            self._record.delete(Kind.SEAL, last)
        if sealed is not None:
            row = self._rows(
                self._insert(
                    tables.seals,
                    network_id=peer.network_id,
                    peer_id=peer.id,
                    sealed=sealed.raw,
                )
            )[0]
            self._record.put(Kind.SEAL, rows.seal_of(row))

    def count_peers(self, *, network: Network | None = None, owner: str | None = None) -> int:
        """Count the peers of the org, of one network or of one owner."""
        if owner is not None:
            return self._count(tables.peers, tables.peers.c.owner == owner)
        if network is None and self.caller.networks is None:
            return self._count(tables.peers)
        within = self.networks() if network is None else [network]
        return sum(self._count_in(tables.peers, one) for one in within)
