"""What the tests of drivers share: a network namespace of their own."""

from collections.abc import Iterator

import pytest

from tests.drivers.namespaces import Namespace, namespaced


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    with namespaced() as made:
        yield made
