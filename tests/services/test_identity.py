from collections.abc import Iterator
from ipaddress import IPv6Address
from pathlib import Path

import pytest

from tests.store.samples import NOW, new_peer
from wgctl.core.feed import NEEDS, Delete, Kind
from wgctl.core.model import Role
from wgctl.core.schema import SelfReply
from wgctl.services import peer
from wgctl.services.identity import who
from wgctl.store.copy import Copy
from wgctl.store.store import Store


@pytest.fixture
def copy(store: Store, tmp_path: Path) -> Iterator[Copy]:
    """The internal API's copy of a store with one peer that expires."""
    peer.add(store, "acme", new_peer(1, expires_in_s=60), now=NOW)
    opened = Copy(tmp_path / "copy")
    with store.reading() as deployment:
        rows = list(deployment.snapshot(NEEDS[Role.INTERNAL_API]))
    opened.write(rows, epoch="e", revision=1)
    yield opened
    opened.close()


def test_a_peer_is_known_by_its_address_until_it_expires(store: Store, copy: Copy) -> None:
    address = peer.shown(store, "acme", "default", "peer-1").peer.address
    expected = SelfReply(org="acme", network="default", peer="peer-1", address=address)

    assert who(copy, address, now=NOW + 59) == expected
    assert who(copy, address, now=NOW + 60) is None


def test_other_addresses_are_nobody(store: Store, copy: Copy) -> None:
    facts = peer.shown(store, "acme", "default", "peer-1")
    others = [facts.network.resolver, facts.peer.address + 1, IPv6Address("::1")]

    assert [who(copy, other, now=NOW) for other in others] == [None] * 3


@pytest.mark.parametrize("kind", [Kind.ORG, Kind.NETWORK])
def test_a_peer_whose_org_or_network_is_unknown_is_nobody(
    store: Store, copy: Copy, kind: Kind
) -> None:
    facts = peer.shown(store, "acme", "default", "peer-1").peer
    row_id = facts.org_id if kind is Kind.ORG else facts.network_id
    copy.write([Delete(kind, row_id)], epoch="e", revision=2)

    assert who(copy, facts.address, now=NOW) is None
