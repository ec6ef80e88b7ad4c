from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.store import samples
from wgctl.store.store import Store


@pytest.fixture(scope="session")
def furnished_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return samples.furnish(tmp_path_factory.mktemp("template"))


@pytest.fixture
def store(furnished_store: Path, tmp_path: Path) -> Iterator[Store]:
    """A store with a gateway and the orgs `acme` and `globex`."""
    yield from samples.opened(furnished_store, tmp_path)
