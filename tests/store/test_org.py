from collections.abc import Callable

import pytest
from sqlalchemy import select

from peers.names import Label
from tests.store.samples import NOW, add_peer, engine, key, machine_row
from wgctl.core.errors import Conflict
from wgctl.core.feed import Delete, Kind
from wgctl.core.model import Org
from wgctl.services import network as networks
from wgctl.services import org as orgs
from wgctl.store import tables
from wgctl.store.org import OrgDoor
from wgctl.store.rows import NewPeerRow
from wgctl.store.store import Store


def _remove_machine(door: OrgDoor) -> None:
    door.remove_machine(door.machine(door.network("default"), "one"))


def _remove_app(door: OrgDoor) -> None:
    network = door.network("default")
    door.remove_app(network, door.app(network, "web"))


def _remove_peer(door: OrgDoor) -> None:
    network = door.network("default")
    door.remove_peer(door.peers(network=network)[0])


def _remove_network(door: OrgDoor) -> None:
    door.remove_network(door.network("default"))


@pytest.mark.parametrize(
    ("remove", "gone"),
    [
        (_remove_machine, {Kind.MACHINE: 1, Kind.CHECK: 1}),
        (_remove_app, {Kind.MACHINE: 2, Kind.CHECK: 2, Kind.APP: 1}),
        (_remove_peer, {Kind.MACHINE: 2, Kind.CHECK: 2, Kind.PEER: 1, Kind.SEAL: 1}),
        (
            _remove_network,
            {
                Kind.MACHINE: 2,
                Kind.CHECK: 2,
                Kind.APP: 1,
                Kind.PEER: 2,
                Kind.SEAL: 1,
                Kind.NETWORK: 1,
            },
        ),
    ],
)
def test_each_row_that_goes_is_a_change_and_no_other_orgs_row_goes(
    furnished: Store, remove: Callable[[OrgDoor], None], gone: dict[Kind, int]
) -> None:
    before, others = _rows(furnished, "acme"), _rows(furnished, "globex")
    with furnished.writing() as deployment:
        since = deployment.revision - 1
        remove(deployment.owned_by("acme"))
    with furnished.reading() as deployment:
        changes = list(
            deployment.changes(since=since, until=deployment.revision, kinds=frozenset(Kind))
        )

    deleted = {(c.kind, c.id) for c in changes if isinstance(c, Delete)}
    assert len(deleted) == len(changes)
    assert {kind: sum(k is kind for k, _ in deleted) for kind, _ in deleted} == gone
    assert deleted == before - _rows(furnished, "acme")
    assert others
    assert _rows(furnished, "globex") == others


def test_removing_an_org_leaves_every_byte_of_the_others(furnished: Store) -> None:
    acme, globex = (orgs.shown(furnished, slug).org.id for slug in ("acme", "globex"))
    before = _bytes(furnished, globex)
    orgs.remove(furnished, "acme")

    assert all(before.values())
    assert _bytes(furnished, globex) == before
    assert not any(_bytes(furnished, acme).values())


def test_a_peer_number_is_never_given_out_again(store: Store) -> None:
    with store.writing() as deployment:
        door, gateway = deployment.owned_by("acme"), deployment.gateways()[0]
        network = door.network("default")
        given = []
        for number in range(3):
            peer = door.add_peer(network, gateway, _peer(number))
            given.append(int(peer.address) & 0xFFFF)
            door.remove_peer(peer)

    assert given == [2, 3, 4]


def test_no_id_is_ever_given_out_again(store: Store) -> None:
    ids: list[tuple[int, int, int]] = []
    for number in range(2):
        orgs.add(store, Label("third"), now=NOW)
        facts = add_peer(store, "third", number)
        ids.append((facts.peer.org_id, facts.network.id, facts.peer.id))
        orgs.remove(store, "third")

    assert all(later > earlier for earlier, later in zip(*ids, strict=True))


def test_a_network_id_stays_spent_after_its_network_is_gone(store: Store) -> None:
    with store.writing() as deployment:
        door = deployment.owned_by("acme")
        first = door.add_network(Label("lab"), number=7, now=NOW)
        assert first is not None
        door.remove_network(first)

        assert door.add_network(Label("lab"), number=7, now=NOW) is None
        assert door.add_network(Label("lab"), number=8, now=NOW) is not None


