from pathlib import Path

from structlog.testing import capture_logs

from peers.names import Label
from wgctl.core.lease import Standing
from wgctl.core.model import Machine, MachineState
from wgctl.daemon.endings import Endings
from wgctl.drivers.lease_file import write

WORDS = Label("m"), Label("ams"), Label("app")
ROWS = [
    Machine(id_, 1, 1, 1, 1, *WORDS, (), {}, MachineState.STARTED, 0, lease_s=15) for id_ in (7, 8)
]


def test_leases_end_where_the_file_says_so_and_begin_again_where_it_does(tmp_path: Path) -> None:
    path, now = tmp_path / "standings", 100.0
    endings = Endings(path, clock=lambda: now)
    write(path, {7: Standing(105.0, True, "a"), 8: Standing(110.0, True, "b")})

    assert endings.among(ROWS) == frozenset()
    now = 105.0
    assert endings.among(ROWS) == {7}
    write(path, {7: Standing(115.0, True, "a"), 8: Standing(110.0, True, "b")})
    now = 110.0
    assert endings.among(ROWS) == {8}


def test_a_file_that_cannot_be_read_is_told_once_and_what_was_heard_last_holds(
    tmp_path: Path,
) -> None:
    path = tmp_path / "standings"
    endings = Endings(path, clock=lambda: 100.0)
    write(path, {7: Standing(99.0, True, "a")})
    assert endings.among(ROWS) == {7}

    with capture_logs() as logs:
        for text in ("damaged", "damaged"):
            path.unlink()
            path.write_text(text)
            assert endings.among(ROWS) == {7}

    assert [log["event"] for log in logs] == ["leases not read"]


def test_a_lease_that_was_never_heard_of_lasts_from_when_its_machine_came(tmp_path: Path) -> None:
    now = 100.0
    endings = Endings(tmp_path / "nothing", clock=lambda: now)
    assert endings.among(ROWS) == frozenset()

    now = 110.0
    assert endings.among(ROWS[:1]) == frozenset()
    now = 116.0
    assert endings.among(ROWS) == {7}
