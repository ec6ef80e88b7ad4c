"""What the system tests share: a lab of their own, removed whatever happens."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.hosts import Lab


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    # Unix socket paths end at 107 bytes: the test's own temporary path may be longer.
    made = Lab(Path(tempfile.mkdtemp(prefix="wgctl-")))
    try:
        yield made
    finally:
        made.close()
