import pytest

from peers.names import Label
from tests.store.samples import NOW, add_peer
from wgctl.core.errors import Conflict, NotFound
from wgctl.core.model import MachineState
from wgctl.services import app, machine, network
from wgctl.services.machine import NewMachine
from wgctl.store.store import Store


def _add_machine(store: Store, name: str) -> None:
    new = NewMachine(
        network=Label("default"),
        app=Label("web"),
        peer=Label("peer-1"),
        name=Label(name),
        region=None,
        process_group=Label("app"),
        ports=(),
        metadata={},
    )
    machine.add(store, "acme", new, now=NOW)


def test_an_app_is_added_once_in_each_network(store: Store) -> None:
    network.add(store, "acme", Label("lab"), now=NOW)
    for place in ("default", "lab"):
        added = app.add(store, "acme", place, Label("web"), now=NOW)

        assert added == app.shown(store, "acme", place, "web")
        with pytest.raises(Conflict, match="app 'web' exists"):
            app.add(store, "acme", place, Label("web"), now=NOW)
    assert [facts.network.name for facts in app.listed(store, "acme", network=None)] == [
        "default",
        "lab",
    ]


def test_facts_count_machines_and_started_ones(store: Store) -> None:
    add_peer(store, "acme", 1)
    app.add(store, "acme", "default", Label("web"), now=NOW)
    app.add(store, "acme", "default", Label("idle"), now=NOW)
    for name in ("one", "two"):
        _add_machine(store, name)
    machine.set_state(store, "acme", "default", "two", MachineState.STOPPED)
    found = app.listed(store, "acme", network="default")

    assert [(f.app.name, f.machines, f.started) for f in found] == [("idle", 0, 0), ("web", 2, 1)]


def test_a_removed_app_takes_its_machines_along(store: Store) -> None:
    add_peer(store, "acme", 1)
    app.add(store, "acme", "default", Label("web"), now=NOW)
    _add_machine(store, "one")
    app.remove(store, "acme", "default", "web")

    assert machine.listed(store, "acme", network=None, app=None) == []
    with pytest.raises(NotFound, match="no app 'web'"):
        app.shown(store, "acme", "default", "web")


def _address(facts: app.AppFacts) -> int | None:
    """Return the part of the service address behind its network's prefix."""
    found = facts.app.service_address
    return None if found is None else int(found) - int(facts.network.prefix[0])


def test_service_addresses_are_counted_in_each_network_and_never_given_out_again(
    store: Store,
) -> None:
    network.add(store, "acme", Label("lab"), now=NOW)
    given = []
    for place, name in (("default", "web"), ("default", "db"), ("lab", "web")):
        facts = app.add(store, "acme", place, Label(name), now=NOW, flycast=True)
        assert facts == app.shown(store, "acme", place, name)
        given.append(_address(facts))
    app.remove(store, "acme", "default", "db")
    given += [
        _address(app.set_flycast(store, "acme", "default", "web", flycast=flycast))
        for flycast in (False, True, True)
    ]

    assert given == [1 << 64 | 2, 1 << 64 | 3, 1 << 64 | 2, None, 1 << 64 | 4, 1 << 64 | 4]
    assert _address(app.add(store, "acme", "default", Label("cache"), now=NOW)) is None


def test_a_service_address_that_is_as_it_was_is_no_change(store: Store) -> None:
    app.add(store, "acme", "default", Label("web"), now=NOW, flycast=True)
    with store.reading() as deployment:
        before = deployment.revision
    app.set_flycast(store, "acme", "default", "web", flycast=True)

    with store.reading() as deployment:
        assert deployment.revision == before
    with pytest.raises(NotFound):
        app.set_flycast(store, "acme", "default", "none", flycast=True)


@pytest.mark.parametrize("slug", ["globex", "none"])
def test_an_app_of_another_org_is_not_found(store: Store, slug: str) -> None:
    app.add(store, "acme", "default", Label("web"), now=NOW)

    with pytest.raises(NotFound):
        app.shown(store, slug, "default", "web")
    with pytest.raises(NotFound):
        app.remove(store, slug, "default", "web")
