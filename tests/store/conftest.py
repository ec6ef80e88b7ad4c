from collections.abc import Iterator
from pathlib import Path

import pytest

from peers.names import Label
from tests.store import samples
from wgctl.services import org
from wgctl.store.store import Store


@pytest.fixture
def empty_store(tmp_path: Path) -> Iterator[Store]:
    store = samples.create(tmp_path)
    yield store
    store.close()


@pytest.fixture
def store(empty_store: Store) -> Store:
    """A store with a gateway and the orgs `acme` and `globex`."""
    samples.register(empty_store)
    for slug in ("acme", "globex"):
        org.add(empty_store, Label(slug), now=samples.NOW)
    return empty_store
