"""What the tests of roles share: a copy with two networks, a gateway on demand."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.networks import ROWS, put
from tests.daemon.visiting import Scene, peer, scene
from wgctl.store.copy import Copy


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Copy]:
    opened = Copy(tmp_path / "copy.sqlite")
    opened.write([put(row) for row in ROWS], epoch="e", revision=1)
    yield opened
    opened.close()


@pytest.fixture
def begun(tmp_path: Path) -> Iterator[Scene]:
    """Three peers are registered, and nobody was here."""
    with scene(tmp_path) as made:
        made.fill(peer(0), peer(1), peer(2))
        made.start()
        yield made
