"""What a change touches; that every change leads to the whole is a law of `test_roster`."""

from ipaddress import IPv6Address, IPv6Network

import pytest

from peers.keys import PrivateKey
from peers.names import Label
from wgctl.core.feed import Delete, Kind, Put
from wgctl.core.model import App, Machine, MachineState, Peer
from wgctl.core.service import Service, Services

NET = IPv6Network("fdaa:0:1::/48")
KEY = PrivateKey.generate().public()


def app(id_: int, *, number: int | None = 2) -> App:
    address = None if number is None else NET[(1 << 64) + number]
    return App(id_, 1, 1, Label(f"a{id_}"), 0, address)


def machine(id_: int, *, of: int, on: int, started: bool = True) -> Machine:
    state = MachineState.STARTED if started else MachineState.STOPPED
    words = Label(f"m{id_}"), Label("ams"), Label("app")
    return Machine(id_, 1, 1, of, on, *words, (), {}, state, 0)


def address(peer_id: int) -> IPv6Address:
    return NET[(16 << 64) + peer_id]


def reach(peer_id: int, *, network_id: int = 1) -> Peer | None:
    """Give every peer but number 9."""
    at = address(peer_id)
    peer = Peer(peer_id, 1, network_id, 1, Label("p"), "operator", KEY, at, 0, None)
    return None if peer_id == 9 else peer


SAMPLE = Services()
SAMPLE.replace(
    [app(1), app(2, number=None), app(3, number=3)],
    [
        machine(1, of=1, on=7),
        machine(2, of=1, on=5),
        machine(3, of=1, on=5),
        machine(4, of=1, on=9),
        machine(5, of=1, on=6, started=False),
        machine(6, of=2, on=8),
        machine(7, of=3, on=7),
    ],
)


def test_a_service_has_the_addresses_of_its_started_machines_each_once_and_in_order() -> None:
    assert SAMPLE.list({1, 2, 4}, reach) == [
        Service(NET[(1 << 64) + 2], (address(5), address(7))),
    ]


def test_a_peer_of_another_network_is_behind_no_service() -> None:
    (found,) = SAMPLE.list({1}, lambda id_: reach(id_, network_id=2))

    assert found.machines == ()


@pytest.mark.parametrize(
    ("event", "touched"),
    [
        (Put(Kind.APP, app(2)), {2}),
        (Put(Kind.APP, app(9)), {9}),
        (Delete(Kind.APP, 3), {1, 3}),
        (Put(Kind.MACHINE, machine(6, of=2, on=8)), {2}),
        # What shares a peer with it comes along.
        (Put(Kind.MACHINE, machine(1, of=1, on=7)), {1, 3}),
        (Delete(Kind.MACHINE, 7), {1, 3}),
        # The first on its peer: its app is not yet among those of the peer.
        (Put(Kind.MACHINE, machine(8, of=3, on=4)), {3}),
        (Delete(Kind.MACHINE, 99), set()),
        (Delete(Kind.PEER, 7), set()),
    ],
)
def test_a_change_touches_its_app_and_those_on_the_same_peers(
    event: Put | Delete, touched: set[int]
) -> None:
    assert SAMPLE.touched([event], []) - {2} == touched - {2}
    assert SAMPLE.touched([event], []) >= touched


def test_a_peer_touches_the_apps_of_its_machines() -> None:
    assert SAMPLE.touched([], [7]) == {1, 3}
    assert SAMPLE.touched([], [9, 8]) == {1, 2}
    assert SAMPLE.touched([], [1]) == set()


def test_every_app_with_an_address_is_a_service() -> None:
    assert SAMPLE.every() == {1, 3}
