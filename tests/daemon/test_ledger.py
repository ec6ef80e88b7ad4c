from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from wgctl.core.health import Health, Record
from wgctl.daemon.ledger import Ledger
from wgctl.store.health import HealthFile


@pytest.fixture
def file(tmp_path: Path) -> Iterator[HealthFile]:
    opened = HealthFile(tmp_path / "health.sqlite")
    yield opened
    opened.close()


def record(machine_id: int) -> Record:
    return Record(machine_id).moved(Health.HEALTHY, at=machine_id, reason="tcp 80: connected")


def tell(ledger: Ledger) -> set[int]:
    """Tell one batch, and return whose."""
    batch = ledger.batch()
    ledger.told(batch)
    return {one.machine_id for one in batch}


def test_what_it_holds_outlives_it_and_is_told_anew(file: HealthFile) -> None:
    first = Ledger(file)
    first.note(record(1))
    first.note(record(2))
    first.forget([2])
    tell(first)
    second = Ledger(file)

    assert not first.untold
    assert second.of(1) == record(1)
    assert second.of(2) == Record(2)
    assert second.untold
    assert second.batch() == [record(1)]


def test_news_come_first_and_then_all_in_turns(file: HealthFile) -> None:
    ledger = Ledger(file)
    for machine_id in range(250):
        ledger.note(record(machine_id))
    while ledger.untold:
        assert len(tell(ledger)) == 100
    ledger.note(record(7).moved(Health.UNHEALTHY, at=9, reason="tcp 80: no answer"))
    batches = [tell(ledger) for _ in range(4)]

    assert 7 in batches[0]
    assert all(len(batch) == 100 for batch in batches)
    assert set.union(*batches) == set(range(250))


def test_what_changed_while_it_was_told_is_still_news(file: HealthFile) -> None:
    ledger = Ledger(file)
    ledger.note(record(1))
    batch = ledger.batch()
    ledger.note(record(1).moved(Health.UNHEALTHY, at=9, reason="tcp 80: no answer"))
    ledger.told(batch)

    assert ledger.untold


def test_a_controller_that_was_away_is_told_everything(file: HealthFile) -> None:
    ledger = Ledger(file)
    for machine_id in (1, 2):
        ledger.note(record(machine_id))
    tell(ledger)
    ledger.untell()

    assert ledger.untold
    assert tell(ledger) == {1, 2}


def test_only_machines_that_are_probed_are_kept(file: HealthFile) -> None:
    ledger = Ledger(file)
    for machine_id in (1, 2, 3):
        ledger.note(record(machine_id))
    ledger.keep({2, 5})

    assert [one.machine_id for one in ledger.batch()] == [2]
    assert [one.machine_id for one in file.read()] == [2]


def test_a_file_that_cannot_be_written_costs_memory_alone(file: HealthFile, tmp_path: Path) -> None:
    """A full disk must not end the answers."""
    ledger = Ledger(file)
    (tmp_path / "health.sqlite").unlink()
    file.close()
    ledger.note(record(1))

    assert ledger.of(1) == record(1)


def test_a_file_that_cannot_be_read_is_done_without(tmp_path: Path) -> None:
    """A resolver must start, whatever became of it."""
    path = tmp_path / "spoiled.sqlite"
    with closing(HealthFile(path)) as file:
        file.write(record(1))
    path.write_bytes(path.read_bytes()[:4096] + b"\xff" * 4096)
    with closing(HealthFile(path)) as file:
        ledger = Ledger(file)
        ledger.note(record(2))

        assert (ledger.of(1).health, ledger.of(2)) == (Record(1).health, record(2))
        assert [one.machine_id for one in file.read()] == [2]
