from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from peers.names import Label
from tests.services.minting import mint
from tests.store import samples
from tests.store.samples import CHECK, NOW, add_peer, key, machine_row, new_peer, sealed_to
from wgctl.core.model import MemberRole
from wgctl.services import peer as peers
from wgctl.store.store import Store


@pytest.fixture(scope="session")
def furnished_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return samples.furnish(tmp_path_factory.mktemp("template"))


@pytest.fixture
def store(furnished_store: Path, tmp_path: Path) -> Iterator[Store]:
    """A store with a gateway and the orgs `acme` and `globex`."""
    yield from samples.opened(furnished_store, tmp_path)


@pytest.fixture
def empty_store(tmp_path: Path) -> Iterator[Store]:
    store = samples.create(tmp_path)
    yield store
    store.close()


@pytest.fixture
def furnished(store: Store) -> Store:
    """The orgs `acme` and `globex`, each with peers, an app and two probed machines on one peer.

    That peer has a preshared key and a tag too, and the org a member with a token.
    """
    for first, slug in ((0, "acme"), (10, "globex")):
        tagged = replace(new_peer(first), tags=(Label("ci"),))
        peers.add(store, slug, tagged, now=NOW)
        add_peer(store, slug, first + 1)
        with store.writing() as deployment:
            door = deployment.owned_by(slug)
            network = door.network("default")
            app = door.add_app(network, Label("web"), now=NOW)
            peer = door.peer(network, f"peer-{first}")
            door.set_seal(peer, sealed_to(key(99), first).sealed)
            for name in ("one", "two"):
                door.set_check(door.add_machine(app, peer, machine_row(name)), CHECK)
            door.add_member(Label("alice"), MemberRole.MEMBER, networks=None, now=NOW)
        mint(store, slug, "cli", owner="alice")
    return store
