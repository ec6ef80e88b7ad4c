import pytest

from peers.names import Label
from tests.store.samples import NOW, add_peer
from wgctl.core.errors import Conflict, NotFound
from wgctl.services import network, org
from wgctl.services.org import FIRST_NETWORK, OrgFacts
from wgctl.store.store import Store


def test_an_org_has_the_network_default_from_the_start(store: Store) -> None:
    added = org.add(store, Label("third"), now=NOW)

    assert added == org.shown(store, "third")
    assert [found.name for found in network.listed(store, "third")] == [FIRST_NETWORK]


def test_a_taken_slug_is_a_conflict_and_makes_no_network(store: Store) -> None:
    with pytest.raises(Conflict, match="org 'acme' exists"):
        org.add(store, Label("acme"), now=NOW)

    assert len(network.listed(store, "acme")) == 1


def test_facts_count_what_the_org_owns(store: Store) -> None:
    network.add(store, "acme", Label("lab"), now=NOW)
    for number in range(3):
        add_peer(store, "acme", number)
    shown = org.shown(store, "acme")

    assert shown == OrgFacts(org=shown.org, networks=2, peers=3)
    assert [facts.peers for facts in org.listed(store, after="", limit=9)] == [3, 0]


def test_a_list_goes_on_past_a_slug(store: Store) -> None:
    slugs = [facts.org.slug for facts in org.listed(store, after="acme", limit=1)]

    assert slugs == ["globex"]


@pytest.mark.parametrize("ask", [org.shown, org.remove])
def test_a_missing_org_is_not_found(store: Store, ask: type[object]) -> None:
    with pytest.raises(NotFound, match="no org 'none'"):
        ask(store, "none")  # type: ignore[call-arg]  # both take a slug


def test_a_removed_org_is_gone_and_its_slug_is_free(store: Store) -> None:
    before = org.shown(store, "acme").org.id
    peers = {add_peer(store, "acme", number).peer.id for number in (1, 2)}
    add_peer(store, "globex", 3)
    assert org.remove(store, "acme") == peers
    with pytest.raises(NotFound):
        org.shown(store, "acme")
    again = org.add(store, Label("acme"), now=NOW)

    assert again.org.id > before
    assert again.peers == 0
