from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.api.asking import context_of
from tests.store import samples
from wgctl.api.context import Context
from wgctl.api.nodes import nodes_app
from wgctl.api.operators import operators_app
from wgctl.store.store import Store


@pytest.fixture(scope="session")
def furnished_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return samples.furnish(tmp_path_factory.mktemp("template"))


@pytest.fixture
def store(furnished_store: Path, tmp_path: Path) -> Iterator[Store]:
    """A store with a gateway and the orgs `acme` and `globex`."""
    yield from samples.opened(furnished_store, tmp_path)


@pytest.fixture
def context(store: Store) -> Context:
    return context_of(store)


@pytest.fixture
def operators(context: Context) -> Iterator[TestClient]:
    with TestClient(operators_app(context)) as client:
        yield client


@pytest.fixture
def nodes(context: Context) -> Iterator[TestClient]:
    with TestClient(nodes_app(context)) as client:
        yield client
