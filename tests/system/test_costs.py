"""What a use of the store costs does not grow with what its org has besides.

Counted is what SQLite itself counts, steps of its programs: the same on every machine.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from peers.names import Label
from tests.services.minting import bearer, mint
from tests.store.samples import (
    CHECK,
    NOW,
    create,
    engine,
    key,
    machine_row,
    new_peer,
    pretend_revision,
    register,
    sealed_to,
)
from wgctl.core.model import MachineState, MemberRole, TokenKind
from wgctl.services import app, lease, machine, member, network, org, peer, token
from wgctl.services.listing import START
from wgctl.services.machine import NewMachine
from wgctl.services.peer import NewKey
from wgctl.store.rows import NewPeerRow
from wgctl.store.store import Store

_FEW, _MANY = 10, 500
_NUMBERS = count(1_000_000)
_NETWORKS = ("default", "lab", "shop")


class _Steps:
    """How many steps the connections of a store have taken that were opened since."""

    def __init__(self) -> None:
        self.taken = 0

    def watch(self, connection: Any, _record: object) -> None:
        connection.set_progress_handler(self._take, 1)

    def _take(self) -> int:
        self.taken += 1
        return 0


@pytest.fixture(scope="module")
def steps() -> Iterator[_Steps]:
    found = _Steps()
    event.listen(Engine, "connect", found.watch)
    yield found
    event.remove(Engine, "connect", found.watch)


@pytest.fixture(scope="module", params=["no statistics", "statistics"])
def stores(
    tmp_path_factory: pytest.TempPathFactory, steps: _Steps, request: pytest.FixtureRequest
) -> Iterator[tuple[Store, Store]]:
    """The org `acme` with little in it, and with much; in both, the same few things are alice's.

    wgctl makes no statistics for SQLite to plan by; somebody else may.
    """
    folder = tmp_path_factory.mktemp("costs")
    for size in (_FEW, _MANY):
        _fill(folder / f"{size}", size)
        if request.param == "statistics":
            with engine(folder / f"{size}" / "store.sqlite").begin() as connection:
                connection.exec_driver_sql("ANALYZE")
    made = tuple(Store(folder / f"{size}" / "store.sqlite") for size in (_FEW, _MANY))
    yield (made[0], made[1])
    for store in made:
        store.close()


def _fill(folder: Path, size: int) -> None:
    folder.mkdir()
    store = create(folder)
    gateway = register(store)
    org.add(store, Label("acme"), now=NOW)
    for name in _NETWORKS[1:]:
        network.add(store, "acme", Label(name), now=NOW)
    with store.writing() as deployment:
        door = deployment.owned_by("acme")
        for name in ("alice", "bob"):
            door.add_member(Label(name), MemberRole.ADMIN, networks=None, now=NOW)
        for number in range(size // 2):
            door.add_member(Label(f"a-{number}"), MemberRole.VIEWER, networks=None, now=NOW)
        for number in range(size):
            within = door.network(_NETWORKS[number % len(_NETWORKS)])
            owner = "alice" if number < len(_NETWORKS) else "operator"
            row = NewPeerRow(
                Label(f"peer-{number}"), owner, key(number), NOW, None, tags=_tags(number)
            )
            added = door.add_peer(within, gateway, row)
            door.set_seal(added, sealed_to(gateway.public_key, number).sealed)
            web = door.add_app(within, Label(f"app-{number}"), now=NOW)
            made = door.add_machine(web, added, machine_row(f"machine-{number}"))
            door.set_check(made, CHECK)
    for number in range(size // 2):
        mint(store, "acme", f"cli-{number}")
    mint(store, "acme", "only", kind=TokenKind.PEER, peer=("default", "peer-0"))
    store.close()


def _tags(number: int) -> tuple[Label, ...]:
    """Return `prod` for three peers, and `ci` for one of each network and all of the first."""
    few, many = number < len(_NETWORKS), number % len(_NETWORKS) == 0
    return (*((Label("ci"),) if few or many else ()), *((Label("prod"),) if few else ()))


@dataclass(frozen=True)
class _Thing:
    """A peer that is new, with a machine of an app of its own: all have the name."""

    store: Store
    name: Label


def _thing(store: Store) -> _Thing:
    number = next(_NUMBERS)
    name = Label(f"peer-{number}")
    peer.add(store, "acme", new_peer(number), now=NOW)
    app.add(store, "acme", "default", name, now=NOW)
    machine.add(store, "acme", _new_machine(name), now=NOW)
    return _Thing(store, name)


def _new_machine(name: Label) -> NewMachine:
    return NewMachine(Label("default"), name, name, name, None, Label("app"), (), {})


def _announce(thing: _Thing) -> None:
    at = peer.shown(thing.store, "acme", "default", thing.name).peer.address
    new = replace(_new_machine(thing.name), name=Label(f"{thing.name}-2"))
    found = lease.announce(thing.store, "acme", at, new, lease_s=60, now=NOW)
    lease.end(thing.store, [("acme", found.machine.id)])


def _rekey(thing: _Thing) -> None:
    new = NewKey(key(next(_NUMBERS)), needs_forwarding=False)
    peer.rekey(thing.store, "acme", "default", thing.name, new, now=NOW)


def _peers(store: Store, after: str, **narrowed: Any) -> None:
    seen = store.seen_by(bearer(store, "acme", **narrowed)) if narrowed else store
    assert peer.listed(seen, "acme", network=None, after=(after, 0), limit=3)


def _tagged(store: Store, tag: str, *, network: str | None, count: int) -> None:
    found = peer.listed(store, "acme", network=network, tag=tag, after=("", 0), limit=9)
    assert len(found) == count


def _remove_network(thing: _Thing) -> None:
    name = Label(f"net-{thing.name}")
    network.add(thing.store, "acme", name, now=NOW)
    peer.add(thing.store, "acme", new_peer(next(_NUMBERS), network=name), now=NOW)
    with thing.store.writing() as deployment:
        door = deployment.owned_by("acme")
        door.remove_network(door.network(name))


def _remove_member(thing: _Thing) -> None:
    member.add(thing.store, "acme", thing.name, MemberRole.ADMIN, networks=None, now=NOW)
    member.remove(thing.store, "acme", thing.name)


def _leave(thing: _Thing) -> None:
    number = next(_NUMBERS)
    new = new_peer(number, expires_in_s=1, ephemeral=True)
    peer.add(thing.store, "acme", new, now=NOW - 9)
    assert len(peer.remove_ended(thing.store, now=NOW)) == 1


def _token(thing: _Thing) -> None:
    mint(thing.store, "acme", f"t-{thing.name}", kind=TokenKind.PEER, peer=("default", thing.name))
    peer.remove(thing.store, "acme", "default", thing.name)


def _thousandth(thing: _Thing) -> None:
    """Make a change with which the store forgets what is too old; all that is there stays."""
    with thing.store.reading() as deployment:
        pretend_revision(thing.store.path, deployment.revision // 1000 * 1000 + 5999)
    network.add(thing.store, "acme", thing.name, now=NOW)


def _of_lab(store: Store) -> Store:
    return store.seen_by(bearer(store, "acme", networks=("lab",)))


_USES: dict[str, Callable[[_Thing], object]] = {
    "peer add": lambda t: peer.add(t.store, "acme", new_peer(next(_NUMBERS)), now=NOW),
    "peer show": lambda t: peer.shown(t.store, "acme", "default", t.name),
    "peer rekey": _rekey,
    "peer remove, and its machine": lambda t: peer.remove(t.store, "acme", "default", t.name),
    "peer remove, and its token": _token,
    "peer that leaves": _leave,
    "peer list": lambda t: _peers(t.store, ""),
    "peer list, the end": lambda t: _peers(t.store, "peer-2"),
    "peer list, of a network": lambda t: _peers(t.store, "", networks=("shop",)),
    "peer list, of a tag": lambda t: _tagged(t.store, "prod", network=None, count=3),
    "peer list, of a tag in a network": lambda t: _tagged(t.store, "ci", network="lab", count=1),
    "app show": lambda t: app.shown(t.store, "acme", "default", t.name),
    "app remove": lambda t: app.remove(t.store, "acme", "default", t.name),
    "app list": lambda t: app.listed(t.store, "acme", network=None, after=("shop", ""), limit=3),
    "machine show": lambda t: machine.shown(t.store, "acme", "default", t.name),
    "machine stop": lambda t: machine.set_state(
        t.store, "acme", "default", t.name, MachineState.STOPPED
    ),
    "machine check": lambda t: machine.set_check(t.store, "acme", "default", t.name, CHECK),
    "machine remove": lambda t: machine.remove(t.store, "acme", "default", t.name),
    "machine list": lambda t: machine.listed(
        t.store, "acme", network=None, app=None, after=START, limit=3
    ),
    "machine list, the end": lambda t: machine.listed(
        t.store, "acme", network=None, app=None, after=("shop", ""), limit=3
    ),
    "machine list, of an app": lambda t: machine.listed(t.store, "acme", network=None, app=t.name),
    "machine list, of a network": lambda t: machine.listed(
        _of_lab(t.store), "acme", network="lab", app=None, limit=3
    ),
    "lease": _announce,
    "member show": lambda t: member.shown(t.store, "acme", "alice"),
    "member list": lambda t: member.listed(t.store, "acme", limit=3),
    "member list, the end": lambda t: member.listed(t.store, "acme", after="alice", limit=1),
    "member set-role": lambda t: member.change(t.store, "acme", "bob", role=MemberRole.VIEWER),
    "member remove": _remove_member,
    "token show": lambda t: token.shown(t.store, "acme", "only"),
    "token list, the end": lambda t: token.listed(t.store, "acme", after="cli-4", limit=1),
    "network remove": _remove_network,
    "each thousandth change": _thousandth,
}


@pytest.mark.parametrize("use", _USES)
def test_it_costs_no_more_in_a_large_org(
    stores: tuple[Store, Store], steps: _Steps, use: str
) -> None:
    costs = []
    for store in stores:
        thing = _thing(store)
        before = steps.taken
        _USES[use](thing)
        costs.append(steps.taken - before)

    few, many = costs
    assert few > 0
    assert many <= 1.5 * few + 50, f"{few} and {many} steps"
