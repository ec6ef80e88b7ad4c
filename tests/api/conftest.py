from collections.abc import Iterator
from pathlib import Path

import pytest

from peers.names import Label
from tests.store import samples
from wgctl.services import org
from wgctl.store.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store with a gateway and the orgs `acme` and `globex`."""
    store = samples.create(tmp_path)
    samples.register(store)
    for slug in ("acme", "globex"):
        org.add(store, Label(slug), now=samples.NOW)
    yield store
    store.close()
