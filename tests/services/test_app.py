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


@pytest.mark.parametrize("slug", ["globex", "none"])
def test_an_app_of_another_org_is_not_found(store: Store, slug: str) -> None:
    app.add(store, "acme", "default", Label("web"), now=NOW)

    with pytest.raises(NotFound):
        app.shown(store, slug, "default", "web")
    with pytest.raises(NotFound):
        app.remove(store, slug, "default", "web")
