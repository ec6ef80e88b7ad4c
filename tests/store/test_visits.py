from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from wgctl.core.presence import Visit
from wgctl.store.visits import VisitFile

FIRST = Visit(1, b"k" * 32, b"t" * 12, "192.0.2.1:9", 1000, received_bytes=3, sent_bytes=4)
SECOND = Visit(2, b"l" * 32, b"", None, None, received_bytes=0, sent_bytes=0)


@pytest.fixture
def file(tmp_path: Path) -> Iterator[VisitFile]:
    with closing(VisitFile(tmp_path / "visits.sqlite")) as made:
        yield made


def test_visits_outlive_the_process(tmp_path: Path) -> None:
    path = tmp_path / "visits.sqlite"
    with closing(VisitFile(path)) as first:
        first.write([FIRST, SECOND])
    with closing(VisitFile(path)) as second:
        found = [second.find(id_) for id_ in (1, 2, 3)]

    assert found == [FIRST, SECOND, None]
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_last_visit_of_a_peer_is_kept(file: VisitFile) -> None:
    later = replace(FIRST, sent_bytes=5)
    file.write([FIRST])
    file.write([later])

    assert file.find(1) == later


def test_visits_are_told_in_turn(file: VisitFile) -> None:
    file.write([SECOND, FIRST])

    assert file.some(after=0, most=1) == [FIRST]
    assert file.some(after=1, most=9) == [SECOND]
    assert file.some(after=2, most=9) == []


def test_what_is_forgotten_is_gone(file: VisitFile) -> None:
    file.write([FIRST, SECOND])
    file.forget([1, 7])

    assert (file.find(1), file.find(2)) == (None, SECOND)


def test_what_cannot_be_read_of_a_visit_is_as_if_it_was_not(
    file: VisitFile, tmp_path: Path
) -> None:
    """A text is one bit away from as many bytes, and compares with none."""
    file.write([FIRST, SECOND])
    file.close()
    path = tmp_path / "visits.sqlite"
    as_bytes, as_text = bytes((76, 36)), bytes((76, 37))  # 32 bytes, then 12 of this type.
    spoiled = path.read_bytes().replace(as_bytes, as_text)
    assert spoiled != path.read_bytes()
    path.write_bytes(spoiled)

    with closing(VisitFile(path)) as found:
        assert (found.find(1), found.find(2)) == (None, SECOND)
        assert found.some(after=0, most=9) == [SECOND]
