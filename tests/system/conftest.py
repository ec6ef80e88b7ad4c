"""What the system tests share: labs, each removed whatever happens."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.system.hosts import Lab
from tests.system.naming import Named, named


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """A lab of a file's own."""
    with _made() as lab:
        yield lab


@pytest.fixture(scope="session")
def scene_of_names() -> Iterator[Named]:
    """A network with names of each kind, for all files that only ask."""
    with _made() as lab, named(lab) as made:
        yield made


@contextmanager
def _made() -> Iterator[Lab]:
    # Unix socket paths end at 107 bytes: the test's own temporary path may be longer.
    made = Lab(Path(tempfile.mkdtemp(prefix="wgctl-")))
    try:
        yield made
    finally:
        made.close()
