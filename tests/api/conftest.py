from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI

from tests.api.asking import Door, context_of
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


@pytest.fixture(scope="session")
def applications() -> dict[str, FastAPI]:
    """Each application once: making its routes takes longer than all that a test asks of it."""
    return {}


@pytest.fixture
def operators(context: Context, applications: dict[str, FastAPI]) -> Iterator[Door]:
    app = applications.get("operators") or operators_app(context)
    applications["operators"] = app
    app.state.context = context
    with Door(app) as door:
        yield door


@pytest.fixture
def nodes(context: Context, applications: dict[str, FastAPI]) -> Iterator[Door]:
    app = applications.get("nodes") or nodes_app(context)
    applications["nodes"] = app
    app.state.context = context
    with Door(app) as door:
        yield door
