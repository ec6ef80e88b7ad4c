"""What the system tests share: labs, each removed whatever happens."""

from collections.abc import Iterator

import pytest

from tests.system.forks import ForkedGateway
from tests.system.hosts import Lab, made_lab
from tests.system.naming import Named, named


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """A lab of a file's own."""
    with made_lab(ForkedGateway) as lab:
        yield lab


@pytest.fixture(scope="session")
def scene_of_names() -> Iterator[Named]:
    """A network with names of each kind, for all files that only ask."""
    with made_lab(ForkedGateway) as lab, named(lab) as made:
        yield made
