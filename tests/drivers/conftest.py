"""What the tests of drivers share: a network namespace of their own, and one beside it."""

from collections.abc import Iterator

import pytest

from tests.drivers.lan import Lan, joined
from tests.drivers.namespaces import Namespace, namespaced


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    with namespaced() as made:
        yield made


@pytest.fixture
def lan(namespace: Namespace) -> Iterator[Lan]:
    with joined(namespace) as made:
        yield made
