"""Files are taken before the controller is asked, and nothing of them stays when it says no."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import CONFIG, Deployment, Wgctl
from tests.patience import HANG_S


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "alice.conf"


def test_a_config_that_could_not_be_written_is_said_with_its_cure(
    deployment: Deployment, acme: Wgctl, org: str
) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "wgctl", "peer", "add", "alice", "--org", org],
            env=deployment.environment,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert done.returncode == 1
    assert f"peer rekey alice --org {org} --network default -o FILE" in done.stderr
    assert "No space left on device" in done.stderr
    assert [found["name"] for found in acme("peer", "list", "--json").document] == ["alice"]


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[Path]:
    """A config whose controller takes connections and never answers."""
    (tmp_path / "run").mkdir()
    config = tmp_path / "wgctl.toml"
    config.write_text(CONFIG.format(folder=tmp_path))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "run" / "api.sock"))
        listener.listen()
        yield config


@pytest.mark.parametrize(
    ("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_an_interrupt_takes_the_file_away_again(
    silent: Path, out: Path, signum: signal.Signals, code: int
) -> None:
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "wgctl", "--config", str(silent)),
            *("peer", "add", "alice", "--org", "acme", "-o", str(out)),
        ],
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + HANG_S
    while not out.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)

    process.send_signal(signum)
    _, told = process.communicate(timeout=HANG_S)

    assert process.returncode == code
    assert not out.exists()
    assert "Traceback" not in told


@pytest.mark.parametrize(
    ("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_an_interrupt_is_told_where_python_makes_another_error_of_it(
    signum: signal.Signals, code: int
) -> None:
    """Up to 3.11 it does while a class is made, as in every import."""
    command = f"""
import os, sys
from wgctl import cli

class Told:
    def __set_name__(self, owner, name):
        os.kill(os.getpid(), {int(signum)})

cli.root.main = lambda *_, **__: type("Made", (), {{"told": Told()}})
sys.exit(cli.main([]))
"""
    process = subprocess.run(
        [sys.executable, "-c", command], capture_output=True, text=True, timeout=HANG_S, check=False
    )

    assert (process.returncode, process.stdout) == (code, "")
    assert "Traceback" not in process.stderr


def test_a_file_that_is_there_keeps_the_controller_from_being_asked(
    acme: Wgctl, tmp_path: Path
) -> None:
    taken = tmp_path / "alice.conf"
    taken.write_text("mine\n")

    result = acme("peer", "add", "alice", "-o", str(taken))

    assert (result.exit_code, taken.read_text()) == (2, "mine\n")
    assert acme("peer", "show", "alice").exit_code == 4


def test_a_refusal_leaves_no_file(acme: Wgctl, tmp_path: Path) -> None:
    first = acme("peer", "add", "alice", "-o", str(tmp_path / "first.conf"))
    second = acme("peer", "add", "alice", "-o", str(tmp_path / "second.conf"))

    assert (first.exit_code, second.exit_code) == (0, 5)
    assert [path.name for path in tmp_path.iterdir()] == ["first.conf"]