@pytest.mark.parametrize(
    ("add", "said"),
    [
        (lambda d: d.add_network(Label("default"), number=9, now=NOW), "network 'default' exists"),
        (lambda d: d.add_app(d.network("default"), Label("web"), now=NOW), "app 'web' exists"),
        (
            lambda d: d.add_machine(*_app_and_peer(d), machine_row("one")),
            "machine 'one' exists already",
        ),
    ],
)
def test_a_taken_name_is_a_conflict(
    furnished: Store, add: Callable[[OrgDoor], object], said: str
) -> None:
    with furnished.writing() as deployment, pytest.raises(Conflict, match=said):
        add(deployment.owned_by("acme"))


@pytest.mark.parametrize(
    ("name", "number", "said"), [("peer-0", 77, "peer 'peer-0' exists"), ("new", 0, "public key")]
)
def test_a_taken_peer_name_or_key_is_a_conflict(
    furnished: Store, name: str, number: int, said: str
) -> None:
    new = NewPeerRow(
        name=Label(name), owner="o", public_key=key(number), created_at=NOW, expires_at=None
    )

    with furnished.writing() as deployment:
        door = deployment.owned_by("acme")
        network, gateway = door.network("default"), deployment.gateways()[0]

        with pytest.raises(Conflict, match=said):
            door.add_peer(network, gateway, new)


def test_the_same_name_is_free_in_another_network_and_another_org(furnished: Store) -> None:
    networks.add(furnished, "acme", Label("lab"), now=NOW)
    with furnished.writing() as deployment:
        door = deployment.owned_by("acme")
        lab = door.add_app(door.network("lab"), Label("web"), now=NOW)
        other = deployment.owned_by("globex")

        assert lab.id != other.app(other.network("default"), "web").id


def test_pages_of_peers_meet_without_gap_or_overlap(store: Store) -> None:
    networks.add(store, "acme", Label("lab"), now=NOW)
    for number in range(10):
        add_peer(store, "acme", number, network="default")
    with store.writing() as deployment:
        door = deployment.owned_by("acme")
        # The same names in a second network: a page may end between two that are alike.
        for number in range(10):
            row = NewPeerRow(
                name=Label(f"peer-{number}"),
                owner="o",
                public_key=key(50 + number),
                created_at=NOW,
                expires_at=None,
                tags=(Label("ci"),),
            )
            door.add_peer(door.network("lab"), deployment.gateways()[0], row)
        walked, after = [], ("", 0)
        while page := door.peers(after=after, limit=3):
            walked += page
            after = (page[-1].name, page[-1].id)

        assert walked == door.peers()
    assert len(walked) == 20


def test_a_rekeyed_peer_keeps_its_address_and_id(furnished: Store) -> None:
    with furnished.writing() as deployment:
        door = deployment.owned_by("acme")
        network = door.network("default")
        peer = door.peer(network, "peer-0")
        changed = door.rekey_peer(network, peer, key(99))

    assert (changed.id, changed.address) == (peer.id, peer.address)
    assert changed.public_key == key(99)


def _peer(number: int) -> NewPeerRow:
    return NewPeerRow(
        name=Label("laptop"), owner="o", public_key=key(number), created_at=NOW, expires_at=None
    )


def _app_and_peer(door: OrgDoor):  # type: ignore[no-untyped-def]  # noqa: ANN202  # unpacked at once
    network = door.network("default")
    return door.app(network, "web"), door.peers(network=network)[0]


def _rows(store: Store, slug: str) -> set[tuple[Kind, int]]:
    """Return what the org `slug` owns, as the feed tells it: not through the door."""
    with store.reading() as deployment:
        rows = {(put.kind, put.row.id): put.row for put in deployment.snapshot(frozenset(Kind))}
    (org_id,) = (row.id for row in rows.values() if isinstance(row, Org) and row.slug == slug)
    return {place for place, row in rows.items() if getattr(row, "org_id", None) == org_id}


def _bytes(store: Store, org_id: int) -> dict[str, list[str]]:
    """Return every row that an org owns, by table."""
    opened = engine(store.path)
    with opened.connect() as connection:
        found = {
            table.name: sorted(
                map(repr, connection.execute(select(table).where(table.c.org_id == org_id)))
            )
            for table in tables.metadata.sorted_tables
            if "org_id" in table.c
        }
    opened.dispose()
    return found
