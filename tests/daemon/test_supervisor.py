import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.daemon.running import ROOT, until
from tests.patience import HANG_S
from wgctl.core.model import Role

# Runs the real supervisor in a folder where `python -m wgctl` is the stand-in below.
_SUPERVISOR = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from wgctl.daemon.supervisor import serve
sys.exit(serve(Path(sys.argv[2])))
"""

_ROLE = """
import os, signal, sys
from pathlib import Path
role = sys.argv[-1]
def stop(_signum, _frame):
    Path(f"{role}.stopped").write_text(" ".join(sys.argv[1:]))
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
Path(f"{role}.{os.getpid()}.pid").touch()
while True:
    signal.pause()
"""

_ROLES = {role.value for role in Role}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "wgctl").mkdir()
    (tmp_path / "wgctl" / "__init__.py").touch()
    (tmp_path / "wgctl" / "__main__.py").write_text(_ROLE)
    return tmp_path


@contextmanager
def _supervising(folder: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", _SUPERVISOR, str(ROOT), "/some/wgctl.toml"],
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()
            for pids in _pids(folder).values():
                for pid in pids:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)


def _pids(folder: Path) -> dict[str, list[int]]:
    """Return the pids that each role ever had and that are alive."""
    found: dict[str, list[int]] = {}
    for path in folder.glob("*.pid"):
        role, pid, _ = path.name.split(".")
        if Path(f"/proc/{pid}").exists():
            found.setdefault(role, []).append(int(pid))
    return found


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_it_runs_every_role_and_stops_them_when_it_is_stopped(
    folder: Path, signum: signal.Signals
) -> None:
    with _supervising(folder) as process:
        until(lambda: _pids(folder).keys() == _ROLES)
        process.send_signal(signum)
        process.communicate(timeout=HANG_S)
        left = _pids(folder)

    assert process.returncode == 0
    assert left == {}
    assert {path.name: path.read_text() for path in folder.glob("*.stopped")} == {
        f"{role}.stopped": f"--config /some/wgctl.toml run {role}" for role in _ROLES
    }


def test_a_role_that_dies_comes_back_and_no_other_is_touched(folder: Path) -> None:
    with _supervising(folder) as process:
        until(lambda: _pids(folder).keys() == _ROLES)
        before = _pids(folder)
        (killed,) = before["resolver"]
        os.kill(killed, signal.SIGKILL)
        until(lambda: _pids(folder).get("resolver", [killed]) != [killed])
        after = _pids(folder)
        process.terminate()
        _, said = process.communicate(timeout=HANG_S)

    del before["resolver"], after["resolver"]
    assert after == before
    assert "ended=resolver status=-9" in said


def test_a_stop_while_roles_are_starting_leaves_none_behind(folder: Path) -> None:
    with _supervising(folder) as process:
        assert process.stderr is not None
        said = [process.stderr.readline()]
        process.terminate()
        said += process.stderr
        process.wait(HANG_S)
    started = [line.strip() for line in said if "role started" in line]
    pids = [line.rpartition("pid=")[2] for line in started]

    assert process.returncode == 0
    assert pids
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_a_role_that_cannot_start_is_tried_again_ever_more_slowly(folder: Path) -> None:
    (folder / "wgctl" / "__main__.py").write_text("raise SystemExit(2)")
    waits: list[str] = []
    with _supervising(folder) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "ended=controller" in line:
                waits.append(line.strip().rpartition("again_in_s=")[2])
            if len(waits) == 4:
                break
        process.terminate()

    assert waits == ["0.1", "0.2", "0.4", "0.8"]
