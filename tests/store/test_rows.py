from dataclasses import fields

from peers.names import Label
from tests.store.samples import CHECK, NOW, add_peer, key, register
from wgctl.core.feed import Kind
from wgctl.core.model import Check, Gateway, Machine, MachineState, Peer, Port, Protocol
from wgctl.store.rows import NewMachineRow, NewPeerRow, ports_as_json
from wgctl.store.store import Store

_MACHINE = NewMachineRow(
    name=Label("one"),
    region=Label("fra"),
    process_group=Label("worker"),
    ports=(Port(Label("http"), 65535, Protocol.TCP), Port(Label("dns"), 1, Protocol.UDP)),
    metadata={"rack": "r1", "of": "x"},
    created_at=NOW,
)


def test_a_peer_comes_back_as_it_was_written(store: Store) -> None:
    new = NewPeerRow(
        name=Label("laptop"), owner="alice", public_key=key(7), created_at=NOW, expires_at=NOW + 9
    )
    with store.writing() as deployment:
        door, gateway = deployment.owned_by("acme"), deployment.gateways()[0]
        network = door.network("default")
        added = door.add_peer(network, gateway, new)
        found = door.peer(network, "laptop")

    assert found == added
    assert found == Peer(
        id=added.id,
        org_id=network.org_id,
        network_id=network.id,
        gateway_id=gateway.id,
        name=Label("laptop"),
        owner="alice",
        public_key=key(7),
        address=network.prefix[(gateway.number << 64) + 2],
        created_at=NOW,
        expires_at=NOW + 9,
    )


def test_a_machine_comes_back_as_it_was_written(store: Store) -> None:
    peer = add_peer(store, "acme", 1).peer
    with store.writing() as deployment:
        door = deployment.owned_by("acme")
        network = door.network("default")
        app = door.add_app(network, Label("web"), now=NOW)
        added = door.add_machine(app, peer, _MACHINE)
        found = door.machine(network, "one")

    assert found == added
    assert found == Machine(
        id=added.id,
        org_id=network.org_id,
        network_id=network.id,
        app_id=app.id,
        peer_id=peer.id,
        name=Label("one"),
        region=Label("fra"),
        process_group=Label("worker"),
        ports=_MACHINE.ports,
        metadata={"rack": "r1", "of": "x"},
        state=MachineState.STARTED,
        created_at=NOW,
    )


def test_a_check_comes_back_as_it_was_written(store: Store) -> None:
    peer = add_peer(store, "acme", 1).peer
    with store.writing() as deployment:
        door = deployment.owned_by("acme")
        app = door.add_app(door.network("default"), Label("web"), now=NOW)
        machine = door.add_machine(app, peer, _MACHINE)
        written = door.set_check(machine, CHECK)
        told = [put.row for put in deployment.snapshot(frozenset({Kind.CHECK}))]

    assert written is not None
    assert told == [written]
    assert written == Check(
        id=written.id,
        org_id=machine.org_id,
        network_id=machine.network_id,
        machine_id=machine.id,
        **{field.name: getattr(CHECK, field.name) for field in fields(CHECK)},
    )


def test_a_gateway_comes_back_as_it_was_written(store: Store) -> None:
    written: Gateway = register(store, number=3, forwards=True)
    with store.reading() as deployment:
        found = deployment.gateway(written.name)
        told = [put.row for put in deployment.snapshot(frozenset({Kind.GATEWAY}))]

    assert found == written
    assert found.forwards is True
    assert written in told


def test_ports_are_objects_in_json() -> None:
    assert ports_as_json((Port(Label("http"), 80, Protocol.TCP),)) == [
        {"name": "http", "number": 80, "protocol": "tcp"}
    ]
