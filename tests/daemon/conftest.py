"""What the tests of roles share: a copy with two networks."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.networks import ROWS, put
from wgctl.store.copy import Copy


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Copy]:
    opened = Copy(tmp_path / "copy.sqlite")
    opened.write([put(row) for row in ROWS], epoch="e", revision=1)
    yield opened
    opened.close()
