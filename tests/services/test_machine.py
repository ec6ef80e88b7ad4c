from dataclasses import replace

import pytest

from peers.names import Label
from tests.store.samples import CHECK, NOW, add_peer
from wgctl.core.errors import Conflict, NotFound
from wgctl.core.model import MachineState, Port, Protocol
from wgctl.services import app, machine, network, peer
from wgctl.services.machine import NewMachine
from wgctl.store.store import Store

_NEW = NewMachine(
    network=Label("default"),
    app=Label("web"),
    peer=Label("peer-1"),
    name=Label("one"),
    region=Label("fra"),
    process_group=Label("worker"),
    ports=(Port(Label("http"), 8080, Protocol.TCP),),
    metadata={"rack": "r1"},
)


@pytest.fixture(autouse=True)
def furnished(store: Store) -> None:
    """The app `web` and the peer `peer-1` in the network `default` of `acme`."""
    add_peer(store, "acme", 1)
    app.add(store, "acme", "default", Label("web"), now=NOW)


def _revision(store: Store) -> int:
    with store.reading() as deployment:
        return deployment.revision


def test_a_machine_is_added_started_with_what_was_asked_for(store: Store) -> None:
    facts = machine.add(store, "acme", _NEW, now=NOW)
    made = facts.machine

    assert facts == machine.shown(store, "acme", "default", "one")
    assert (facts.app.name, facts.peer.name, facts.network.name) == ("web", "peer-1", "default")
    assert (made.region, made.process_group, made.state) == ("fra", "worker", MachineState.STARTED)
    assert (made.ports, made.metadata) == (_NEW.ports, {"rack": "r1"})


def test_a_machine_without_a_name_or_region_gets_them(store: Store) -> None:
    """The name is as long as Fly's; the region is that of the peer's gateway."""
    new = replace(_NEW, name=None, region=None)
    first, second = (machine.add(store, "acme", new, now=NOW).machine for _ in range(2))

    assert first.name != second.name
    assert len(first.name) == 14
    assert first.region == "ams"


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"network": Label("none")}, "network"),
        ({"app": Label("none")}, "app"),
        ({"peer": Label("none")}, "peer"),
    ],
)
def test_a_missing_network_app_or_peer_is_not_found(
    store: Store, change: dict[str, Label], what: str
) -> None:
    with pytest.raises(NotFound, match=f"no {what} 'none'"):
        machine.add(store, "acme", replace(_NEW, **change), now=NOW)  # type: ignore[arg-type]  # a table


def test_a_peer_of_another_network_or_org_is_not_found(store: Store) -> None:
    network.add(store, "acme", Label("lab"), now=NOW)
    add_peer(store, "acme", 2, network="lab")
    add_peer(store, "globex", 3)

    for name in ("peer-2", "peer-3"):
        with pytest.raises(NotFound, match="no peer"):
            machine.add(store, "acme", replace(_NEW, peer=Label(name)), now=NOW)


def test_a_taken_name_is_a_conflict(store: Store) -> None:
    machine.add(store, "acme", _NEW, now=NOW)

    with pytest.raises(Conflict, match="machine 'one' exists"):
        machine.add(store, "acme", _NEW, now=NOW)


def test_a_machine_stops_and_starts_and_only_that_is_a_change(store: Store) -> None:
    machine.add(store, "acme", _NEW, now=NOW)
    before = _revision(store)
    states = [MachineState.STOPPED, MachineState.STOPPED, MachineState.STARTED]
    seen = [
        machine.set_state(store, "acme", "default", "one", state).machine.state for state in states
    ]

    assert seen == states
    assert _revision(store) == before + 2


def test_a_check_is_put_on_replaced_and_taken_off(store: Store) -> None:
    machine.add(store, "acme", _NEW, now=NOW)
    seen = [
        machine.set_check(store, "acme", "default", "one", new).check
        for new in (CHECK, replace(CHECK, fall=9), None, None)
    ]

    assert [check and check.fall for check in seen] == [3, 9, None, None]
    with pytest.raises(NotFound, match="no machine 'two'"):
        machine.set_check(store, "acme", "default", "two", CHECK)


def test_a_list_shows_each_machines_own_check(store: Store) -> None:
    for name in ("a", "b"):
        machine.add(store, "acme", replace(_NEW, name=Label(name)), now=NOW)
    put = machine.set_check(store, "acme", "default", "b", CHECK)
    found = machine.listed(store, "acme", network=None, app=None)

    assert [facts.check for facts in found] == [None, put.check]
    assert machine.shown(store, "acme", "default", "b") == put


def test_machines_are_listed_by_network_and_name_or_of_one_app(store: Store) -> None:
    network.add(store, "acme", Label("lab"), now=NOW)
    add_peer(store, "acme", 2, network="lab")
    app.add(store, "acme", "lab", Label("web"), now=NOW)
    app.add(store, "acme", "default", Label("api"), now=NOW)
    lab = replace(_NEW, network=Label("lab"), peer=Label("peer-2"), name=Label("a"))
    for new in (lab, _NEW, replace(_NEW, app=Label("api"), name=Label("b"))):
        machine.add(store, "acme", new, now=NOW)

    def names(network: str | None = None, app: str | None = None) -> list[str]:
        found = machine.listed(store, "acme", network=network, app=app)
        return [facts.machine.name for facts in found]

    assert names() == ["b", "one", "a"]
    assert names(network="lab") == ["a"]
    assert names(app="web") == ["one", "a"]
    assert names(app="api", network="default") == ["b"]


@pytest.mark.parametrize(
    ("place", "said"),
    [(None, "in org 'acme'"), ("default", "in network 'default' of org 'acme'")],
)
def test_the_machines_of_a_missing_app_are_not_found(
    store: Store, place: str | None, said: str
) -> None:
    with pytest.raises(NotFound, match=f"no app 'none' {said}"):
        machine.listed(store, "acme", network=place, app="none")


def test_the_machines_of_a_missing_app_are_not_found_without_networks(store: Store) -> None:
    network.remove(store, "globex", "default")

    with pytest.raises(NotFound, match="no app 'web'"):
        machine.listed(store, "globex", network=None, app="web")


def test_a_removed_machine_is_gone(store: Store) -> None:
    machine.add(store, "acme", _NEW, now=NOW)
    machine.remove(store, "acme", "default", "one")

    with pytest.raises(NotFound, match="no machine 'one'"):
        machine.shown(store, "acme", "default", "one")


def test_a_removed_peer_takes_its_machines_along(store: Store) -> None:
    machine.add(store, "acme", _NEW, now=NOW)
    peer.remove(store, "acme", "default", "peer-1")

    assert machine.listed(store, "acme", network=None, app="web") == []
